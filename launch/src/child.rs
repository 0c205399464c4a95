//! Runs a command until it exits, with a timeout.

use std::ffi::OsString;
use std::os::fd::BorrowedFd;
use std::{fmt, io};

use nix::errno::Errno;
use nix::sys::signal::{Signal, kill, killpg};
use nix::sys::wait::{WaitPidFlag, WaitStatus, waitpid};
use nix::unistd::Pid;

use crate::deadline::Deadline;
use crate::exit;
use crate::merge::Merged;
use crate::program::{self, ChildRole, StartError};
use crate::signals::{self, Signals};

/// Runs a command with an env, and forwards signals to it. Its output is that of this process.
pub(crate) fn run(argv: &[OsString], merged: &Merged<'_>, deadline: Deadline) -> Result<Ended, ChildError> {
    // First, so that no signal is lost.
    let signals = Signals::block().map_err(ChildError::NotWaited)?;
    let child = program::spawn(argv, merged, ChildRole::Handler).map_err(ChildError::NotStarted)?;
    // The processes that it started end with the container, which fails.
    let ended = wait(&signals, child, deadline, |signal| {
        let _ = kill(child, signal);
    })?;
    Ok(ended.0)
}

/// Runs the command of a hook like [`run`], with its output in one file, and kills it at the deadline with
/// all processes that it started. Also returns the signal to end that arrived meanwhile.
pub(crate) fn run_hook(
    argv: &[OsString],
    merged: &Merged<'_>,
    output: BorrowedFd<'_>,
    deadline: Deadline,
) -> Result<(Ended, Option<Signal>), ChildError> {
    let signals = Signals::block().map_err(ChildError::NotWaited)?;
    let ended = program::spawn(argv, merged, ChildRole::Hook { output })
        .map_err(ChildError::NotStarted)
        .and_then(|child| {
            wait(&signals, child, deadline, |signal| {
                let _ = killpg(child, signal);
            })
        });
    // This process executes the task next, which must not inherit blocked signals.
    signals.release().map_err(ChildError::NotWaited)?;
    ended
}

/// Waits for a child, and passes signals to `send`. At the deadline, it sends SIGKILL.
fn wait(
    signals: &Signals,
    child: Pid,
    deadline: Deadline,
    send: impl Fn(Signal),
) -> Result<(Ended, Option<Signal>), ChildError> {
    let mut stop = None;
    loop {
        if let Some(ended) = reap(child).map_err(ChildError::NotWaited)? {
            return Ok((ended, stop));
        }
        let Some(left) = deadline.left() else {
            send(Signal::SIGKILL);
            let _ = waitpid(child, None);
            return Err(ChildError::TimedOut);
        };
        match signals.next(Some(left)).map_err(ChildError::NotWaited)? {
            None | Some(Signal::SIGCHLD) => {}
            // The child is not reaped yet, so its PID is not reused.
            Some(signal) => {
                stop = stop.or(Some(signal).filter(|signal| signals::ends_tasks(*signal)));
                send(signal);
            }
        }
    }
}

/// How the child ended. `None` while it runs.
fn reap(child: Pid) -> io::Result<Option<Ended>> {
    loop {
        return match waitpid(child, Some(WaitPidFlag::WNOHANG)) {
            Ok(WaitStatus::Exited(_, code)) => Ok(Some(Ended::Exit(code))),
            Ok(WaitStatus::Signaled(_, signal, _)) => Ok(Some(Ended::Signal(Some(signal)))),
            // It is reaped, and was killed by a signal without a name, a real-time signal.
            Err(Errno::EINVAL) => Ok(Some(Ended::Signal(None))),
            Ok(_) => Ok(None),
            Err(Errno::EINTR) => continue,
            Err(error) => Err(error.into()),
        };
    }
}

/// A command did not exit by itself.
#[derive(Debug)]
pub(crate) enum ChildError {
    NotStarted(StartError),
    NotWaited(io::Error),
    TimedOut,
}

/// How a command ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Ended {
    /// It exited with this code.
    Exit(i32),
    /// This signal killed it. `None` is a real-time signal, which has no name.
    Signal(Option<Signal>),
}

impl Ended {
    pub(crate) fn succeeded(self) -> bool {
        self == Self::Exit(0)
    }

    /// The exit code that a container runtime reports for such a process.
    pub(crate) fn exit_code(self) -> u8 {
        match self {
            Self::Exit(code) => exit::low_byte(code),
            Self::Signal(signal) => exit::SIGNALED | signal.map_or(0, |signal| exit::low_byte(signal as i32)),
        }
    }
}

/// Describes a failure.
impl fmt::Display for Ended {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Exit(code) => write!(f, "exit code {code}"),
            Self::Signal(Some(signal)) => write!(f, "killed by signal {}", *signal as i32),
            Self::Signal(None) => f.write_str("killed by a real-time signal"),
        }
    }
}
