//! Errors of a waiting container, with their exit codes.

use crate::store_client::ClientError;
use bootlace_core::code::{Code, Coded};
use bootlace_core::input::wait_spec::MAX_WAIT_SECONDS;
use bootlace_core::names;

/// Why the output is not available. Each message is one line that names the pipe, its task and run, and the
/// remedy.
#[derive(Debug, thiserror::Error)]
pub enum WaitError {
    /// `BOOTLACE_WAIT` is not set.
    #[error(
        "{} is not set: the webhook writes it; run this program only as the container that Bootlace injects",
        names::ENV_WAIT
    )]
    NoSpec,
    /// `BOOTLACE_WAIT` cannot be parsed.
    #[error(
        "failed to parse {} ({_0}): use an image of the same version as the webhook; this image has version {}",
        names::ENV_WAIT,
        env!("CARGO_PKG_VERSION")
    )]
    Spec(String),
    /// The output was not stored in time.
    #[error(
        "{awaited} was not stored within {seconds} s{}: run the task that stores it earlier, or raise wait: in the \
         annotation {} (at most {MAX_WAIT_SECONDS})",
        stored_so_far(so_far),
        names::ANNOTATION_PIPE_IN
    )]
    TooLate {
        /// The pipe with its task and run.
        awaited: String,
        /// The time limit.
        seconds: u32,
        /// The keys that the task has stored.
        so_far: Vec<String>,
    },
    /// The output will never be stored under this name.
    #[error("{awaited}: {reason}")]
    Never {
        /// The pipe with its task and run.
        awaited: String,
        /// The reason, and what to change.
        reason: String,
    },
    /// The output is stored without a file that the pod names.
    #[error(
        "{awaited} has no file {file:?}, only {}: name one of these in the annotation {} or the pod spec, or let the task \
         write the file",
        files.join(", "),
        names::ANNOTATION_PIPE_IN
    )]
    NoFile {
        /// The pipe with its task and run.
        awaited: String,
        /// The file.
        file: String,
        /// The files of the output.
        files: Vec<String>,
    },
    /// The output is stored, but the kubelet has not mounted it.
    #[error(
        "{awaited} is stored, but the kubelet did not populate volume {volume:?} with file {missing:?} within {seconds} s: \
         recreate the pod and, if it happens again, check the kubelet log"
    )]
    NotMounted {
        /// The pipe with its task and run.
        awaited: String,
        /// The volume.
        volume: String,
        /// The file.
        missing: String,
        /// The time limit.
        seconds: u64,
    },
    /// The store cannot be reached or refused the request.
    #[error(transparent)]
    Store(#[from] ClientError),
    /// The pod is being deleted.
    #[error("terminated while waiting: the pod is being deleted")]
    Ended,
    /// The event loop or the signal handler cannot be created.
    #[error("failed to start the event loop: {0}")]
    Start(anyhow::Error),
}

impl WaitError {
    /// The exit code, named as in `sysexits.h` and used as by boot: 64 for a misconfigured container, 69 if
    /// the output will not become available, 74 if the kubelet or the system fails, 75 if a retry may
    /// succeed.
    #[must_use]
    pub fn exit_code(&self) -> u8 {
        match self {
            Self::NoSpec | Self::Spec(_) => 64,
            Self::Never { .. } | Self::NoFile { .. } => 69,
            Self::Store(error) if !error.is_temporary() => 69,
            Self::NotMounted { .. } | Self::Start(_) => 74,
            Self::TooLate { .. } | Self::Ended | Self::Store(_) => 75,
        }
    }
}

impl Coded for WaitError {
    fn code(&self) -> Code {
        match self {
            Self::NoSpec => Code::WaitSpecMissing,
            Self::Spec(_) => Code::WaitSpecInvalid,
            Self::TooLate { .. } => Code::OutputNotStoredInTime,
            Self::Never { .. } => Code::OutputNeverStored,
            Self::NoFile { .. } => Code::OutputFileMissing,
            Self::NotMounted { .. } => Code::OutputNotMounted,
            Self::Store(error) => error.code(),
            Self::Ended => Code::WaitTerminated,
            Self::Start(_) => Code::WaitNotStarted,
        }
    }
}

fn stored_so_far(so_far: &[String]) -> String {
    if so_far.is_empty() { String::new() } else { format!(" (stored so far: {})", so_far.join(", ")) }
}
