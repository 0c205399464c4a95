//! Reaps child processes: the task and, in the first process of a container, orphaned processes.

use std::io;
use std::os::unix::process::ExitStatusExt;
use std::process::Child;

use nix::errno::Errno;
use nix::sys::signal::{Signal, killpg};
use nix::sys::wait::{WaitPidFlag, WaitStatus, waitpid};
use nix::unistd::Pid;

use super::task::Started;
use crate::exit;

/// How the task exited.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Exited {
    /// Its exit code: 128 and the number of the signal, if a signal killed it.
    pub(super) code: u8,
    /// The number of the signal that killed it; 0 if it exited.
    pub(super) signal: u8,
}

impl Exited {
    /// Of a task whose process could not be created.
    pub(super) const NOT_STARTED: Self = Self { code: exit::SYSTEM_CALL, signal: 0 };

    fn with(code: i32) -> Self {
        Self { code: exit::low_byte(code), signal: 0 }
    }

    fn killed(signal: i32) -> Self {
        let signal = exit::low_byte(signal);
        Self { code: exit::SIGNALED | signal, signal }
    }
}

/// Reads the exit code of the task, and those of other processes, which would stay as zombies.
pub(super) struct Reaper {
    child: Child,
    task: Pid,
    /// Whether the task has the terminal of the container.
    terminal: bool,
}

impl Reaper {
    pub(super) fn new(Started { child, terminal }: Started) -> Self {
        let task = Pid::from_raw(child.id().cast_signed());
        Self { child, task, terminal }
    }

    pub(super) fn task(&self) -> Pid {
        self.task
    }

    /// Reaps processes that have exited. Returns how the task exited if it is one of them.
    pub(super) fn reap(&mut self) -> io::Result<Option<Exited>> {
        // With std first, which supports real-time signals.
        if let Some(status) = self.child.try_wait()? {
            let signal = status.signal().map_or(0, exit::low_byte);
            return Ok(Some(Exited { code: exit::exit_code(status), signal }));
        }
        loop {
            match waitpid(None, Some(WaitPidFlag::WNOHANG | WaitPidFlag::WUNTRACED)) {
                Ok(WaitStatus::Exited(pid, code)) if pid == self.task => {
                    return Ok(Some(Exited::with(code)));
                }
                Ok(WaitStatus::Signaled(pid, signal, _)) if pid == self.task => {
                    return Ok(Some(Exited::killed(signal as i32)));
                }
                // Ctrl-Z would not stop the task if it were the first process, whose parent is in another
                // session, and there is no shell to continue it.
                Ok(WaitStatus::Stopped(pid, Signal::SIGTSTP)) if pid == self.task && self.terminal => {
                    let _ = killpg(pid, Signal::SIGCONT);
                }
                Ok(WaitStatus::StillAlive) | Err(Errno::ECHILD) => return Ok(None),
                // Another process. EINVAL: a signal without a name killed it.
                Ok(_) | Err(Errno::EINVAL | Errno::EINTR) => {}
                Err(error) => return Err(error.into()),
            }
        }
    }
}

/// Reaps processes that exited after the task. Returns whether others still run.
pub(super) fn others_run() -> bool {
    loop {
        match waitpid(None, Some(WaitPidFlag::WNOHANG)) {
            Ok(WaitStatus::StillAlive) => return true,
            Ok(_) | Err(Errno::EINVAL | Errno::EINTR) => {}
            Err(_) => return false,
        }
    }
}
