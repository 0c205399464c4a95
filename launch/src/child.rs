//! A command that is run to its end, within a limit.

use std::ffi::OsString;
use std::os::unix::process::ExitStatusExt;
use std::process::{Child, Command, ExitStatus};
use std::{fmt, io};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use crate::deadline::Deadline;
use crate::merge::Merged;
use crate::program::{self, StartError};
use crate::signals::Signals;

/// Runs a command with an env, and hands on to it what signals this process is sent. Its output goes where this
/// process's own goes.
pub(crate) fn run(
    argv: &[OsString],
    merged: &Merged<'_>,
    deadline: Deadline,
) -> Result<ExitStatus, ChildError> {
    let mut child = program::start(argv, merged, Command::spawn).map_err(ChildError::NotStarted)?;
    // Afterwards, as a child inherits what is held back. An end before this is seen by the first look below.
    let signals = Signals::block().map_err(ChildError::NotWaited)?;
    let pid = Pid::from_raw(child.id().cast_signed());
    loop {
        if let Some(status) = child.try_wait().map_err(ChildError::NotWaited)? {
            return Ok(status);
        }
        let Some(left) = deadline.left() else {
            end(&mut child);
            return Err(ChildError::TookTooLong);
        };
        match signals.next(Some(left)).map_err(ChildError::NotWaited)? {
            None | Some(Signal::SIGCHLD) => {}
            // It is not reaped yet, so this reaches it or nobody.
            Some(signal) => drop(kill(pid, signal)),
        }
    }
}

/// Ends the child itself. What it may have started goes with the container, which ends for it.
fn end(child: &mut Child) {
    let _ = child.kill();
    let _ = child.wait();
}

/// Why a command did not run to its end.
#[derive(Debug)]
pub(crate) enum ChildError {
    NotStarted(StartError),
    NotWaited(io::Error),
    TookTooLong,
}

/// How a command that did not succeed ended, in words.
#[derive(Debug)]
pub(crate) struct Ended(pub(crate) ExitStatus);

impl fmt::Display for Ended {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.0.code(), self.0.signal()) {
            (Some(code), _) => write!(f, "its command ended with exit code {code}"),
            (None, signal) => write!(f, "its command was ended by signal {}", signal.unwrap_or_default()),
        }
    }
}
