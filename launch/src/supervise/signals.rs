//! The signals that the launcher is sent.

use std::io;
use std::os::fd::AsFd;
use std::time::Duration;

use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::signal::{SigSet, Signal};
use nix::sys::signalfd::{SfdFlags, SignalFd};

/// Every signal of this process, held back and handed out one by one.
pub(super) struct Signals(SignalFd);

impl Signals {
    /// Holds every signal back. The faults among them still end the process where it causes them itself.
    pub(super) fn block() -> io::Result<Self> {
        let all = SigSet::all();
        all.thread_set_mask()?;
        Ok(Self(SignalFd::with_flags(&all, SfdFlags::SFD_CLOEXEC | SfdFlags::SFD_NONBLOCK)?))
    }

    /// The next signal, or `None` after a time. Real-time signals, which have no name, are passed over.
    pub(super) fn next(&self, within: Option<Duration>) -> io::Result<Option<Signal>> {
        loop {
            if let Some(info) = self.0.read_signal()? {
                match i32::try_from(info.ssi_signo).ok().and_then(|number| Signal::try_from(number).ok()) {
                    Some(signal) => return Ok(Some(signal)),
                    None => continue,
                }
            }
            let timeout = match within {
                None => PollTimeout::NONE,
                // Rounded up, so that a time below a millisecond is none that spins.
                Some(time) => {
                    PollTimeout::try_from(time + Duration::from_millis(1)).unwrap_or(PollTimeout::MAX)
                }
            };
            match poll(&mut [PollFd::new(self.0.as_fd(), PollFlags::POLLIN)], timeout) {
                Ok(0) => return Ok(None),
                Ok(_) | Err(Errno::EINTR) => {}
                Err(error) => return Err(error.into()),
            }
        }
    }
}
