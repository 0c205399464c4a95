//! Requests of boot to the store: create the Secret with the boot env, and record the Event with the result.

use std::collections::BTreeMap;
use std::os::unix::ffi::OsStrExt as _;
use std::time::Duration;

use k8s_openapi::ByteString;
use reqwest::Method;

use super::error::BootError;
use super::merge::MergedContent;
use crate::store_client::protocol::{
    EnvRequest, EnvStored, EventKind, MAX_ENV_BYTES, MAX_NAME_BYTES, PATH_ENV, is_env_key,
};
use crate::store_client::{ClientError, EVENT_TIMEOUT, StoreClient};
use bootlace_core::code::{Code, Coded};

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

/// Why the env cannot be stored. No message contains a value or the token.
#[derive(Debug, thiserror::Error)]
pub enum EnvSecretError {
    /// A variable cannot be stored in a Secret.
    #[error("variable {name:?} of source {source_name:?} {reason}")]
    InvalidVariable {
        /// The source of the variable.
        source_name: String,
        /// The name of the variable.
        name: String,
        /// The reason.
        reason: InvalidReason,
    },
    /// The env is too large for a Secret.
    #[error(
        "the boot env has {bytes} bytes including names, but a Secret contains at most {MAX_ENV_BYTES}: provide large \
         values as files, or add `command` to the container, so that the launcher can load them"
    )]
    TooLarge {
        /// The size of the env.
        bytes: usize,
    },
    /// The store cannot be reached or refused the request.
    #[error(transparent)]
    Client(#[from] ClientError),
    /// A Secret of that name exists and is not from this pod.
    #[error(
        "Secret {secret} already exists and was not created for this pod, which may be a copy of another one: create \
         the pod from its original manifest, or delete the Secret"
    )]
    AlreadyExists {
        /// The name of the Secret.
        secret: String,
    },
}

/// Why a variable cannot be stored in a Secret.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum InvalidReason {
    /// The name is not a valid key.
    #[error(
        "has a name that is not a valid key of a Secret: must have letters, digits, `-`, `_` and `.`, and at most \
         {MAX_NAME_BYTES} bytes; rename it, exclude it, or add `command` to the container, so that the launcher can load \
         it"
    )]
    NotAKey,
    /// The value is not UTF-8.
    #[error(
        "is not UTF-8, but the kubelet only passes UTF-8 from a Secret to a process: provide it as a file, or add \
         `command` to the container, so that the launcher can load it"
    )]
    NotText,
}

impl Coded for EnvSecretError {
    fn code(&self) -> Code {
        match self {
            Self::InvalidVariable { .. } => Code::VariableNotDeliverable,
            Self::TooLarge { .. } => Code::EnvTooLargeForSecret,
            Self::Client(error) => error.code(),
            Self::AlreadyExists { .. } => Code::EnvSecretTaken,
        }
    }
}

impl EnvSecretError {
    /// Whether a retry may succeed.
    pub(super) fn is_temporary(&self) -> bool {
        matches!(self, Self::Client(error) if error.is_temporary())
    }

    /// Whether the content of the sources is the cause.
    pub(super) fn is_content(&self) -> bool {
        matches!(self, Self::InvalidVariable { .. } | Self::TooLarge { .. })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::boot::merge::FromSource;
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
            let start = format!(
                "variable {name:?} of source \"login\" has a name that is not a valid key of a Secret"
            );
            assert!(message.starts_with(&start) && message.contains("exclude it"), "{message}");
            assert!(!message.contains("hunter2"), "{message}");
        }
    }
}
