//! The metrics of the store.

use std::time::Duration;

use axum::http::StatusCode;
use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::{Registry, Unit};

use crate::server::metrics::ServerMetrics;

/// Buckets in seconds, from two requests to a fast API server to the timeout of a request.
const DURATIONS: [f64; 9] = [5e-3, 10e-3, 25e-3, 50e-3, 0.1, 0.25, 1.0, 5.0, 20.0];

/// The registry and its metrics.
#[derive(Debug)]
pub struct StoreMetrics {
    registry: Registry,
    /// The metrics of the listener.
    pub server: ServerMetrics,
    requests: Family<RequestLabels, Counter>,
    durations: Histogram,
    /// Requests in progress.
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
    reason: &'static str,
}

/// Why a Pipe is removed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RemovalReason {
    /// Its time to live has ended.
    Expired,
    /// It was never completed.
    NotStored,
}

impl RemovalReason {
    /// The reason in the log and in metrics.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Expired => "expired",
            Self::NotStored => "not stored",
        }
    }
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
            "Requests, by method and path, HTTP status, and reason of an error",
            Family::clone(&requests),
        );
        registry.register_with_unit(
            "store_request_duration",
            "Time from the head of a request to its response",
            Unit::Seconds,
            durations.clone(),
        );
        registry.register("store_requests_in_flight", "Requests in progress", in_flight.clone());
        let removed = Family::default();
        registry.register(
            "store_pipes_removed",
            "Pipes that this replica removed because they expired or were never completed",
            Family::clone(&removed),
        );
        Self { registry, server, requests, durations, in_flight, removed }
    }
}

impl StoreMetrics {
    /// Metrics with a series in each family, for the reference page, because an empty family is not encoded.
    #[must_use]
    pub fn with_examples() -> Self {
        let metrics = Self::default();
        metrics.server.add_examples();
        metrics.answered("env", StatusCode::OK, "", Duration::ZERO);
        metrics.removed(RemovalReason::Expired);
        metrics
    }

    /// Counts a request with a response; `reason` is empty if it was successful.
    pub fn answered(&self, request: &'static str, status: StatusCode, reason: &'static str, took: Duration) {
        self.requests.get_or_create(&RequestLabels { request, code: status.as_u16(), reason }).inc();
        self.durations.observe(took.as_secs_f64());
    }

    /// Counts a removed Pipe.
    pub fn removed(&self, reason: RemovalReason) {
        self.removed.get_or_create(&RemovedLabels { reason: reason.as_str() }).inc();
    }
}

impl AsRef<Registry> for StoreMetrics {
    fn as_ref(&self) -> &Registry {
        &self.registry
    }
}
