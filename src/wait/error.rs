//! Why a task cannot start that waits for an earlier one, as one sentence and as an exit code.

use crate::store_client::ClientError;
use bootlace_core::input::wait_spec::MAX_WAIT_SECONDS;
use bootlace_core::names;

/// Why what is awaited is not there. Each message is one line that names the pipe, its task and run, and the remedy.
#[derive(Debug, thiserror::Error)]
pub enum WaitError {
    /// Nobody said what to wait for.
    #[error("{} is not set: it says what to wait for, and Bootlace's webhook writes it", names::ENV_WAIT)]
    NoSpec,
    /// What it is told cannot be understood.
    #[error(
        "{} is not what `bootlace wait` {} understands: {_0}. Use an image of the webhook's own version",
        names::ENV_WAIT,
        env!("CARGO_PKG_VERSION")
    )]
    Spec(String),
    /// It was not stored in time.
    #[error(
        "{awaited} was not stored within {seconds} s{}: that task should have handed it over, so let it run earlier, or \
         write a longer wait: in the annotation {} ({MAX_WAIT_SECONDS} at most)",
        handed_over(so_far),
        names::ANNOTATION_PIPE_IN
    )]
    TooLate {
        /// The pipe, its task and its run, in words.
        awaited: String,
        /// The time.
        seconds: u32,
        /// Keys that the task has handed over.
        so_far: Vec<String>,
    },
    /// It will never be stored under this name.
    #[error("{awaited}: {why}")]
    Never {
        /// The pipe, its task and its run, in words.
        awaited: String,
        /// Why, and what to change.
        why: String,
    },
    /// It is stored, without a file that the pod names.
    #[error(
        "{awaited} has the files {}, and the pod takes {file:?} of it: name one of them in the annotation {} or in the \
         pod's spec, or have the task write that one",
        files.join(", "),
        names::ANNOTATION_PIPE_IN
    )]
    NoFile {
        /// The pipe, its task and its run, in words.
        awaited: String,
        /// The file.
        file: String,
        /// What there is.
        files: Vec<String>,
    },
    /// It is stored, and the kubelet has not brought it.
    #[error(
        "{awaited} is stored, but the pod's volume {volume:?} is without its file {missing:?} after {seconds} s: the node's \
         kubelet brings it; create the pod anew, and see the kubelet's log if that is of no use"
    )]
    NotMounted {
        /// The pipe, its task and its run, in words.
        awaited: String,
        /// The volume.
        volume: String,
        /// The file.
        missing: String,
        /// The time.
        seconds: u64,
    },
    /// The store cannot be asked.
    #[error(transparent)]
    Store(#[from] ClientError),
    /// The pod is being deleted.
    #[error("the pod was told to end while it waited")]
    Ended,
    /// The system gives no event loop, or no signals.
    #[error("waiting cannot start: {0}")]
    Start(anyhow::Error),
}

impl WaitError {
    /// The exit code, in the words of `sysexits.h`, as boot has them: 64 where the container is set up wrongly, 69 where what
    /// is awaited will not be there, 74 where the system does not do its part, 75 where another try may help.
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

fn handed_over(so_far: &[String]) -> String {
    if so_far.is_empty() { String::new() } else { format!(" (it handed over {} so far)", so_far.join(", ")) }
}
