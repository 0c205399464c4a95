//! The pod's own postStart handler, run as the kubelet would have run it.

use std::error::Error;
use std::ffi::OsString;
use std::os::unix::process::ExitStatusExt;
use std::process::{Child, Command, ExitStatus};
use std::time::Duration;
use std::{fmt, io, thread};

use crate::deadline::Deadline;
use crate::hook::http::{HttpError, Request};
use crate::merge::Merged;
use crate::program::{self, StartError};

/// How long to wait between two looks at a child. std offers no wait with a limit, and without threads or
/// unsafe code there is no signal to wait on.
const POLL: Duration = Duration::from_millis(5);

/// What the pod's spec had as its postStart.
#[derive(Debug)]
pub(crate) enum Handler {
    Sleep(Duration),
    Http(Request),
    /// A command with its arguments, never empty.
    Exec(Vec<OsString>),
}

impl Handler {
    /// Runs the handler in what is left of the hook's limit.
    pub(crate) fn run(&self, merged: &Merged<'_>, deadline: Deadline) -> Result<(), HandlerError> {
        match self {
            Self::Sleep(duration) => sleep(*duration, deadline),
            Self::Http(request) => request.send(deadline).map_err(HandlerError::Http),
            Self::Exec(argv) => exec(argv, merged, deadline),
        }
    }
}

fn sleep(duration: Duration, deadline: Deadline) -> Result<(), HandlerError> {
    if deadline.left().is_none_or(|left| duration > left) {
        return Err(HandlerError::SleepTooLong { duration, limit: deadline.limit() });
    }
    thread::sleep(duration);
    Ok(())
}

/// Runs a command with the env that the task got: the kubelet would have run it with the container's
/// configured env, which to its author is the same.
///
/// Its output goes where the hook's own goes, so the kubelet treats it as it always did; none of it enters
/// the termination message.
pub(super) fn exec(argv: &[OsString], merged: &Merged<'_>, deadline: Deadline) -> Result<(), HandlerError> {
    let mut child = program::start(argv, merged, Command::spawn).map_err(HandlerError::NotStarted)?;
    let status = loop {
        if let Some(status) = child.try_wait().map_err(HandlerError::NotWaited)? {
            break status;
        }
        let Some(left) = deadline.left() else {
            end(&mut child);
            return Err(HandlerError::TookTooLong { limit: deadline.limit() });
        };
        thread::sleep(POLL.min(left));
    };
    if status.success() { Ok(()) } else { Err(HandlerError::Failed(status)) }
}

/// Ends the child itself. What it may have started goes with the container, which the kubelet kills for the
/// hook's failure.
fn end(child: &mut Child) {
    let _ = child.kill();
    let _ = child.wait();
}

/// Why the handler failed. It holds neither the handler's output nor its arguments.
#[derive(Debug)]
pub(crate) enum HandlerError {
    SleepTooLong { duration: Duration, limit: Duration },
    Http(HttpError),
    NotStarted(StartError),
    NotWaited(io::Error),
    TookTooLong { limit: Duration },
    Failed(ExitStatus),
}

impl fmt::Display for HandlerError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        const REMEDY: &str = "raise `hook.timeoutSeconds` of the BootProfile";
        match self {
            Self::SleepTooLong { duration, limit } => write!(
                f,
                "a sleep of {} s does not fit into the hook's limit of {} s; {REMEDY}",
                duration.as_secs(),
                limit.as_secs()
            ),
            Self::Http(error) => error.fmt(f),
            Self::NotStarted(error) => error.fmt(f),
            Self::NotWaited(error) => write!(f, "its command cannot be waited for: {error}"),
            Self::TookTooLong { limit } => write!(
                f,
                "its command had not ended at the hook's limit of {} s and was killed; {REMEDY}",
                limit.as_secs()
            ),
            Self::Failed(status) => match (status.code(), status.signal()) {
                (Some(code), _) => write!(f, "its command ended with exit code {code}"),
                (None, signal) => write!(f, "its command was ended by signal {}", signal.unwrap_or_default()),
            },
        }
    }
}

impl Error for HandlerError {}
