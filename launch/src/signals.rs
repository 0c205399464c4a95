//! The signals of the launcher.

use std::io;
use std::os::fd::AsFd;
use std::time::Duration;

use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::signal::{SigSet, Signal};
use nix::sys::signalfd::{SfdFlags, SignalFd};

/// All signals of this process, blocked and read one by one.
pub(crate) struct Signals {
    fd: SignalFd,
    before: SigSet,
}

/// Whether a signal requests that a process ends. The runtime sends SIGTERM, or the stop signal of the image;
/// the others are from a terminal and from people.
pub(crate) fn ends_tasks(signal: Signal) -> bool {
    matches!(signal, Signal::SIGTERM | Signal::SIGINT | Signal::SIGQUIT)
}

impl Signals {
    /// Blocks all signals. Faults of the process itself still kill it.
    pub(crate) fn block() -> io::Result<Self> {
        let (all, before) = (SigSet::all(), SigSet::thread_get_mask()?);
        all.thread_set_mask()?;
        let fd = SignalFd::with_flags(&all, SfdFlags::SFD_CLOEXEC | SfdFlags::SFD_NONBLOCK)?;
        Ok(Self { fd, before })
    }

    /// The next signal, or `None` after the timeout. Skips real-time signals, which have no name.
    pub(crate) fn next(&self, timeout: Option<Duration>) -> io::Result<Option<Signal>> {
        loop {
            if let Some(info) = self.fd.read_signal()? {
                match i32::try_from(info.ssi_signo).ok().and_then(|number| Signal::try_from(number).ok()) {
                    Some(signal) => return Ok(Some(signal)),
                    None => continue,
                }
            }
            let timeout = match timeout {
                None => PollTimeout::NONE,
                // Rounded up, because a timeout of less than a millisecond would be a busy loop.
                Some(time) => {
                    PollTimeout::try_from(time + Duration::from_millis(1)).unwrap_or(PollTimeout::MAX)
                }
            };
            match poll(&mut [PollFd::new(self.fd.as_fd(), PollFlags::POLLIN)], timeout) {
                Ok(0) => return Ok(None),
                Ok(_) | Err(Errno::EINTR) => {}
                Err(error) => return Err(error.into()),
            }
        }
    }

    /// Restores the signals that were blocked before, for a process that this one executes next.
    pub(crate) fn release(self) -> io::Result<()> {
        Ok(self.before.thread_set_mask()?)
    }
}
