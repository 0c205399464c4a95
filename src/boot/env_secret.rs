//! Requests of boot to the store: create the Secret with the boot env, and record the Event with the result.

use std::collections::BTreeMap;
use std::os::unix::ffi::OsStrExt as _;
use std::time::Duration;

use k8s_openapi::ByteString;
use reqwest::Method;

use super::error::{BootError, EnvSecretError, InvalidReason};
use super::merge::MergedContent;
use crate::store_client::protocol::{EnvRequest, EnvStored, EventKind, MAX_ENV_BYTES, PATH_ENV, is_env_key};
use crate::store_client::{ClientError, EVENT_TIMEOUT, StoreClient};

/// Time limit for storing the env: long enough for a replica of the store to restart.
const ENV_TIME: Duration = Duration::from_mins(1);
/// Time limit for reporting a success, because the task waits for it.
const SUCCESS_TIME: Duration = Duration::from_secs(1);

/// Lets the store create `secret` with the env, and describes the result.
pub(super) async fn put_env(
    client: &StoreClient<'_>,
    secret: &str,
    env: &EnvRequest,
) -> Result<&'static str, EnvSecretError> {
    // Serializing strings by name cannot fail.
    let body = serde_json::to_vec(env).unwrap_or_default();
    let answer = client.request(Method::PUT, PATH_ENV, body.into(), ENV_TIME).await?;
    match answer.parse()? {
        EnvStored { created: true, .. } => Ok("created"),
        // An earlier attempt of this boot may have had it made, though no answer came, or an earlier boot.
        EnvStored { booted_before, .. } if answer.may_be_repeated || booted_before => {
            Ok("already created by an earlier attempt, whose values are kept")
        }
        EnvStored { .. } => Err(EnvSecretError::AlreadyExists { secret: secret.to_owned() }),
    }
}

/// Reports the result of the boot within a time limit.
pub(super) async fn report_outcome(
    client: &StoreClient<'_>,
    outcome: EventKind,
    note: String,
) -> Result<(), ClientError> {
    let time = if outcome == EventKind::Booted { SUCCESS_TIME } else { EVENT_TIMEOUT };
    client.report(outcome, note, time).await
}

/// The boot env as a request to the store.
///
/// # Errors
/// If a variable cannot be a key of a Secret, or the kubelet could not pass it to a process.
pub(super) fn env(content: &MergedContent<'_>) -> Result<EnvRequest, BootError> {
    let mut env = BTreeMap::new();
    let mut bytes = 0;
    for (name, from) in &content.env {
        let value = from.value.record(name)?.value().as_bytes();
        let name = name.to_string();
        let invalid = |reason| EnvSecretError::InvalidVariable {
            source_name: from.source.to_owned(),
            name: name.clone(),
            reason,
        };
        if !is_env_key(&name) {
            return Err(invalid(InvalidReason::NotAKey).into());
        }
        if str::from_utf8(value).is_err() {
            return Err(invalid(InvalidReason::NotText).into());
        }
        bytes += name.len() + value.len();
        env.insert(name, ByteString(value.to_vec()));
    }
    if bytes > MAX_ENV_BYTES {
        return Err(EnvSecretError::TooLarge { bytes }.into());
    }
    Ok(EnvRequest { env })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::boot::merge::FromSource;
    use crate::store_client::protocol::MAX_NAME_BYTES;
    use bootlace_core::entry::{EnvName, EnvValue, FileTree, Rename};

    fn content(name: &str, value: &[u8]) -> MergedContent<'static> {
        let name = EnvName::parse(name, Rename::Keys).unwrap();
        let value = EnvValue::parse(&name, value.to_vec(), true).unwrap();
        MergedContent { env: [(name, FromSource { source: "login", value })].into(), files: FileTree::new() }
    }

    #[test]
    fn only_valid_keys_are_stored_in_a_secret() {
        for name in ["A", "connectionString.standard", "db-user", "2fa"] {
            assert!(env(&content(name, b"x")).unwrap().env.contains_key(name), "{name}");
        }
        let long = "N".repeat(MAX_NAME_BYTES + 1);
        for name in ["Logging:LogLevel", "A B", "..a", &long] {
            let error = env(&content(name, b"hunter2")).err().unwrap();
            assert_eq!(error.exit_code(), 65, "{name}");
            let message = error.to_string();
            let BootError::Store(EnvSecretError::InvalidVariable { reason, .. }) = error else {
                panic!("{message}")
            };
            assert!(matches!(reason, InvalidReason::NotAKey), "{message}");
            assert!(message.starts_with(&format!("variable {name:?} of source \"login\" ")), "{message}");
            assert!(!message.contains("hunter2"), "{message}");
        }
    }
}
