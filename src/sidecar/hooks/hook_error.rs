//! Why a hook was not sent.

use crate::http::{HttpError, MountError};
use bootlace_core::abort::RenderError;
use bootlace_core::code::{Code, Coded};

/// A hook was not sent. No message contains a value of a header or a body.
#[derive(Debug, thiserror::Error)]
pub enum HookError {
    /// A template cannot be rendered.
    #[error(transparent)]
    Render(RenderError),
    /// A mounted object cannot be used, or the request failed.
    #[error(transparent)]
    Mount(MountError),
    /// There was no response in time.
    #[error(
        "no response within {seconds} s, or within the grace period of the pod: check the server, or increase timeoutSeconds"
    )]
    TimedOut {
        /// The timeout of an attempt.
        seconds: u32,
    },
}

impl HookError {
    /// Whether another attempt can succeed.
    pub(super) fn is_temporary(&self) -> bool {
        match self {
            Self::Mount(MountError::Http(error)) => error.is_temporary(),
            Self::TimedOut { .. } => true,
            Self::Render(_) | Self::Mount(_) => false,
        }
    }
}

impl Coded for HookError {
    fn code(&self) -> Code {
        match self {
            Self::Mount(MountError::Http(HttpError::Status { .. })) => Code::HookRefused,
            Self::Render(_)
            | Self::Mount(MountError::Http(HttpError::Setup(_) | HttpError::Address { .. })) => {
                Code::HookInvalid
            }
            Self::Mount(_) | Self::TimedOut { .. } => Code::HookNotSent,
        }
    }
}
