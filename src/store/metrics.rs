//! What the store counts.

use std::time::Duration;

use axum::http::StatusCode;
use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::{Registry, Unit};

use super::garbage_collector::Reason;
use crate::server::metrics::ServerMetrics;

/// From two calls of an API server at hand to one that a full cluster takes its time for; in seconds.
const DURATIONS: [f64; 9] = [5e-3, 10e-3, 25e-3, 50e-3, 0.1, 0.25, 1.0, 5.0, 20.0];

/// All that is counted.
#[derive(Debug)]
pub struct StoreMetrics {
    registry: Registry,
    /// What the listener counts.
    pub server: ServerMetrics,
    requests: Family<RequestLabels, Counter>,
    durations: Histogram,
    /// Requests that are being read or answered.
    pub in_flight: Gauge,
    removed: Family<RemovedLabels, Counter>,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct RequestLabels {
    request: &'static str,
    code: u16,
    reason: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct RemovedLabels {
    why: &'static str,
}

impl Default for StoreMetrics {
    fn default() -> Self {
        let mut registry = Registry::with_prefix("bootlace");
        let server = ServerMetrics::default();
        server.register(&mut registry);
        let (requests, in_flight) = (Family::default(), Gauge::default());
        let durations = Histogram::new(DURATIONS);
        registry.register(
            "store_requests",
            "Requests answered, by what was asked, HTTP status, and reason where refused",
            Family::clone(&requests),
        );
        registry.register_with_unit(
            "store_request_duration",
            "Time from a request's head to its answer",
            Unit::Seconds,
            durations.clone(),
        );
        registry.register("store_requests_in_flight", "Requests being read or answered", in_flight.clone());
        let removed = Family::default();
        registry.register(
            "store_pipes_removed",
            "Pipes removed by this replica, because they had expired or were never finished",
            Family::clone(&removed),
        );
        Self { registry, server, requests, durations, in_flight, removed }
    }
}

impl StoreMetrics {
    /// Metrics with a series in every family, for the reference page. An empty family is not encoded.
    #[must_use]
    pub fn with_examples() -> Self {
        let metrics = Self::default();
        metrics.server.add_examples();
        metrics.answered("env", StatusCode::OK, "", Duration::ZERO);
        metrics.removed(Reason::Expired);
        metrics
    }

    /// Counts an answered request; `reason` is empty where it was not refused.
    pub fn answered(&self, request: &'static str, status: StatusCode, reason: &'static str, took: Duration) {
        self.requests.get_or_create(&RequestLabels { request, code: status.as_u16(), reason }).inc();
        self.durations.observe(took.as_secs_f64());
    }

    /// Counts a Pipe that was removed.
    pub fn removed(&self, why: Reason) {
        self.removed.get_or_create(&RemovedLabels { why: why.as_str() }).inc();
    }
}

impl AsRef<Registry> for StoreMetrics {
    fn as_ref(&self) -> &Registry {
        &self.registry
    }
}
