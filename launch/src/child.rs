//! A command that is run to its end, within a limit.

use std::ffi::OsString;
use std::{fmt, io};

use nix::errno::Errno;
use nix::sys::signal::{Signal, kill};
use nix::sys::wait::{WaitPidFlag, WaitStatus, waitpid};
use nix::unistd::Pid;

use crate::deadline::Deadline;
use crate::exit;
use crate::merge::Merged;
use crate::program::{self, StartError};
use crate::signals::Signals;

/// Runs a command with an env, and hands on to it what signals this process is sent. Its output goes where this
/// process's own goes.
pub(crate) fn run(argv: &[OsString], merged: &Merged<'_>, deadline: Deadline) -> Result<Ended, ChildError> {
    // First, so that no signal is lost.
    let signals = Signals::block().map_err(ChildError::NotWaited)?;
    let child = program::spawn(argv, merged).map_err(ChildError::NotStarted)?;
    loop {
        if let Some(ended) = reap(child).map_err(ChildError::NotWaited)? {
            return Ok(ended);
        }
        let Some(left) = deadline.left() else {
            end(child);
            return Err(ChildError::TookTooLong);
        };
        match signals.next(Some(left)).map_err(ChildError::NotWaited)? {
            None | Some(Signal::SIGCHLD) => {}
            // It is not reaped yet, so this reaches it or nobody.
            Some(signal) => drop(kill(child, signal)),
        }
    }
}

/// How the child ended, once it has.
fn reap(child: Pid) -> io::Result<Option<Ended>> {
    loop {
        return match waitpid(child, Some(WaitPidFlag::WNOHANG)) {
            Ok(WaitStatus::Exited(_, code)) => Ok(Some(Ended::Exit(code))),
            Ok(WaitStatus::Signaled(_, signal, _)) => Ok(Some(Ended::Signal(Some(signal)))),
            // It has been reaped: by a signal that has no name, which are the real-time ones.
            Err(Errno::EINVAL) => Ok(Some(Ended::Signal(None))),
            Ok(_) => Ok(None),
            Err(Errno::EINTR) => continue,
            Err(error) => Err(error.into()),
        };
    }
}

/// Ends the child itself. What it may have started goes with the container, which ends for it.
fn end(child: Pid) {
    let _ = kill(child, Signal::SIGKILL);
    let _ = waitpid(child, None);
}

/// Why a command did not run to its end.
#[derive(Debug)]
pub(crate) enum ChildError {
    NotStarted(StartError),
    NotWaited(io::Error),
    TookTooLong,
}

/// How a command ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Ended {
    /// By itself, with this code.
    Exit(i32),
    /// By this signal; none of the real-time ones has a name.
    Signal(Option<Signal>),
}

impl Ended {
    pub(crate) fn succeeded(self) -> bool {
        self == Self::Exit(0)
    }

    /// What a container runtime reports of a process that ended this way.
    pub(crate) fn exit_code(self) -> u8 {
        match self {
            Self::Exit(code) => exit::low_byte(code),
            Self::Signal(signal) => exit::SIGNALED | signal.map_or(0, |signal| exit::low_byte(signal as i32)),
        }
    }
}

/// In words, of one that did not succeed.
impl fmt::Display for Ended {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Exit(code) => write!(f, "its command ended with exit code {code}"),
            Self::Signal(Some(signal)) => write!(f, "its command was ended by signal {}", *signal as i32),
            Self::Signal(None) => f.write_str("its command was ended by a real-time signal"),
        }
    }
}
