//! A command that is run to its end, within a limit.

use std::ffi::OsString;
use std::os::unix::process::ExitStatusExt;
use std::process::{Child, Command, ExitStatus};
use std::time::Duration;
use std::{fmt, io, thread};

use crate::deadline::Deadline;
use crate::merge::Merged;
use crate::program::{self, StartError};

/// How long to wait between two looks at a child. std offers no wait with a limit, and without threads or
/// unsafe code there is no signal to wait on.
const POLL: Duration = Duration::from_millis(5);

/// Runs a command with an env. Its output goes where this process's own goes.
pub(crate) fn run(
    argv: &[OsString],
    merged: &Merged<'_>,
    deadline: Deadline,
) -> Result<ExitStatus, ChildError> {
    let mut child = program::start(argv, merged, Command::spawn).map_err(ChildError::NotStarted)?;
    loop {
        if let Some(status) = child.try_wait().map_err(ChildError::NotWaited)? {
            return Ok(status);
        }
        let Some(left) = deadline.left() else {
            end(&mut child);
            return Err(ChildError::TookTooLong);
        };
        thread::sleep(POLL.min(left));
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
