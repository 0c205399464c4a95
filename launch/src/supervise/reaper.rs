//! The children that have ended: the task, and as the container's first process whatever lost its own parent.

use std::io;
use std::process::Child;

use nix::errno::Errno;
use nix::sys::signal::{Signal, killpg};
use nix::sys::wait::{WaitPidFlag, WaitStatus, waitpid};
use nix::unistd::Pid;

use super::task::Started;
use crate::exit;

/// Takes the task's exit code, and the others' so that they do not stay as zombies.
pub(super) struct Reaper {
    child: Child,
    task: Pid,
    /// Whether the task has the container's terminal.
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

    /// Reaps what has ended. Gives what the task ended with, once it has.
    pub(super) fn reap(&mut self) -> io::Result<Option<u8>> {
        // By std first, which also knows an end by a real-time signal.
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
                // As a container's first process, with no parent in its session, the task would not be stopped by
                // its terminal's Ctrl-Z; nor is there a shell that could continue it.
                Ok(WaitStatus::Stopped(pid, Signal::SIGTSTP)) if pid == self.task && self.terminal => {
                    let _ = killpg(pid, Signal::SIGCONT);
                }
                Ok(WaitStatus::StillAlive) | Err(Errno::ECHILD) => return Ok(None),
                // Somebody else's end; EINVAL is one by a signal that has no name.
                Ok(_) | Err(Errno::EINVAL | Errno::EINTR) => {}
                Err(error) => return Err(error.into()),
            }
        }
    }
}

/// Reaps what has ended after the task. Whether there are others that have not.
pub(super) fn others_run() -> bool {
    loop {
        match waitpid(None, Some(WaitPidFlag::WNOHANG)) {
            Ok(WaitStatus::StillAlive) => return true,
            Ok(_) | Err(Errno::EINVAL | Errno::EINTR) => {}
            Err(_) => return false,
        }
    }
}
