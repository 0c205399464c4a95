//! Whether the loops that run for as long as the process does are still running: `/healthz` fails when one of them is not,
//! and the kubelet restarts the container.
//!
//! What a loop achieves does not matter here. While the API server is down they all go on, with errors, and a restart would
//! help nobody; a loop that panicked or waits for what never comes does nothing any more until somebody restarts it.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

/// How long a loop may be silent. A turn of the longest one makes a handful of requests, each of which is limited
/// ([`super::api_client::API_REQUEST_TIMEOUT`]).
const PATIENCE: Duration = Duration::from_mins(3);

/// The loops that have to run.
#[derive(Debug)]
pub struct Liveness {
    patience: Duration,
    beats: Mutex<BTreeMap<&'static str, Instant>>,
}

impl Default for Liveness {
    fn default() -> Self {
        Self::new(PATIENCE)
    }
}

impl Liveness {
    /// For loops that may be silent for `patience`.
    #[must_use]
    pub fn new(patience: Duration) -> Self {
        Self { patience, beats: Mutex::default() }
    }

    /// Expects the loop `name` to run from now on.
    #[must_use]
    pub fn expect(self: &Arc<Self>, name: &'static str) -> Heartbeat {
        let beat = Heartbeat { liveness: Arc::clone(self), name };
        beat.now();
        beat
    }

    /// A sentence for each loop that has stopped; none where all run.
    #[must_use]
    pub fn report(&self) -> Vec<String> {
        let silent = |(name, since): (&&str, &Instant)| {
            let silence = since.elapsed();
            (silence > self.patience)
                .then(|| format!("what keeps {name} has been silent for {} s", silence.as_secs()))
        };
        self.beats().iter().filter_map(silent).collect()
    }

    // A holder of the lock that panicked left the map as it was: each change is one call.
    fn beats(&self) -> MutexGuard<'_, BTreeMap<&'static str, Instant>> {
        self.beats.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// By which a loop shows that it runs. Dropping it changes nothing: a loop that ended is one that has stopped.
#[derive(Debug)]
pub struct Heartbeat {
    liveness: Arc<Liveness>,
    name: &'static str,
}

impl Heartbeat {
    /// The loop runs.
    pub fn now(&self) {
        self.liveness.beats().insert(self.name, Instant::now());
    }
}

/// How often a loop that has nothing to do shows that it runs.
pub const EVERY: Duration = Duration::from_secs(10);

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_loop_that_stops_or_ends_is_named() {
        let liveness = Arc::new(Liveness::default());
        let (first, second) = (liveness.expect("profiles"), liveness.expect("certificates"));
        for _ in 0..100 {
            tokio::time::advance(EVERY).await;
            first.now();
            second.now();
        }
        assert!(liveness.report().is_empty());
        drop(second);
        tokio::time::advance(PATIENCE).await;
        first.now();
        tokio::time::advance(EVERY).await;
        assert_eq!(liveness.report(), ["what keeps certificates has been silent for 190 s"]);
    }
}
