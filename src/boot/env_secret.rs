//! What boot has the store do: make the Secret of the boot env, and the Event that tells how the boot went.

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

/// How long boot tries to have its env stored: time for a replica to be started anew.
const ENV_TIME: Duration = Duration::from_mins(1);
/// How long a success may take to be told: the task waits for it.
const SUCCESS_TIME: Duration = Duration::from_secs(1);

/// Has the boot env stored as `secret`, and says what came of it.
pub(super) async fn put_env(
    client: &StoreClient<'_>,
    secret: &str,
    env: &EnvRequest,
) -> Result<&'static str, EnvSecretError> {
    // Strings by name: it cannot fail.
    let body = serde_json::to_vec(env).unwrap_or_default();
    let answer = client.request(Method::PUT, PATH_ENV, body.into(), ENV_TIME).await?;
    match answer.parse()? {
        EnvStored { created: true, .. } => Ok("created"),
        // An earlier attempt of this boot may have had it made, though no answer came, or an earlier boot.
        EnvStored { booted_before, .. } if answer.may_be_repeated || booted_before => {
            Ok("made by an earlier attempt, whose values stay")
        }
        EnvStored { .. } => Err(EnvSecretError::Taken { secret: secret.to_owned() }),
    }
}

/// Tells how the boot went, in bounded time.
pub(super) async fn report_outcome(
    client: &StoreClient<'_>,
    outcome: EventKind,
    note: String,
) -> Result<(), ClientError> {
    let time = if outcome == EventKind::Booted { SUCCESS_TIME } else { EVENT_TIMEOUT };
    client.report(outcome, note, time).await
}

/// The boot env as the store takes it.
///
/// # Errors
/// Where a Secret cannot hold it, or the kubelet could not give it to a process.
pub(super) fn env(content: &MergedContent<'_>) -> Result<EnvRequest, BootError> {
    let mut env = BTreeMap::new();
    let mut bytes = 0;
    for (name, from) in &content.env {
        let value = from.given.record(name)?.value().as_bytes();
        let name = name.to_string();
        let unfit =
            |why| EnvSecretError::Unfit { source_name: from.source.to_owned(), name: name.clone(), why };
        if !is_env_key(&name) {
            return Err(unfit(UnfitVariable::NotAKey).into());
        }
        if str::from_utf8(value).is_err() {
            return Err(unfit(UnfitVariable::NotText).into());
        }
        bytes += name.len() + value.len();
        env.insert(name, ByteString(value.to_vec()));
    }
    if bytes > MAX_ENV_BYTES {
        return Err(EnvSecretError::TooLarge { bytes }.into());
    }
    Ok(EnvRequest { env })
}

/// Why the store cannot take the boot env. No message holds a value or the token.
#[derive(Debug, thiserror::Error)]
pub enum EnvSecretError {
    /// A variable does not fit into a Secret.
    #[error("variable {name:?} of source {source_name:?} {why}")]
    Unfit {
        /// The source that gave it.
        source_name: String,
        /// Its name.
        name: String,
        /// Why not.
        why: UnfitVariable,
    },
    /// The boot env does not fit into a Secret.
    #[error(
        "the boot env takes {bytes} bytes, names included, and the task takes it from a Secret, which holds {MAX_ENV_BYTES} \
         at most: give large values as files, or add `command` to the container, so that the launcher can load them"
    )]
    TooLarge {
        /// Its size.
        bytes: usize,
    },
    /// The store cannot be asked, or does not do it.
    #[error(transparent)]
    Client(#[from] ClientError),
    /// Somebody else made a Secret of that name.
    #[error(
        "Secret {secret} is there already, and this pod did not have it made: a copy of another pod keeps its name, so \
         create the task anew from its own manifest; or delete the Secret"
    )]
    Taken {
        /// The Secret.
        secret: String,
    },
}

/// Why a variable does not fit into a Secret.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum UnfitVariable {
    /// No key of a Secret has such a name.
    #[error(
        "has a name that no key of a Secret can have, which are made of letters, digits, `-`, `_` and `.` and take \
         {MAX_NAME_BYTES} bytes at most: rename it, leave it out (exclude), or add `command` to the container, so that the \
         launcher can load it"
    )]
    NotAKey,
    /// Its value is no text.
    #[error(
        "is no text in UTF-8, and the kubelet gives a process nothing else from a Secret: give it as a file, or add \
         `command` to the container, so that the launcher can load it"
    )]
    NotText,
}

impl EnvSecretError {
    /// Whether another try later may help.
    pub(super) fn is_temporary(&self) -> bool {
        matches!(self, Self::Client(error) if error.is_temporary())
    }

    /// Whether it is what the sources gave.
    pub(super) fn is_content(&self) -> bool {
        matches!(self, Self::Unfit { .. } | Self::TooLarge { .. })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::boot::merge::FromSource;
    use bootlace_core::entry::{EnvName, EnvValue, FileTree, Rename};

    fn content(name: &str, value: &[u8]) -> MergedContent<'static> {
        let name = EnvName::parse(name, Rename::Keys).unwrap();
        let given = EnvValue::parse(&name, value.to_vec(), true).unwrap();
        MergedContent { env: [(name, FromSource { source: "login", given })].into(), files: FileTree::new() }
    }

    #[test]
    fn a_secret_takes_what_can_be_its_keys() {
        for name in ["A", "connectionString.standard", "db-user", "2fa"] {
            assert!(env(&content(name, b"x")).unwrap().env.contains_key(name), "{name}");
        }
        let long = "N".repeat(MAX_NAME_BYTES + 1);
        for name in ["Logging:LogLevel", "A B", "..a", &long] {
            let error = env(&content(name, b"hunter2")).err().unwrap();
            assert_eq!(error.exit_code(), 65, "{name}");
            let said = error.to_string();
            let start =
                format!("variable {name:?} of source \"login\" has a name that no key of a Secret can have");
            assert!(said.starts_with(&start) && said.contains("leave it out (exclude)"), "{said}");
            assert!(!said.contains("hunter2"), "{said}");
        }
    }
}
