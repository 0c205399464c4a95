//! Limits the number of log lines if callers decide how many there are.

use std::time::{Duration, Instant};

use parking_lot::Mutex;

/// Allows a burst of lines, and then one line per interval.
#[derive(Debug)]
pub struct Sampler {
    burst: u32,
    interval: Duration,
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    bucket: TokenBucket,
    /// Lines that were skipped since the last line that was logged.
    skipped: u64,
}

impl Sampler {
    /// Allows `burst` lines at once, and one more per `interval`.
    #[must_use]
    pub fn new(burst: u32, interval: Duration) -> Self {
        Self { burst, interval, state: Mutex::new(State { bucket: TokenBucket::full(burst), skipped: 0 }) }
    }

    /// Whether a line may be logged now; if so, the number of lines that were skipped since the last one.
    #[must_use]
    pub fn may_log(&self, now: Instant) -> Option<u64> {
        let mut state = self.state.lock();
        if !state.bucket.take(self.burst, self.interval, now) {
            state.skipped = state.skipped.saturating_add(1);
            return None;
        }
        Some(std::mem::take(&mut state.skipped))
    }
}

/// What is allowed at once, and then one more per interval.
#[derive(Debug)]
pub(crate) struct TokenBucket {
    /// What is allowed now.
    available: u32,
    /// When `available` was last increased.
    increased: Option<Instant>,
}

impl TokenBucket {
    /// A bucket with `burst` tokens.
    pub(crate) fn full(burst: u32) -> Self {
        Self { available: burst, increased: None }
    }

    /// Removes a token, and returns whether there was one at `now`. The bucket has at most `burst` tokens,
    /// and gets one per `interval`.
    pub(crate) fn take(&mut self, burst: u32, interval: Duration, now: Instant) -> bool {
        let increased = *self.increased.get_or_insert(now);
        let periods = now.saturating_duration_since(increased).as_millis() / interval.as_millis().max(1);
        if let Ok(periods @ 1..) = u32::try_from(periods) {
            self.available = self.available.saturating_add(periods).min(burst);
            self.increased = Some(now);
        }
        let is_allowed = self.available > 0;
        self.available = self.available.saturating_sub(1);
        is_allowed
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_burst_is_logged_and_then_one_line_per_interval() {
        let (sampler, start) = (Sampler::new(3, Duration::from_secs(2)), Instant::now());
        let log = |seconds: u64| sampler.may_log(start + Duration::from_secs(seconds));
        assert_eq!([log(0), log(0), log(0), log(0), log(1)], [Some(0), Some(0), Some(0), None, None]);
        assert_eq!([log(2), log(2)], [Some(2), None]);
        assert_eq!([log(4), log(5)], [Some(1), None]);
        // Never more than the burst, even after a long pause.
        let later: Vec<_> = (0..5).filter_map(|_| log(1000)).collect();
        assert_eq!(later, [1, 0, 0]);
    }
}
