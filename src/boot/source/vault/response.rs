//! Responses of Vault. Fields that boot does not need are not parsed.
//! <https://developer.hashicorp.com/vault/api-docs>

use bootlace_core::profile::vault::{VaultEngine, VaultSecret};
use serde::{Deserialize, Deserializer};

use super::lease::Lease;
use crate::boot::json::{self, Object};
use crate::boot::source::SourceError;

/// The token of a login. `Debug` is not implemented, because it would show the token.
pub(super) struct Token {
    pub(super) text: String,
    kind: String,
    lease_seconds: u64,
    /// How often it can be used; 0 for any number.
    uses: u64,
}

impl Token {
    /// The seconds after which it ends; `None` if it does not end.
    pub(super) fn seconds(&self) -> Option<u64> {
        Some(self.lease_seconds).filter(|seconds| *seconds > 0)
    }

    /// Whether it can be revoked after so many requests. A batch token is not stored, and Vault itself
    /// revokes one that has no uses left.
    pub(super) fn can_be_revoked(&self, requests: usize) -> bool {
        self.kind != "batch" && (self.uses == 0 || self.uses > requests as u64)
    }
}

/// Parses the response to a login.
pub(super) fn token(body: &[u8]) -> Result<Token, SourceError> {
    #[derive(Deserialize)]
    struct Login {
        auth: Option<Auth>,
    }
    #[derive(Deserialize)]
    struct Auth {
        #[serde(default, deserialize_with = "or_default")]
        client_token: String,
        #[serde(default, deserialize_with = "or_default")]
        token_type: String,
        #[serde(default, deserialize_with = "or_default")]
        lease_duration: u64,
        #[serde(default, deserialize_with = "or_default")]
        num_uses: u64,
    }
    let Login { auth } = serde_json::from_slice(body).map_err(|error| json::json_error(&error))?;
    let Some(auth) = auth.filter(|auth| !auth.client_token.is_empty()) else { return Err(no_token()) };
    let Auth { client_token: text, token_type: kind, lease_duration: lease_seconds, num_uses: uses } = auth;
    Ok(Token { text, kind, lease_seconds, uses })
}

/// A login without a usable token.
pub(super) fn no_token() -> SourceError {
    SourceError::Content(
        "the response to the login contains no token: check that vault.address is a Vault server, and that the role does \
         not require a second factor"
            .to_owned(),
    )
}

/// A secret.
pub(super) struct SecretResponse<'j> {
    /// Its keys and values.
    pub(super) keys: Object<'j>,
    /// The lease that Vault has granted.
    pub(super) lease: Option<Lease>,
}

/// A response with `D` as its data.
#[derive(Deserialize)]
struct Envelope<D> {
    #[serde(default, deserialize_with = "or_default")]
    lease_id: String,
    #[serde(default, deserialize_with = "or_default")]
    lease_duration: u64,
    data: Option<D>,
}

/// The data of the key-value engine of version 2, without its metadata.
#[derive(Deserialize)]
struct Versioned<'j> {
    #[serde(borrow)]
    data: Option<Object<'j>>,
}

/// Parses the response to a request for `secret`.
pub(super) fn read<'j>(body: &'j [u8], secret: &VaultSecret) -> Result<SecretResponse<'j>, SourceError> {
    let no_data = || {
        SourceError::Content(format!(
            "the response for {} has no data: correct its path, and engine of the secret",
            secret.api_path()
        ))
    };
    if body.is_empty() {
        return Err(no_data());
    }
    let (lease_id, lease_duration, keys) = if secret.engine == VaultEngine::KvV2 {
        let Envelope { lease_id, lease_duration, data } = parse::<Versioned<'j>>(body)?;
        (lease_id, lease_duration, data.and_then(|versioned| versioned.data))
    } else {
        let Envelope { lease_id, lease_duration, data } = parse::<Object<'j>>(body)?;
        (lease_id, lease_duration, data)
    };
    let lease = (!lease_id.is_empty()).then(|| Lease { path: secret.api_path(), seconds: lease_duration });
    Ok(SecretResponse { keys: keys.ok_or_else(no_data)?, lease })
}

fn parse<'j, D: Deserialize<'j>>(body: &'j [u8]) -> Result<Envelope<D>, SourceError> {
    serde_json::from_slice(body).map_err(|error| json::json_error(&error))
}

/// Go writes some empty values as `null`.
fn or_default<'de, D: Deserializer<'de>, T: Default + Deserialize<'de>>(value: D) -> Result<T, D::Error> {
    Ok(Option::deserialize(value)?.unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn secret(engine: &str) -> VaultSecret {
        serde_json::from_value(json!({"mount": "secret", "path": "etl", "engine": engine})).unwrap()
    }

    fn names(keys: Object<'_>) -> Vec<String> {
        let mut names = Vec::new();
        keys.each(|name, _| {
            names.push(name);
            Ok(())
        })
        .unwrap();
        names
    }

    #[test]
    fn keys_are_found_where_each_engine_has_them() {
        let versioned = br#"{"lease_id": "", "data": {"data": {"a": "1"}, "metadata": {"version": 3}}}"#;
        assert_eq!(names(read(versioned, &secret("KvV2")).unwrap().keys), ["a"]);
        assert_eq!(names(read(versioned, &secret("KvV1")).unwrap().keys), ["data", "metadata"]);
        for (body, engine) in [
            (&br#"{"data": null}"#[..], "KvV1"),
            (br#"{"data": {"metadata": {}}}"#, "KvV2"),
            (br#"{"data": {"data": null}}"#, "KvV2"),
            (b"", "Dynamic"),
        ] {
            let error = read(body, &secret(engine)).err().unwrap().to_string();
            assert!(error.contains("has no data"), "{error}");
        }
    }

    #[test]
    fn only_a_response_with_an_id_has_a_lease() {
        let body = br#"{"lease_id": "database/creds/etl/1", "lease_duration": 300, "data": {"a": "1"}}"#;
        let lease = read(body, &secret("Dynamic")).unwrap().lease.unwrap();
        assert_eq!((lease.seconds, &*lease.path), (300, "secret/etl"));
        // The key-value engine of version 1 sends the time after which to read it again.
        let body = br#"{"lease_id": "", "lease_duration": 2764800, "data": {"a": "1"}}"#;
        assert!(read(body, &secret("KvV1")).unwrap().lease.is_none());
    }

    #[test]
    fn errors_of_a_response_quote_no_values() {
        for body in [
            &b"hunter2"[..],
            br#"{"data": hunter2}"#,
            br#"{"data": "hunter2"}"#,
            br#"{"data": {"data": "hunter2"#,
        ] {
            let error = read(body, &secret("KvV2")).err().unwrap().to_string();
            assert!(!error.contains("hunter2"), "{error}");
            let error = token(body).err().unwrap().to_string();
            assert!(!error.contains("hunter2"), "{error}");
        }
    }

    #[test]
    fn a_login_without_a_token_is_an_error() {
        for body in [
            &br#"{"auth": null}"#[..],
            br#"{"auth": {"client_token": "", "mfa_requirement": {"mfa_request_id": "1"}}}"#,
            br#"{"auth": {"client_token": null}}"#,
        ] {
            assert!(token(body).err().unwrap().to_string().contains("contains no token"));
        }
        let batch = br#"{"auth": {"client_token": "hvb.x", "token_type": "batch", "lease_duration": 0}}"#;
        let batch = token(batch).unwrap();
        assert_eq!((batch.can_be_revoked(0), batch.seconds()), (false, None));
        let service =
            br#"{"auth": {"client_token": "hvs.x", "token_type": "service", "lease_duration": 60}}"#;
        let service = token(service).unwrap();
        assert_eq!((service.can_be_revoked(9), service.seconds()), (true, Some(60)));
        let limited = token(br#"{"auth": {"client_token": "hvs.x", "num_uses": 2}}"#).unwrap();
        assert_eq!([1, 2].map(|requests| limited.can_be_revoked(requests)), [true, false]);
    }
}
