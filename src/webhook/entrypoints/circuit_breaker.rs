//! Whether a registry is worth asking: one that fails again and again is left alone for a while, so that each pod does
//! not wait for the same nothing.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use prometheus_client::metrics::gauge::Gauge;
use tokio::time::Instant;

use super::LookupError;

/// Failures one after another that open a circuit.
const FAILURES: u32 = 3;
/// How long it stays open; then one lookup may try.
const OPEN: Duration = Duration::from_secs(30);
/// How many registries are kept in mind. Only those that failed are; a pod's author may name any.
const MAX_HOSTS: usize = 256;

/// The circuits by registry: those that failed since they last answered.
#[derive(Debug)]
pub(super) struct CircuitBreakers {
    failing: Mutex<HashMap<String, Failing>>,
    open: Gauge,
}

#[derive(Debug)]
struct Failing {
    failures: u32,
    last: String,
    at: Instant,
    /// A lookup that tries whether it is over.
    trying: bool,
}

impl Failing {
    fn is_open(&self) -> bool {
        self.failures >= FAILURES
    }
}

/// The right to ask a registry once. What comes of it is to be told by [`Permit::ended`]; dropped without, it was
/// neither good nor bad.
#[derive(Debug)]
pub(super) struct Permit<'c> {
    circuits: &'c CircuitBreakers,
    host: String,
}

impl CircuitBreakers {
    /// All closed. `open` counts those that are not.
    pub(super) fn new(open: Gauge) -> Self {
        Self { failing: Mutex::default(), open }
    }

    /// Asks for the right to ask.
    ///
    /// # Errors
    /// Where the circuit is open, or somebody else tries just now whether it still must be.
    pub(super) fn permit(&self, host: &str) -> Result<Permit<'_>, LookupError> {
        let mut all = self.failing();
        if let Some(failing) = all.get_mut(host).filter(|failing| failing.is_open()) {
            let left = OPEN.saturating_sub(failing.at.elapsed());
            if !left.is_zero() || failing.trying {
                let (host, last) = (host.to_owned(), failing.last.clone());
                return Err(LookupError::CircuitOpen { host, left, last });
            }
            failing.trying = true;
        }
        Ok(Permit { circuits: self, host: host.to_owned() })
    }

    fn failing(&self) -> MutexGuard<'_, HashMap<String, Failing>> {
        self.failing.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn count(&self, all: &HashMap<String, Failing>) {
        let open = all.values().filter(|failing| failing.is_open()).count();
        self.open.set(i64::try_from(open).unwrap_or(i64::MAX));
    }
}

impl Permit<'_> {
    /// Tells what came of it: the failure, if it is the registry's.
    pub(super) fn ended(self, outage: Option<&LookupError>) {
        let mut all = self.circuits.failing();
        match outage {
            None => drop(all.remove(&self.host)),
            Some(error) => {
                if all.len() >= MAX_HOSTS && !all.contains_key(&self.host) {
                    let oldest =
                        all.iter().min_by_key(|(_, failing)| failing.at).map(|(host, _)| host.clone());
                    oldest.and_then(|host| all.remove(&host));
                }
                let fresh =
                    || Failing { failures: 0, last: String::new(), at: Instant::now(), trying: false };
                let failing = all.entry(self.host.clone()).or_insert_with(fresh);
                failing.failures = failing.failures.saturating_add(1);
                failing.last = error.to_string();
                failing.at = Instant::now();
                failing.trying = false;
            }
        }
        self.circuits.count(&all);
    }
}

impl Drop for Permit<'_> {
    fn drop(&mut self) {
        // A lookup that was dropped must not be the only one that may try.
        if let Some(failing) = self.circuits.failing().get_mut(&self.host) {
            failing.trying = false;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn outage() -> LookupError {
        LookupError::TimedOut { host: "a.example".to_owned(), after: Duration::from_secs(3) }
    }

    fn fail(circuits: &CircuitBreakers, host: &str) {
        circuits.permit(host).unwrap().ended(Some(&outage()));
    }

    #[tokio::test(start_paused = true)]
    async fn a_circuit_opens_lets_one_try_and_closes() {
        let gauge = Gauge::default();
        let circuits = CircuitBreakers::new(gauge.clone());
        fail(&circuits, "a.example");
        fail(&circuits, "a.example");
        circuits.permit("a.example").unwrap().ended(None);
        for _ in 0..3 {
            assert_eq!(gauge.get(), 0);
            fail(&circuits, "a.example");
        }
        assert_eq!(gauge.get(), 1);
        let error = circuits.permit("a.example").unwrap_err().to_string();
        assert!(
            error.starts_with(
                "a.example is not asked for another 30 s, because its last answers failed: a.example did"
            ),
            "{error}"
        );
        circuits.permit("b.example").unwrap().ended(None);

        tokio::time::advance(OPEN).await;
        let probe = circuits.permit("a.example").unwrap();
        circuits.permit("a.example").unwrap_err();
        probe.ended(Some(&outage()));
        circuits.permit("a.example").unwrap_err();

        tokio::time::advance(OPEN).await;
        drop(circuits.permit("a.example").unwrap());
        circuits.permit("a.example").unwrap().ended(None);
        assert_eq!(gauge.get(), 0);
        fail(&circuits, "a.example");
        circuits.permit("a.example").unwrap();
    }

    #[test]
    fn registries_that_fail_are_bounded() {
        let circuits = CircuitBreakers::new(Gauge::default());
        for number in 0..MAX_HOSTS + 5 {
            fail(&circuits, &format!("{number}.example"));
        }
        assert_eq!(circuits.failing().len(), MAX_HOSTS);
    }
}
