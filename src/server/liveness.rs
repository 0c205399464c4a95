//! Detects loops that have stopped, although they should run until the process ends: `/healthz` then fails,
//! and the kubelet restarts the container.
//!
//! Errors of a loop do not matter here. While the API server is down, all loops continue with errors, and a
//! restart would not help. But a loop that panicked or waits forever does nothing until the process is
//! restarted.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use tokio::time::Instant;

/// How long a loop may have no heartbeat. An iteration of the longest one makes a few requests, each of which
/// has a timeout ([`super::api_client::API_REQUEST_TIMEOUT`]).
const MAX_SILENCE: Duration = Duration::from_mins(3);

/// The loops that must run.
#[derive(Debug)]
pub struct Liveness {
    max_silence: Duration,
    beats: Mutex<BTreeMap<&'static str, Instant>>,
}

impl Default for Liveness {
    fn default() -> Self {
        Self::new(MAX_SILENCE)
    }
}

impl Liveness {
    /// Loops may have no heartbeat for `max_silence`.
    #[must_use]
    pub fn new(max_silence: Duration) -> Self {
        Self { max_silence, beats: Mutex::default() }
    }

    /// Expects the loop `name` to run from now on.
    #[must_use]
    pub fn expect(self: &Arc<Self>, name: &'static str) -> Heartbeat {
        let beat = Heartbeat { liveness: Arc::clone(self), name };
        beat.now();
        beat
    }

    /// A message for each loop that has stopped; empty if all run.
    #[must_use]
    pub fn report(&self) -> Vec<String> {
        let silent = |(name, since): (&&str, &Instant)| {
            let silence = since.elapsed();
            (silence > self.max_silence)
                .then(|| format!("the loop for {name} had no heartbeat for {} s", silence.as_secs()))
        };
        self.beats.lock().iter().filter_map(silent).collect()
    }
}

/// A loop shows with this that it runs. Dropping it changes nothing, because a loop that ended has stopped
/// too, unless it was meant to end ([`Heartbeat::end`]).
#[derive(Debug)]
pub struct Heartbeat {
    liveness: Arc<Liveness>,
    name: &'static str,
}

impl Heartbeat {
    /// Records a heartbeat.
    pub fn now(&self) {
        self.liveness.beats.lock().insert(self.name, Instant::now());
    }

    /// Sleeps, with heartbeats.
    pub async fn sleep(&self, time: Duration) {
        let mut remaining = time;
        while !remaining.is_zero() {
            self.now();
            let pause = remaining.min(EVERY);
            tokio::time::sleep(pause).await;
            remaining = remaining.saturating_sub(pause);
        }
    }

    /// The loop has ended as intended, and need not run any more.
    pub fn end(self) {
        self.liveness.beats.lock().remove(self.name);
    }
}

/// The interval of heartbeats of a loop that has no other work.
pub const EVERY: Duration = Duration::from_secs(10);

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_loop_that_stops_or_ends_is_reported() {
        let liveness = Arc::new(Liveness::default());
        let (first, second) = (liveness.expect("profiles"), liveness.expect("certificates"));
        for _ in 0..100 {
            tokio::time::advance(EVERY).await;
            first.now();
            second.now();
        }
        assert!(liveness.report().is_empty());
        drop(second);
        tokio::time::advance(MAX_SILENCE).await;
        first.now();
        tokio::time::advance(EVERY).await;
        assert_eq!(liveness.report(), ["the loop for certificates had no heartbeat for 190 s"]);
    }
}
