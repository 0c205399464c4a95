//! The pod's own postStart handler, run as the kubelet would have run it.

use std::error::Error;
use std::ffi::OsString;
use std::time::Duration;
use std::{fmt, thread};

use crate::child::{self, ChildError, Ended};
use crate::deadline::Deadline;
use crate::hook::http::{HttpGetError, Request};
use crate::merge::Merged;
use crate::tls::Tls;

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
    pub(crate) fn run(
        &self,
        merged: &Merged<'_>,
        tls: Option<Tls>,
        deadline: Deadline,
    ) -> Result<(), HandlerError> {
        match self {
            Self::Sleep(duration) => sleep(*duration, deadline),
            Self::Http(request) => {
                let tls = tls.ok_or(HandlerError::NoHttp)?;
                request.send(tls, deadline).map_err(HandlerError::Http)
            }
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
    let ended = child::run(argv, merged, deadline)
        .map_err(|error| HandlerError::NotEnded { error, limit: deadline.limit() })?;
    if ended.succeeded() { Ok(()) } else { Err(HandlerError::Failed(ended)) }
}

/// Why the handler failed. It holds neither the handler's output nor its arguments.
#[derive(Debug)]
pub(crate) enum HandlerError {
    SleepTooLong { duration: Duration, limit: Duration },
    NoHttp,
    Http(HttpGetError),
    NotEnded { error: ChildError, limit: Duration },
    Failed(Ended),
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
            Self::NoHttp => f.write_str(
                "this launcher sends no requests: update the image of the init container `bootlace-boot`, which lays \
                 another one where a postStart is an httpGet",
            ),
            Self::Http(error) => error.fmt(f),
            Self::NotEnded { error: ChildError::NotStarted(error), .. } => error.fmt(f),
            Self::NotEnded { error: ChildError::NotWaited(error), .. } => {
                write!(f, "its command cannot be waited for: {error}")
            }
            Self::NotEnded { error: ChildError::TookTooLong, limit } => write!(
                f,
                "its command had not ended at the hook's limit of {} s and was killed; {REMEDY}",
                limit.as_secs()
            ),
            Self::Failed(ended) => ended.fmt(f),
        }
    }
}

impl Error for HandlerError {}
