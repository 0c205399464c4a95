//! Circuit breakers for registries: after repeated failures there are no requests for a while, so that pods
//! do not wait for a registry that is down.

use std::time::Duration;

use parking_lot::Mutex;
use prometheus_client::metrics::gauge::Gauge;
use tokio::time::Instant;

use super::LookupError;
use crate::server::ttl_cache::{Ttl, TtlCache};

/// The number of consecutive failures that open a circuit.
const FAILURES: u32 = 3;
/// How long a circuit stays open. After that, one lookup can try.
const OPEN: Duration = Duration::from_secs(30);
/// The maximum number of registries with failures, because the author of a pod can choose any registry.
const MAX_HOSTS: usize = 256;

/// The circuits of the registries whose last request failed.
#[derive(Debug)]
pub(super) struct CircuitBreakers {
    failing: Mutex<TtlCache<String, Failing>>,
    open: Gauge,
}

#[derive(Debug)]
struct Failing {
    failures: u32,
    last: String,
    at: Instant,
    /// Whether a lookup tries the registry at the moment.
    trying: bool,
}

impl Failing {
    fn is_open(&self) -> bool {
        self.failures >= FAILURES
    }
}

/// The permission for one lookup, whose result is passed to [`Permit::end`]. If it is dropped without a
/// result, it counts as neither success nor failure.
#[derive(Debug)]
pub(super) struct Permit<'c> {
    circuits: &'c CircuitBreakers,
    host: String,
}

impl CircuitBreakers {
    /// All circuits are closed. `open` is the number of open ones.
    pub(super) fn new(open: Gauge) -> Self {
        Self { failing: Mutex::new(TtlCache::new(MAX_HOSTS)), open }
    }

    /// Requests the permission for a lookup.
    ///
    /// # Errors
    /// The circuit is open, or another lookup tries the registry at the moment.
    pub(super) fn permit(&self, host: &str) -> Result<Permit<'_>, LookupError> {
        let (host, mut all) = (host.to_owned(), self.failing.lock());
        if let Some(failing) = all.get_mut(&host).filter(|failing| failing.is_open()) {
            let left = OPEN.saturating_sub(failing.at.elapsed());
            if !left.is_zero() || failing.trying {
                return Err(LookupError::CircuitOpen { host, left, last: failing.last.clone() });
            }
            failing.trying = true;
        }
        Ok(Permit { circuits: self, host })
    }

    fn count(&self, all: &TtlCache<String, Failing>) {
        let open = all.values().filter(|failing| failing.is_open()).count();
        self.open.set(i64::try_from(open).unwrap_or(i64::MAX));
    }
}

impl Permit<'_> {
    /// Records the result: the error, if the registry caused it.
    pub(super) fn end(self, outage: Option<&LookupError>) {
        let mut all = self.circuits.failing.lock();
        let before = all.remove(&self.host);
        if let Some(error) = outage {
            let failures = before.map_or(0, |failing| failing.failures).saturating_add(1);
            let failing = Failing { failures, last: error.to_string(), at: Instant::now(), trying: false };
            all.insert(self.host.clone(), failing, Ttl::Unlimited);
        }
        self.circuits.count(&all);
    }
}

impl Drop for Permit<'_> {
    fn drop(&mut self) {
        // After a cancelled lookup, another one can try.
        if let Some(failing) = self.circuits.failing.lock().get_mut(&self.host) {
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
        circuits.permit(host).unwrap().end(Some(&outage()));
    }

    #[tokio::test(start_paused = true)]
    async fn a_circuit_opens_allows_one_attempt_and_closes() {
        let gauge = Gauge::default();
        let circuits = CircuitBreakers::new(gauge.clone());
        fail(&circuits, "a.example");
        fail(&circuits, "a.example");
        circuits.permit("a.example").unwrap().end(None);
        for _ in 0..3 {
            assert_eq!(gauge.get(), 0);
            fail(&circuits, "a.example");
        }
        assert_eq!(gauge.get(), 1);
        let error = circuits.permit("a.example").unwrap_err();
        assert!(matches!(&error, LookupError::CircuitOpen { left, .. } if left.as_secs() == 30), "{error}");
        circuits.permit("b.example").unwrap().end(None);

        tokio::time::advance(OPEN).await;
        let probe = circuits.permit("a.example").unwrap();
        circuits.permit("a.example").unwrap_err();
        probe.end(Some(&outage()));
        circuits.permit("a.example").unwrap_err();

        tokio::time::advance(OPEN).await;
        drop(circuits.permit("a.example").unwrap());
        circuits.permit("a.example").unwrap().end(None);
        assert_eq!(gauge.get(), 0);
        fail(&circuits, "a.example");
        circuits.permit("a.example").unwrap();
    }

    #[test]
    fn the_number_of_failing_registries_is_limited() {
        let circuits = CircuitBreakers::new(Gauge::default());
        for number in 0..MAX_HOSTS + 5 {
            fail(&circuits, &format!("{number}.example"));
        }
        assert_eq!(circuits.failing.lock().values().count(), MAX_HOSTS);
    }
}
