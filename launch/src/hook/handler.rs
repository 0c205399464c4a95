//! A lifecycle handler of the pod, postStart or preStop, run as the kubelet would run it.

use std::error::Error;
use std::ffi::OsString;
use std::time::Duration;
use std::{fmt, thread};

use crate::child::{self, ChildError, Ended};
use crate::deadline::Deadline;
use crate::hook::http::{HttpGetError, Request};
use crate::merge::Merged;
use crate::tls::Tls;

/// A handler in the spec of the pod.
#[derive(Debug)]
pub(crate) enum Handler {
    Sleep(Duration),
    Http(Request),
    /// A command with its arguments. Never empty.
    Exec(Vec<OsString>),
}

impl Handler {
    /// Runs the handler in the time that remains.
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

/// Runs a command with the env of the task. The kubelet would run it with the configured env of the
/// container, which is the same env to its author.
///
/// Its output is that of the hook, so the kubelet handles it as usual. None of it is in the termination
/// message.
fn exec(argv: &[OsString], merged: &Merged<'_>, deadline: Deadline) -> Result<(), HandlerError> {
    let ended = child::run(argv, merged, deadline)
        .map_err(|error| HandlerError::NotEnded { error, limit: deadline.limit() })?;
    if ended.succeeded() { Ok(()) } else { Err(HandlerError::Failed(ended)) }
}

/// The handler failed. The message contains neither its output nor its arguments.
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
        const REMEDY: &str = "increase hook.timeoutSeconds of the BootProfile";
        match self {
            Self::SleepTooLong { duration, limit } => write!(
                f,
                "a sleep of {} s exceeds the hook timeout of {} s: {REMEDY}",
                duration.as_secs(),
                limit.as_secs()
            ),
            Self::NoHttp => f.write_str(
                "this launcher does not support httpGet: update the image of the init container \"bootlace-boot\", which installs \
                 the launcher",
            ),
            Self::Http(error) => error.fmt(f),
            Self::NotEnded { error: ChildError::NotStarted(error), .. } => error.fmt(f),
            Self::NotEnded { error: ChildError::NotWaited(error), .. } => {
                write!(f, "failed to wait for the command: {error}")
            }
            Self::NotEnded { error: ChildError::TimedOut, limit } => write!(
                f,
                "the command was killed at the hook timeout of {} s: {REMEDY}",
                limit.as_secs()
            ),
            Self::Failed(ended) => ended.fmt(f),
        }
    }
}

impl Error for HandlerError {}
