//! Why a source's content cannot be had: shared by all kinds, so that the exit codes are, too.

use std::fmt;
use std::io;
use std::path::PathBuf;

use crate::boot::volume::VolumeError;
use crate::http::HttpError;
use bootlace_core::code::{Code, Coded};
use bootlace_core::entry::{EnvError, PathError};

/// Why a source's content cannot be had. It names entries, never values.
#[derive(Debug, thiserror::Error)]
pub enum SourceError {
    /// What the source names is not there.
    #[error("{0}")]
    Missing(String),
    /// What the source names is there and cannot be read.
    #[error("failed to read {path:?}: {error}")]
    Unreadable {
        /// What was to be read.
        path: PathBuf,
        /// What the system says.
        error: io::Error,
    },
    /// The source gives what boot does not take.
    #[error("{entry} {name:?}: {refused}")]
    Refused {
        /// A variable or a file.
        entry: EntryName,
        /// Its name or path.
        name: String,
        /// Why not.
        refused: EntryError,
    },
    /// One of the source's keys is at fault.
    #[error("key {key:?}: {error}")]
    Key {
        /// The key.
        key: String,
        /// What is wrong with it.
        error: Box<SourceError>,
    },
    /// The profile's time is over.
    #[error("timed out after {seconds} s{doing}: raise {field}, or check why the source is slow")]
    TooSlow {
        /// The time in seconds.
        seconds: u32,
        /// The field that sets it.
        field: &'static str,
        /// What was waited for, ready to be appended.
        doing: String,
    },
    /// A server does not give it.
    #[error(transparent)]
    Http(#[from] HttpError),
    /// A server gave it, and it is not what the profile says.
    #[error("{0}")]
    Content(String),
    /// An archive holds what is not unpacked.
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
    /// The volume does not take it.
    #[error(transparent)]
    Volume(#[from] VolumeError),
}

impl Coded for SourceError {
    fn code(&self) -> Code {
        match self {
            Self::Missing(_) => Code::SourceNotFound,
            Self::Unreadable { .. } => Code::SourceUnreadable,
            Self::Refused { refused, .. } => refused.code(),
            Self::Key { error, .. } => error.code(),
            Self::TooSlow { .. } => Code::SourceTimedOut,
            Self::Http(error) => error.code(),
            Self::Content(_) => Code::ContentInvalid,
            Self::Archive(_) => Code::ArchiveInvalid,
            Self::TooLarge { .. } => Code::SourceTooLarge,
            Self::Volume(error) => error.code(),
        }
    }
}

impl SourceError {
    /// The source gives what boot does not take.
    pub(crate) fn refused(entry: EntryName, name: &str, refused: EntryError) -> Self {
        Self::Refused { entry, name: name.to_owned(), refused }
    }

    /// A time is over, which `field` sets, while `doing` was waited for.
    pub(crate) fn too_slow(seconds: u32, field: &'static str, doing: Option<String>) -> Self {
        let doing = doing.map_or_else(String::new, |doing| format!(" ({doing})"));
        Self::TooSlow { seconds, field, doing }
    }

    /// Whether the source could not be had, rather than that it gave what boot does not take.
    pub(crate) fn is_unavailable(&self) -> bool {
        match self {
            Self::Missing(_) | Self::Unreadable { .. } | Self::TooSlow { .. } => true,
            Self::Http(error) => !error.is_content(),
            Self::Refused { .. }
            | Self::Key { .. }
            | Self::Content(_)
            | Self::Archive(_)
            | Self::TooLarge { .. }
            | Self::Volume(_) => false,
        }
    }

    /// The same error, as one of `key`.
    pub(crate) fn of_key(self, key: &str) -> Self {
        Self::Key { key: key.to_owned(), error: Box::new(self) }
    }
}

/// What a source gives.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "camelCase")]
pub enum EntryName {
    /// An env variable.
    Variable,
    /// A file.
    File,
    /// What an archive holds, under its own name.
    Packed,
}

impl fmt::Display for EntryName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Variable => "variable",
            Self::File => "file",
            Self::Packed => "archive entry",
        })
    }
}

/// Why boot does not take an entry.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum EntryError {
    /// No process can hold it, or it must not come from a source.
    #[error(transparent)]
    Env(#[from] EnvError),
    /// No file can lie there.
    #[error(transparent)]
    Path(#[from] PathError),
    /// The source has given it already.
    #[error("the source contains it twice: rename one of them")]
    Twice,
    /// It is more than the source may give.
    #[error(
        "it exceeds the limit of {limit} bytes for the source: raise limits.size of the source, and volume.sizeLimit with \
         it, if the size is expected"
    )]
    TooLarge {
        /// The limit.
        limit: u64,
    },
    /// They are more than the source may give.
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
        /// The file that is in the way.
        other: String,
    },
}

impl Coded for EntryError {
    fn code(&self) -> Code {
        match self {
            Self::Env(_) => Code::VariableNotAllowed,
            Self::Path(_) => Code::PathNotAllowed,
            Self::Twice | Self::FileAndFolder { .. } => Code::EntriesConflict,
            Self::TooLarge { .. } | Self::TooMany { .. } => Code::SourceTooLarge,
        }
    }
}
