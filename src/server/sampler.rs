//! Which of many log lines are written, where callers decide how many there are.

use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

/// Lets some lines through at once, and then one in a while.
#[derive(Debug)]
pub struct Sampler {
    burst: u32,
    every: Duration,
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    /// Lines that may be written now.
    left: u32,
    /// When the last one was added.
    added: Option<Instant>,
    /// Lines that were not written since the last one that was.
    unsaid: u64,
}

impl Sampler {
    /// `burst` lines at once, and another one `every` so often.
    #[must_use]
    pub fn new(burst: u32, every: Duration) -> Self {
        Self { burst, every, state: Mutex::new(State { left: burst, added: None, unsaid: 0 }) }
    }

    /// Whether a line is written now; if so, how many were left out since the last one.
    #[must_use]
    pub fn may_say(&self, now: Instant) -> Option<u64> {
        // Who panicked with the lock in hand left numbers that are whole.
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let added = *state.added.get_or_insert(now);
        let periods = now.saturating_duration_since(added).as_millis() / self.every.as_millis().max(1);
        if let Ok(periods @ 1..) = u32::try_from(periods) {
            state.left = state.left.saturating_add(periods).min(self.burst);
            state.added = Some(now);
        }
        if state.left == 0 {
            state.unsaid = state.unsaid.saturating_add(1);
            return None;
        }
        state.left -= 1;
        Some(std::mem::take(&mut state.unsaid))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_burst_is_written_and_then_one_in_a_while() {
        let (sampler, start) = (Sampler::new(3, Duration::from_secs(2)), Instant::now());
        let said = |seconds: u64| sampler.may_say(start + Duration::from_secs(seconds));
        assert_eq!([said(0), said(0), said(0), said(0), said(1)], [Some(0), Some(0), Some(0), None, None]);
        assert_eq!([said(2), said(2)], [Some(2), None]);
        assert_eq!([said(4), said(5)], [Some(1), None]);
        // Never more than the burst, however long nothing came.
        let later: Vec<_> = (0..5).filter_map(|_| said(1000)).collect();
        assert_eq!(later, [1, 0, 0]);
    }
}
