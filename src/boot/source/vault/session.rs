//! A login, and the requests with its token.

use std::time::Duration;

use bootlace_core::profile::vault::{Vault, VaultSecret};
use bootlace_core::profile::{address, is_object_key};
use reqwest::header::{HeaderMap, HeaderName, HeaderValue};
use reqwest::{Method, StatusCode, Url};
use serde::Serialize;
use tokio::time::timeout;

use super::errors;
use super::response::{self, Token};
use crate::boot::json;
use crate::boot::sink::Sink;
use crate::boot::source::SourceError;
use crate::boot::source::attempts::fetch_while;
use crate::http::{Body, HttpClient, HttpError, Request};

const NAMESPACE: HeaderName = HeaderName::from_static("x-vault-namespace");
/// Vault can be configured to refuse requests without it, so that no one can be tricked into sending them.
const REQUEST: HeaderName = HeaderName::from_static("x-vault-request");
const TOKEN: HeaderName = HeaderName::from_static("x-vault-token");

/// Time limit for revoking the token, on which no task depends.
const REVOKE_TIMEOUT: Duration = Duration::from_secs(5);
/// Maximum bytes of the response to a login, which contains a token and the names of its policies.
const MAX_LOGIN_BYTES: u64 = 256 * 1024;

/// A token, and the server that has granted it.
pub(super) struct Session<'a> {
    settings: &'a Vault,
    /// The headers of each request, including the token.
    headers: HeaderMap,
    token: Token,
}

/// The body of a login.
#[derive(Serialize)]
struct Login<'a> {
    role: &'a str,
    jwt: &'a str,
}

impl<'a> Session<'a> {
    /// Logs in with the token of the service account.
    pub(super) async fn log_in(
        client: &HttpClient<'_>,
        settings: &'a Vault,
        jwt: &str,
    ) -> Result<Self, SourceError> {
        let login = Login { role: &settings.auth.role, jwt };
        let body = serde_json::to_string(&login).map_err(|error| json::json_error(&error))?;
        let mut headers = headers(settings)?;
        let request = Request {
            method: Method::POST,
            body: Some(("application/json", body.into())),
            secrets: vec![jwt],
            headers: headers.clone(),
            remedy: errors::login_remedy,
            ..get(login_url(settings)?, MAX_LOGIN_BYTES)
        };
        let send = async || client.exchange(&request).await.map_err(errors::refused_login);
        let receive = async |mut body: Body| Ok(body.read(MAX_LOGIN_BYTES).await?);
        let body = fetch_while(client, is_temporary, send, receive).await?;
        let token = response::token(&body)?;
        let mut value = HeaderValue::from_str(&token.text).map_err(|_| response::no_token())?;
        value.set_sensitive(true);
        headers.insert(TOKEN, value);
        Ok(Self { settings, headers, token })
    }

    /// Reads a secret, or creates it.
    pub(super) async fn read(
        &self,
        client: &HttpClient<'_>,
        secret: &VaultSecret,
        sink: &Sink<'_>,
    ) -> Result<Vec<u8>, SourceError> {
        let mut url = url(self.settings, &secret.api_path())?;
        if let Some(version) = secret.version {
            url.query_pairs_mut().append_pair("version", &version.to_string());
        }
        let mut request =
            Request { headers: self.headers.clone(), ..get(url, sink.limit().min(json::MAX_BYTES)) };
        if let Some(data) = &secret.data {
            let data = serde_json::to_string(data).map_err(|error| json::json_error(&error))?;
            request.method = Method::POST;
            request.body = Some(("application/json", data.into()));
        }
        let send = async || client.exchange(&request).await;
        let receive = async |mut body: Body| json::read(&mut body, sink).await;
        fetch_while(client, is_temporary, send, receive).await
    }

    /// Revokes the token, and with it all leases that it was granted.
    ///
    /// # Errors
    /// A message for the log, if the token stays valid.
    pub(super) async fn revoke(&self, client: &HttpClient<'_>) -> Result<(), String> {
        if !self.token.can_be_revoked(self.settings.secrets.len()) {
            return Ok(());
        }
        let revocation = url(self.settings, "auth/token/revoke-self").map_err(|error| error.to_string())?;
        let request = Request {
            method: Method::POST,
            headers: self.headers.clone(),
            remedy: errors::revoke_remedy,
            ..get(revocation, MAX_LOGIN_BYTES)
        };
        let send = async || client.exchange(&request).await;
        let receive = async |mut body: Body| Ok(body.drain().await?);
        let revoked = timeout(REVOKE_TIMEOUT, fetch_while(client, is_temporary, send, receive)).await;
        match revoked {
            Ok(revoked) => revoked.map_err(|error| error.to_string()),
            Err(_) => {
                Err(format!("no response in {} s: check the log of the server", REVOKE_TIMEOUT.as_secs()))
            }
        }
    }

    /// The seconds after which the token ends, and its leases with it; `None` if it does not end.
    pub(super) fn token_seconds(&self) -> Option<u64> {
        self.token.seconds()
    }
}

/// A request that is not redirected.
fn get<'r>(url: Url, limit: u64) -> Request<'r> {
    Request {
        redirect_refusal: Some(errors::REDIRECT),
        message: errors::message,
        remedy: errors::read_remedy,
        ..Request::get(url, limit)
    }
}

/// In addition to the usual errors: a node that does not have the state of an earlier response yet.
fn is_temporary(error: &HttpError) -> bool {
    error.is_temporary() || matches!(error, HttpError::Status { status: StatusCode::PRECONDITION_FAILED, .. })
}

/// The headers of all requests.
fn headers(settings: &Vault) -> Result<HeaderMap, SourceError> {
    let mut headers = HeaderMap::from_iter([(REQUEST, HeaderValue::from_static("true"))]);
    if let Some(namespace) = &settings.namespace {
        let value = HeaderValue::from_str(namespace).map_err(|_| {
            HttpError::Setup("vault.namespace contains a control character: remove it".to_owned())
        })?;
        headers.insert(NAMESPACE, value);
    }
    Ok(headers)
}

/// The address of the login.
pub(super) fn login_url(settings: &Vault) -> Result<Url, SourceError> {
    url(settings, &format!("auth/{}/login", settings.auth.mount()))
}

/// The address of a path in the API, which is plain text.
fn url(settings: &Vault, path: &str) -> Result<Url, SourceError> {
    let refused =
        |reason: &str| HttpError::Address { url: settings.address.clone(), reason: reason.to_owned() };
    if !is_object_key(path) {
        // A URL cannot contain them, encoded or not: the request would go to another path.
        let reason = format!(
            "the path {path:?} must not contain empty parts, . or .. as parts, or control characters: correct mount and path \
             in the profile"
        );
        return Err(refused(&reason).into());
    }
    let mut url = address::join(&settings.address, "", []).map_err(HttpError::from)?;
    url.path_segments_mut()
        .map_err(|()| refused("an address of this scheme has no path: write an HTTP address"))?
        .pop_if_empty()
        .push("v1")
        .extend(path.split('/'));
    Ok(url)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn vault(address: &str, mount: &str) -> Vault {
        serde_json::from_value(json!({
            "address": address,
            "auth": {"mount": mount, "role": "etl", "token": {"audience": "vault"}},
            "secrets": [{"mount": "secret", "path": "etl"}],
        }))
        .unwrap()
    }

    #[test]
    fn a_path_is_encoded_part_by_part() {
        let to = |address: &str, path: &str| url(&vault(address, "jwt"), path).map(String::from);
        for (address, path, expected) in [
            ("https://vault:8200", "secret/data/a b", "https://vault:8200/v1/secret/data/a%20b"),
            ("https://vault/", "secret/50%?#ä", "https://vault/v1/secret/50%25%3F%23%C3%A4"),
            ("https://gateway/vault", "a/b", "https://gateway/vault/v1/a/b"),
            ("https://gateway/vault/", "a/b", "https://gateway/vault/v1/a/b"),
        ] {
            assert_eq!(to(address, path).unwrap(), expected);
        }
        for path in ["secret/../sys", "secret/./a", "secret//a", "secret/a\n", "/a", "a/"] {
            let error = to("https://vault", path).unwrap_err().to_string();
            assert!(error.contains("must not contain empty parts"), "{path}: {error}");
        }
    }

    #[test]
    fn a_login_has_the_path_of_its_method() {
        let login = |mount: &str| login_url(&vault("https://vault", mount)).map(String::from);
        assert_eq!(login("clusters/eu").unwrap(), "https://vault/v1/auth/clusters/eu/login");
        login("../sys").unwrap_err();
    }
}
