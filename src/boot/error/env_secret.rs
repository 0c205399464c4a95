//! Errors of the Secret with the boot env.

use crate::store_client::ClientError;
use crate::store_client::protocol::{MAX_ENV_BYTES, MAX_NAME_BYTES};
use bootlace_core::code::{Code, Coded};

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
    pub(in crate::boot) fn is_temporary(&self) -> bool {
        matches!(self, Self::Client(error) if error.is_temporary())
    }

    /// Whether the content of the sources is the cause.
    pub(in crate::boot) fn is_content(&self) -> bool {
        matches!(self, Self::InvalidVariable { .. } | Self::TooLarge { .. })
    }
}
