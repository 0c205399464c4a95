//! Metrics of lookups.

use std::time::Duration;

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::{Registry, Unit};

use super::LookupError;
use super::cache::CachedResult;

/// From a cached result to the deadline, in seconds.
const DURATIONS: [f64; 8] = [1e-5, 1e-3, 0.01, 0.05, 0.1, 0.5, 1.0, 3.0];

/// Metrics of lookups.
#[derive(Debug, Clone)]
pub struct EntrypointMetrics {
    lookups: Family<Labels, Counter>,
    durations: Histogram,
    /// Registries with an open circuit.
    pub(super) open_circuits: Gauge,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Labels {
    result: &'static str,
}

impl Default for EntrypointMetrics {
    fn default() -> Self {
        let durations = Histogram::new(DURATIONS);
        Self { lookups: Family::default(), durations, open_circuits: Gauge::default() }
    }
}

impl EntrypointMetrics {
    /// Registers the metrics.
    pub fn register(&self, registry: &mut Registry) {
        registry.register("entrypoint_lookups", "Lookups of entrypoints, by result", self.lookups.clone());
        registry.register_with_unit(
            "entrypoint_lookup_duration",
            "Time that a review waited for an entrypoint",
            Unit::Seconds,
            self.durations.clone(),
        );
        registry.register(
            "entrypoint_circuits_open",
            "Registries without lookups of entrypoints, because the last ones failed",
            self.open_circuits.clone(),
        );
    }

    /// Adds a series to every family, for [`super::super::metrics::WebhookMetrics::with_examples`].
    pub(in crate::webhook) fn add_examples(&self) {
        self.lookups.get_or_create(&Labels { result: "found" }).inc_by(0);
    }

    pub(super) fn looked_up(&self, result: &CachedResult, duration: Duration) {
        let label = match result.as_ref().map_err(|error| &**error) {
            Ok(_) => "found",
            Err(LookupError::TimedOut { .. }) => "timed_out",
            Err(LookupError::CircuitOpen { .. }) => "circuit_open",
            Err(LookupError::Busy(_)) => "busy",
            Err(error) if error.is_outage() => "failed",
            Err(_) => "refused",
        };
        self.lookups.get_or_create(&Labels { result: label }).inc();
        self.durations.observe(duration.as_secs_f64());
    }
}
