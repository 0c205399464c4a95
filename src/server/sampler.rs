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
    /// Lines that are allowed now.
    available: u32,
    /// When `available` was last increased.
    increased: Option<Instant>,
    /// Lines that were skipped since the last line that was logged.
    skipped: u64,
}

impl Sampler {
    /// Allows `burst` lines at once, and one more per `interval`.
    #[must_use]
    pub fn new(burst: u32, interval: Duration) -> Self {
        Self { burst, interval, state: Mutex::new(State { available: burst, increased: None, skipped: 0 }) }
    }

    /// Whether a line may be logged now; if so, the number of lines that were skipped since the last one.
    #[must_use]
    pub fn may_log(&self, now: Instant) -> Option<u64> {
        let mut state = self.state.lock();
        let increased = *state.increased.get_or_insert(now);
        let periods = now.saturating_duration_since(increased).as_millis() / self.interval.as_millis().max(1);
        if let Ok(periods @ 1..) = u32::try_from(periods) {
            state.available = state.available.saturating_add(periods).min(self.burst);
            state.increased = Some(now);
        }
        if state.available == 0 {
            state.skipped = state.skipped.saturating_add(1);
            return None;
        }
        state.available -= 1;
        Some(std::mem::take(&mut state.skipped))
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
