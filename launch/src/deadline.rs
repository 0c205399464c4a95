//! One limit over several steps.

use std::time::{Duration, Instant};

/// A point in time that no step may pass, and the limit that led to it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Deadline {
    start: Instant,
    limit: Duration,
}

impl Deadline {
    pub(crate) fn after(limit: Duration) -> Self {
        Self { start: Instant::now(), limit }
    }

    /// The whole limit, for sentences.
    pub(crate) fn limit(&self) -> Duration {
        self.limit
    }

    /// What is left; `None` once it has passed, so that a timeout made from it is never zero.
    pub(crate) fn left(&self) -> Option<Duration> {
        self.limit.checked_sub(self.start.elapsed()).filter(|left| !left.is_zero())
    }
}
