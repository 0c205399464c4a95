//! The metrics of the monitor.

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Registry;

use crate::server::metrics::register_build;

/// The registry and its metrics.
#[derive(Debug)]
pub struct MonitorMetrics {
    registry: Registry,
    leads: Gauge,
    starting: Gauge,
    running: Gauge,
    failed: Family<FailedLabels, Counter>,
    aborts: Family<AbortLabels, Counter>,
    errors: Counter,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct FailedLabels {
    reason: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct AbortLabels {
    outcome: &'static str,
}

impl Default for MonitorMetrics {
    fn default() -> Self {
        let mut registry = Registry::with_prefix("bootlace");
        register_build(&mut registry);
        let (leads, starting, running) = <(Gauge, Gauge, Gauge)>::default();
        let (failed, aborts, errors) = <(Family<_, _>, Family<_, _>, Counter)>::default();
        registry.register("monitor_leads", "Whether this replica leads; the others wait", leads.clone());
        registry.register(
            "monitor_pods_starting",
            "Pods with a limit on their launch that have not started; 0 if this replica does not lead",
            starting.clone(),
        );
        registry.register(
            "monitor_pods_with_failed_sidecars",
            "Running pods that will be failed, because another container has failed",
            running.clone(),
        );
        registry.register(
            "monitor_pods_failed",
            "Pods that this replica failed, by reason",
            Family::clone(&failed),
        );
        registry.register(
            "monitor_aborts",
            "Aborts of pods that are gone, by outcome: sent, or failed if something is left to do",
            Family::clone(&aborts),
        );
        registry.register(
            "monitor_errors",
            "Attempts to check a pod or an Abort that failed, because the API server refused a request or did not answer",
            errors.clone(),
        );
        Self { registry, leads, starting, running, failed, aborts, errors }
    }
}

impl MonitorMetrics {
    /// Metrics with a series in each family, for the reference page, because an empty family is not encoded.
    #[must_use]
    pub fn with_examples() -> Self {
        let metrics = Self::default();
        metrics.failed("StartTimeout");
        metrics.abort_ended("sent");
        metrics
    }

    /// Sets whether this replica leads.
    pub(super) fn leads(&self, leads: bool) {
        self.leads.set(leads.into());
        if !leads {
            self.watched(0, 0);
        }
    }

    /// Sets the number of pods in each queue.
    pub(super) fn watched(&self, starting: usize, running: usize) {
        self.starting.set(i64::try_from(starting).unwrap_or(i64::MAX));
        self.running.set(i64::try_from(running).unwrap_or(i64::MAX));
    }

    /// The number of pods that have not started.
    #[must_use]
    pub fn starting(&self) -> i64 {
        self.starting.get()
    }

    /// Counts a failed pod.
    pub(super) fn failed(&self, reason: &'static str) {
        self.failed.get_or_create(&FailedLabels { reason }).inc();
    }

    /// Counts an Abort.
    pub(super) fn abort_ended(&self, outcome: &'static str) {
        self.aborts.get_or_create(&AbortLabels { outcome }).inc();
    }

    /// Counts an attempt that failed.
    pub(super) fn action_failed(&self) {
        self.errors.inc();
    }
}

impl AsRef<Registry> for MonitorMetrics {
    fn as_ref(&self) -> &Registry {
        &self.registry
    }
}
