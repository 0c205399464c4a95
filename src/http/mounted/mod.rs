//! What the kubelet mounted for requests: objects of the namespace of the pod, and the client that uses them.

mod client;
mod object;

use std::io;
use std::path::PathBuf;

use super::HttpError;
use bootlace_core::code::{Code, Coded};

pub(crate) use client::{open, read_token};
pub(crate) use object::{Keys, current_version, read_object};

/// A mounted object cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum MountError {
    /// The object or a key does not exist.
    #[error("{0}")]
    Missing(String),
    /// A file cannot be read.
    #[error("failed to read {path:?}: {error}")]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// The system's error.
        error: io::Error,
    },
    /// The content or the settings are invalid.
    #[error(transparent)]
    Http(#[from] HttpError),
}

impl Coded for MountError {
    fn code(&self) -> Code {
        match self {
            Self::Missing(_) => Code::SourceNotFound,
            Self::Unreadable { .. } => Code::SourceUnreadable,
            Self::Http(error) => error.code(),
        }
    }
}
