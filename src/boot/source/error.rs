//! Errors of a source, common to all kinds, so that the exit codes are the same.

use std::fmt;
use std::io;
use std::path::PathBuf;

use crate::boot::volume::VolumeError;
use crate::http::{HttpError, MountError};
use bootlace_core::code::{Code, Coded};
use bootlace_core::entry::{EnvError, PathError};

/// Why a source cannot be fetched. The messages name entries, never values.
#[derive(Debug, thiserror::Error)]
pub enum SourceError {
    /// An object of the source does not exist.
    #[error("{0}")]
    Missing(String),
    /// A file of the source cannot be read.
    #[error("failed to read {path:?}: {error}")]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// The system's error.
        error: io::Error,
    },
    /// Boot has no permission to read a file of the source.
    #[error(
        "failed to read {path:?}: permission denied: let the user of the boot container read it, or set boot.runAsUser of the \
         profile to a user that can"
    )]
    Denied {
        /// The file or folder.
        path: PathBuf,
    },
    /// The source provides an entry that is not allowed.
    #[error("{entry} {name:?}: {reason}")]
    Refused {
        /// The kind of entry.
        entry: EntryName,
        /// The name or path.
        name: String,
        /// The reason.
        reason: EntryError,
    },
    /// A key of the source has an error.
    #[error("key {key:?}: {error}")]
    Key {
        /// The key.
        key: String,
        /// The error.
        error: Box<SourceError>,
    },
    /// The time limit expired.
    #[error("timed out after {seconds} s{in_progress}: raise {field}, or check why the source is slow")]
    TimedOut {
        /// The time limit in seconds.
        seconds: u32,
        /// The field with the time limit.
        field: &'static str,
        /// What was in progress, in parentheses.
        in_progress: String,
    },
    /// A request failed.
    #[error(transparent)]
    Http(#[from] HttpError),
    /// The content is not what the profile expects.
    #[error("{0}")]
    Content(String),
    /// An archive cannot be unpacked.
    #[error("{0}")]
    Archive(String),
    /// The source is larger than its limit.
    #[error(
        "it has {size} bytes, which exceeds the limit of {limit} bytes for the source: raise limits.size of the source, and \
         volume.sizeLimit with it, if the size is expected"
    )]
    TooLarge {
        /// The announced size.
        size: u64,
        /// The limit.
        limit: u64,
    },
    /// The volume cannot be written.
    #[error(transparent)]
    Volume(#[from] VolumeError),
}

impl From<MountError> for SourceError {
    fn from(error: MountError) -> Self {
        match error {
            MountError::Missing(text) => Self::Missing(text),
            MountError::Unreadable { path, error } => Self::Unreadable { path, error },
            MountError::Http(error) => Self::Http(error),
        }
    }
}

impl Coded for SourceError {
    fn code(&self) -> Code {
        match self {
            Self::Missing(_) => Code::SourceNotFound,
            Self::Unreadable { .. } | Self::Denied { .. } => Code::SourceUnreadable,
            Self::Refused { reason, .. } => reason.code(),
            Self::Key { error, .. } => error.code(),
            Self::TimedOut { .. } => Code::SourceTimedOut,
            Self::Http(error) => error.code(),
            Self::Content(_) => Code::ContentInvalid,
            Self::Archive(_) => Code::ArchiveInvalid,
            Self::TooLarge { .. } => Code::SourceTooLarge,
            Self::Volume(error) => error.code(),
        }
    }
}

impl SourceError {
    /// The source provides an entry that is not allowed.
    pub(crate) fn refused(entry: EntryName, name: &str, reason: EntryError) -> Self {
        Self::Refused { entry, name: name.to_owned(), reason }
    }

    /// The time limit of `field` expired while `in_progress` was in progress.
    pub(crate) fn timed_out(seconds: u32, field: &'static str, in_progress: Option<String>) -> Self {
        let in_progress = in_progress.map_or_else(String::new, |in_progress| format!(" ({in_progress})"));
        Self::TimedOut { seconds, field, in_progress }
    }

    /// Whether the source is unavailable, in contrast to invalid content.
    pub(crate) fn is_unavailable(&self) -> bool {
        match self {
            Self::Missing(_) | Self::Unreadable { .. } | Self::Denied { .. } | Self::TimedOut { .. } => true,
            Self::Http(error) => !error.is_content(),
            Self::Refused { .. }
            | Self::Key { .. }
            | Self::Content(_)
            | Self::Archive(_)
            | Self::TooLarge { .. }
            | Self::Volume(_) => false,
        }
    }

    /// The same error, with the key that it belongs to.
    pub(crate) fn with_key(self, key: &str) -> Self {
        Self::Key { key: key.to_owned(), error: Box::new(self) }
    }
}

/// A kind of entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "camelCase")]
pub enum EntryName {
    /// An env variable.
    Variable,
    /// A file.
    File,
    /// An entry of an archive, with its original name.
    ArchiveEntry,
    /// A folder of a volume.
    Folder,
}

impl fmt::Display for EntryName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Variable => "variable",
            Self::File => "file",
            Self::ArchiveEntry => "archive entry",
            Self::Folder => "folder",
        })
    }
}

/// Why an entry is not allowed.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum EntryError {
    /// The variable is invalid or must not be set by a source.
    #[error(transparent)]
    Env(#[from] EnvError),
    /// The path is invalid.
    #[error(transparent)]
    Path(#[from] PathError),
    /// The source contains the name twice.
    #[error("the source contains it twice: rename one of them")]
    Duplicate,
    /// The source exceeds its size limit.
    #[error(
        "it exceeds the limit of {limit} bytes for the source: raise limits.size of the source, and volume.sizeLimit with \
         it, if the size is expected"
    )]
    TooLarge {
        /// The limit.
        limit: u64,
    },
    /// The source exceeds its number of files.
    #[error(
        "it exceeds the limit of {limit} files for the source: raise limits.files of the source, if the number is \
         expected"
    )]
    TooMany {
        /// The limit.
        limit: u32,
    },
    /// The same path would be a file and a folder.
    #[error(
        "the source also provides the file {other:?}, but a path cannot be both a file and a folder: rename one of \
         them"
    )]
    FileAndFolder {
        /// The other file.
        other: String,
    },
}

impl Coded for EntryError {
    fn code(&self) -> Code {
        match self {
            Self::Env(_) => Code::VariableNotAllowed,
            Self::Path(_) => Code::PathNotAllowed,
            Self::Duplicate | Self::FileAndFolder { .. } => Code::EntriesConflict,
            Self::TooLarge { .. } | Self::TooMany { .. } => Code::SourceTooLarge,
        }
    }
}
