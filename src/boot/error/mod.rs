//! Errors of a boot, with their exit codes.

mod env_secret;
mod layout;

use std::io;
use std::path::PathBuf;

pub(crate) use env_secret::{EnvSecretError, InvalidReason};
pub(crate) use layout::LayoutError;

use super::env_file::NotInFile;
use super::source::SourceError;
use super::volume::VolumeError;
use bootlace_core::code::{Code, Coded};
use bootlace_core::entry::{EnvError, PathError};
use bootlace_core::{json_error, names};

/// Why a task cannot boot. Each message is one line that names the source, the entry and the remedy, and
/// contains no value of a source.
#[derive(Debug, thiserror::Error)]
pub enum BootError {
    /// `BOOTLACE_SPEC` is not set.
    #[error(
        "{} is not set: the webhook writes it; run this program only as the container that Bootlace injects",
        names::ENV_BOOT_SPEC
    )]
    NoSpec,
    /// `BOOTLACE_SPEC` cannot be parsed.
    #[error(
        "failed to parse {} ({problem}): use a boot image of the same version as the webhook; this image has version {}",
        names::ENV_BOOT_SPEC,
        env!("CARGO_PKG_VERSION")
    )]
    Spec {
        /// The problem and its position.
        problem: String,
    },
    /// A name under `keep` is not a valid file name.
    #[error("{} is invalid: keep[{container:?}] is not a container name: {error}", names::ENV_BOOT_SPEC)]
    Container {
        /// The name.
        container: String,
        /// The problem.
        error: PathError,
    },
    /// The boot image has no launcher.
    #[error(
        "failed to read the launcher {path:?} ({error}): copy it from the Bootlace image into the boot image"
    )]
    Launcher {
        /// The expected path.
        path: PathBuf,
        /// The system's error.
        error: io::Error,
    },
    /// A source cannot be fetched.
    #[error(transparent)]
    Source(Box<SourceFailure>),
    /// Two sources provide files of which one is the folder of the other.
    #[error(
        "source {later:?} provides the file {path:?} and source {earlier:?} the file {other:?}, but a path cannot be \
         both a file and a folder: rename one of them"
    )]
    FileAndFolder {
        /// The later source.
        later: String,
        /// Its file.
        path: String,
        /// The earlier source.
        earlier: String,
        /// Its file.
        other: String,
    },
    /// A source sets a variable that the pod spec does not read from the env file.
    #[error(
        "source {source_name:?} sets the variable {name:?}, but the kubelet only delivers the variables in \
         env.file.keys of BootProfile {profile:?}: add it there"
    )]
    NoFileKey {
        /// The source.
        source_name: String,
        /// The variable.
        name: String,
        /// The profile.
        profile: String,
    },
    /// The kubelet cannot read a value from the env file.
    #[error(
        "source {source_name:?} sets the variable {name:?}, which env.mode File cannot deliver because {error}: change \
         it, or set another env.mode in BootProfile {profile:?}"
    )]
    NotInFile {
        /// The source.
        source_name: String,
        /// The variable.
        name: String,
        /// The profile.
        profile: String,
        /// The reason.
        error: NotInFile,
    },
    /// A shell that reads `$HOME/.env` cannot set a variable of that name.
    #[error(
        "source {source_name:?} sets the variable {name:?}, which a shell cannot read from $HOME/.env, where env.mode \
         Hook writes it: exclude it, rename it to letters, digits and _ and to no name that shells reserve, or set \
         another env.mode in BootProfile {profile:?}"
    )]
    NotForShell {
        /// The source.
        source_name: String,
        /// The variable.
        name: String,
        /// The profile.
        profile: String,
    },
    /// The content conflicts with the layout.
    #[error(transparent)]
    Layout(#[from] LayoutError),
    /// A variable cannot be written as env.
    #[error("failed to write the boot env: {0}")]
    Env(#[from] EnvError),
    /// The volume cannot be written.
    #[error(transparent)]
    Volume(#[from] VolumeError),
    /// The spec has `envSecret`, but no store.
    #[error("{} has envSecret but no store: set --store-url of the webhook", names::ENV_BOOT_SPEC)]
    NoStore,
    /// The store did not store the env.
    #[error(transparent)]
    Store(#[from] EnvSecretError),
    /// The event loop cannot be created.
    #[error("failed to start the event loop: {0}")]
    Start(io::Error),
}

/// A source that cannot be fetched, and the reason.
#[derive(Debug, thiserror::Error)]
#[error("source {name:?} ({title}) of BootProfile {profile:?}: {error}")]
pub struct SourceFailure {
    /// The name of the source in the profile.
    pub name: String,
    /// The kind of the source and the name of the object.
    pub title: String,
    /// The profile.
    pub profile: String,
    /// The reason.
    #[source]
    pub error: SourceError,
}

impl BootError {
    /// The exit code, named as in `sysexits.h`. A pod failure policy can use it.
    ///
    /// | code | name | cause |
    /// |---|---|---|
    /// | 64 | usage | the boot container is misconfigured: its image or its spec |
    /// | 65 | data | the content of a source is invalid or cannot be delivered |
    /// | 69 | unavailable | a source does not exist or cannot be read, or the store refuses |
    /// | 74 | I/O | the volume is full or cannot be written |
    /// | 75 | temporary | a timeout, or a server or the store cannot be reached or responds with 408, 429 or 5xx |
    #[must_use]
    pub fn exit_code(&self) -> u8 {
        const USAGE: u8 = 64;
        const DATA: u8 = 65;
        const UNAVAILABLE: u8 = 69;
        const IO: u8 = 74;
        const TEMPORARY: u8 = 75;

        fn source_exit_code(error: &SourceError) -> u8 {
            match error {
                SourceError::Refused { .. }
                | SourceError::Content(_)
                | SourceError::Archive(_)
                | SourceError::TooLarge { .. } => DATA,
                SourceError::Http(error) if error.is_content() => DATA,
                SourceError::Http(error) if error.is_temporary() => TEMPORARY,
                SourceError::Missing(_)
                | SourceError::Unreadable { .. }
                | SourceError::Denied { .. }
                | SourceError::Http(_) => UNAVAILABLE,
                SourceError::Key { error, .. } => source_exit_code(error),
                SourceError::TimedOut { .. } => TEMPORARY,
                SourceError::Volume(_) => IO,
            }
        }

        match self {
            Self::NoSpec
            | Self::NoStore
            | Self::Spec { .. }
            | Self::Container { .. }
            | Self::Launcher { .. } => USAGE,
            Self::Source(failure) => source_exit_code(&failure.error),
            Self::Store(error) if error.is_content() => DATA,
            Self::Store(error) if error.is_temporary() => TEMPORARY,
            Self::Store(_) => UNAVAILABLE,
            Self::FileAndFolder { .. }
            | Self::Layout(_)
            | Self::Env(_)
            | Self::NoFileKey { .. }
            | Self::NotForShell { .. }
            | Self::NotInFile { .. } => DATA,
            Self::Volume(_) | Self::Start(_) => IO,
        }
    }

    /// The error for a spec whose JSON is invalid.
    pub(super) fn spec(error: &serde_json::Error) -> Self {
        Self::Spec { problem: json_error::describe(error) }
    }
}

impl Coded for BootError {
    fn code(&self) -> Code {
        match self {
            Self::NoSpec => Code::BootSpecMissing,
            Self::Spec { .. } | Self::Container { .. } | Self::NoStore => Code::BootSpecInvalid,
            Self::Launcher { .. } => Code::LauncherMissing,
            Self::Source(failure) => failure.error.code(),
            Self::FileAndFolder { .. } => Code::EntriesConflict,
            Self::NoFileKey { .. } => Code::FileKeyNotListed,
            Self::NotInFile { .. } | Self::NotForShell { .. } => Code::VariableNotDeliverable,
            Self::Layout(error) => error.code(),
            Self::Env(_) => Code::VariableNotAllowed,
            Self::Volume(error) => error.code(),
            Self::Store(error) => error.code(),
            Self::Start(_) => Code::BootNotStarted,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use bootlace_core::plan::BootSpec;

    #[test]
    fn errors_of_an_invalid_spec_quote_no_values() {
        let message =
            |json: &str| BootError::spec(&serde_json::from_str::<BootSpec>(json).unwrap_err()).to_string();
        let head = r#"{"task":{},"profile":{"name":"default","generation":1},"timeoutSeconds":"#;
        let cases = [
            (r#""hunter2"}"#.to_owned(), "at line 1 column "),
            ("1".to_owned(), "at line 1 column "),
            (r#"1,"sources":[{"name":"a","from":{"ftp":{}}}]}"#.to_owned(), "unknown variant `ftp`"),
            (r#"1,"sources":[{"name":"a"}]}"#.to_owned(), "missing field `from`"),
            // Field names inside a source come from the profile.
            (
                r#"1,"sources":[{"name":"a","from":{"inline":{"sha256":"hunter2"}}}]}"#.to_owned(),
                "unknown field `sha256`",
            ),
        ];
        for (tail, problem) in cases {
            let message = message(&format!("{head}{tail}"));
            assert!(message.contains(problem), "{message}");
            assert!(!message.contains("hunter2"), "{message}");
        }
    }
}
