//! A timeout for several operations.

use std::time::{Duration, Instant};

/// The end of a timeout.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Deadline {
    start: Instant,
    limit: Duration,
}

impl Deadline {
    pub(crate) fn after(limit: Duration) -> Self {
        Self { start: Instant::now(), limit }
    }

    /// The whole timeout, for messages.
    pub(crate) fn limit(&self) -> Duration {
        self.limit
    }

    /// The remaining time. `None` after the deadline, so that it is never zero.
    pub(crate) fn left(&self) -> Option<Duration> {
        self.limit.checked_sub(self.start.elapsed()).filter(|left| !left.is_zero())
    }

    /// The same timeout without the time since `since`.
    pub(crate) fn without(self, since: Instant) -> Self {
        Self { start: self.start + since.elapsed(), ..self }
    }
}
