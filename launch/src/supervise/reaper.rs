//! Reaps child processes: the task and, in the first process of a container, orphaned processes.

use std::io;
use std::process::Child;

use nix::errno::Errno;
use nix::sys::signal::{Signal, killpg};
use nix::sys::wait::{WaitPidFlag, WaitStatus, waitpid};
use nix::unistd::Pid;

use super::task::Started;
use crate::exit;

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

    /// Reaps processes that have exited. Returns the exit code of the task if it is one of them.
    pub(super) fn reap(&mut self) -> io::Result<Option<u8>> {
        // With std first, which supports real-time signals.
        if let Some(status) = self.child.try_wait()? {
            return Ok(Some(exit::exit_code(status)));
        }
        loop {
            match waitpid(None, Some(WaitPidFlag::WNOHANG | WaitPidFlag::WUNTRACED)) {
                Ok(WaitStatus::Exited(pid, code)) if pid == self.task => {
                    return Ok(Some(exit::low_byte(code)));
                }
                Ok(WaitStatus::Signaled(pid, signal, _)) if pid == self.task => {
                    return Ok(Some(exit::SIGNALED | exit::low_byte(signal as i32)));
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
