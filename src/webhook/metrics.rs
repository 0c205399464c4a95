//! The metrics of the webhook, in the `OpenMetrics` text format.

use std::time::Duration;

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::{Registry, Unit};

use super::entrypoints;
use crate::server::metrics::{self, ServerMetrics};
use bootlace_core::admission::ReviewOutcome;

/// From a skipped review to one on an overloaded machine, in seconds.
const DURATIONS: [f64; 11] = [25e-6, 50e-6, 100e-6, 250e-6, 500e-6, 1e-3, 5e-3, 25e-3, 0.1, 1.0, 3.0];

/// From a response of a close API server to a timeout, in seconds.
const LOOKUPS: [f64; 6] = [1e-3, 5e-3, 25e-3, 0.1, 0.5, 2.0];

/// All metrics.
#[derive(Debug)]
pub struct WebhookMetrics {
    registry: Registry,
    reviews: Family<ReviewLabels, Counter>,
    durations: Histogram,
    /// Reviews that are being received or processed.
    pub in_flight: Gauge,
    /// Metrics of the listener.
    pub server: ServerMetrics,
    /// Metrics of lookups of entrypoints.
    pub entrypoints: entrypoints::EntrypointMetrics,
    /// Reviews that were rejected before the first list of profiles.
    pub not_ready: Counter,
    /// Reviews that were rejected because their caller had no valid client certificate.
    pub unknown_callers: Counter,
    profiles: Gauge,
    invalid_profiles: Gauge,
    generations: Family<ProfileLabels, Gauge>,
    ready: Family<ProfileLabels, Gauge>,
    uses: Family<UseLabels, Counter>,
    pipe_lookups: Family<LookupLabels, Counter>,
    pipe_lookup_durations: Histogram,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ProfileLabels {
    profile: String,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct UseLabels {
    profile: String,
    outcome: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct LookupLabels {
    outcome: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ReviewLabels {
    outcome: &'static str,
    reason: &'static str,
}

impl Default for WebhookMetrics {
    fn default() -> Self {
        let mut metrics = Self {
            registry: Registry::with_prefix("bootlace"),
            reviews: Family::default(),
            durations: Histogram::new(DURATIONS),
            in_flight: Gauge::default(),
            server: ServerMetrics::default(),
            entrypoints: entrypoints::EntrypointMetrics::default(),
            not_ready: Counter::default(),
            unknown_callers: Counter::default(),
            profiles: Gauge::default(),
            invalid_profiles: Gauge::default(),
            generations: Family::default(),
            ready: Family::default(),
            uses: Family::default(),
            pipe_lookups: Family::default(),
            pipe_lookup_durations: Histogram::new(LOOKUPS),
        };
        metrics.register();
        metrics
    }
}

impl AsRef<Registry> for WebhookMetrics {
    fn as_ref(&self) -> &Registry {
        &self.registry
    }
}

impl WebhookMetrics {
    fn register(&mut self) {
        let registry = &mut self.registry;
        self.server.register(registry);
        self.entrypoints.register(registry);
        registry.register(
            "reviews",
            "Reviews by outcome and, if the pod was not injected, by reason",
            self.reviews.clone(),
        );
        registry.register_with_unit(
            "review_duration",
            "Time from the last byte of a review to the response, including lookups",
            Unit::Seconds,
            self.durations.clone(),
        );
        registry.register(
            "reviews_in_flight",
            "Reviews that are being received or processed",
            self.in_flight.clone(),
        );
        registry.register(
            "reviews_not_ready",
            "Reviews that were rejected to be retried, because BootProfiles were not listed yet",
            self.not_ready.clone(),
        );
        registry.register(
            "reviews_of_unknown_callers",
            "Reviews that were rejected because the caller had no client certificate of the API server",
            self.unknown_callers.clone(),
        );
        registry.register("profiles", "Active BootProfiles", self.profiles.clone());
        registry.register(
            "profiles_invalid",
            "BootProfiles that are invalid; the last valid version of each stays active",
            self.invalid_profiles.clone(),
        );
        registry.register(
            "profile_generation",
            "The active generation of each BootProfile",
            self.generations.clone(),
        );
        registry.register(
            "profile_ready",
            "Whether the newest generation of each BootProfile is active",
            self.ready.clone(),
        );
        registry.register(
            "profile_reviews",
            "Pods by BootProfile: injected, or refused because of a conflict between pod and profile",
            self.uses.clone(),
        );
        registry.register(
            "pipe_lookups",
            "Lookups of the Pipes of a run, for a pod with inputs",
            self.pipe_lookups.clone(),
        );
        registry.register_with_unit(
            "pipe_lookup_duration",
            "Duration of a lookup of the Pipes of a run",
            Unit::Seconds,
            self.pipe_lookup_durations.clone(),
        );
    }

    /// Metrics with a series in every family, for the reference page, because empty families are not encoded.
    #[must_use]
    pub fn with_examples() -> Self {
        let metrics = Self::default();
        metrics.server.add_examples();
        metrics.entrypoints.add_examples();
        metrics.answered(ReviewOutcome::Injected, Duration::ZERO);
        metrics.used("default", ReviewOutcome::Injected);
        metrics.profile_states([("default", Some(1), true)].into_iter());
        metrics.pipes_looked_up(true, Duration::ZERO);
        metrics
    }

    /// Counts a lookup of the Pipes of a run.
    pub fn pipes_looked_up(&self, found: bool, duration: Duration) {
        let outcome = if found { "found" } else { "failed" };
        self.pipe_lookups.get_or_create(&LookupLabels { outcome }).inc();
        self.pipe_lookup_durations.observe(duration.as_secs_f64());
    }

    /// Counts a review.
    pub fn answered(&self, outcome: ReviewOutcome, duration: Duration) {
        let labels = ReviewLabels { outcome: outcome.as_str(), reason: outcome.reason() };
        self.reviews.get_or_create(&labels).inc();
        self.durations.observe(duration.as_secs_f64());
    }

    /// Counts a pod that was injected or refused by `profile`.
    pub fn used(&self, profile: &str, outcome: ReviewOutcome) {
        let labels = UseLabels { profile: profile.to_owned(), outcome: outcome.as_str() };
        self.uses.get_or_create(&labels).inc();
    }

    /// Sets the active generation of each profile, and whether it is the newest.
    pub fn profile_states<'a>(&self, states: impl Iterator<Item = (&'a str, Option<i64>, bool)>) {
        self.generations.clear();
        self.ready.clear();
        for (profile, generation, ready) in states {
            let labels = ProfileLabels { profile: profile.to_owned() };
            self.ready.get_or_create(&labels).set(i64::from(ready));
            if let Some(generation) = generation {
                self.generations.get_or_create(&labels).set(generation);
            }
        }
    }

    /// Sets the numbers of active and invalid profiles.
    pub fn profiles(&self, active: usize, invalid: usize) {
        self.profiles.set(i64::try_from(active).unwrap_or(i64::MAX));
        self.invalid_profiles.set(i64::try_from(invalid).unwrap_or(i64::MAX));
    }

    /// Encodes the metrics as text.
    ///
    /// # Errors
    /// None is expected, because the text is written to memory.
    pub fn encode(&self) -> Result<String, std::fmt::Error> {
        metrics::encode(&self.registry)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::server::listener::HandshakeFailure;
    use bootlace_core::selection::SkipReason;

    #[test]
    fn the_page_contains_the_metrics() {
        let metrics = WebhookMetrics::default();
        metrics.answered(ReviewOutcome::Skipped(SkipReason::OptedOut), Duration::from_micros(30));
        metrics.server.handshake_failed(HandshakeFailure::Untrusted);
        metrics.server.certificate_expires(1_800_000_000);
        metrics.profiles(3, 1);
        metrics.profile_states([("gone", Some(1), true)].into_iter());
        metrics.profile_states([("etl", Some(4), false)].into_iter());
        metrics.used("etl", ReviewOutcome::Injected);
        let page = metrics.encode().unwrap();
        assert!(!page.contains("gone"), "{page}");
        for line in [
            r#"bootlace_reviews_total{outcome="skipped",reason="opted_out"} 1"#,
            r#"bootlace_review_duration_seconds_bucket{le="0.00005"} 1"#,
            r#"bootlace_handshake_failures_total{reason="untrusted"} 1"#,
            "bootlace_certificate_expiry_timestamp_seconds 1800000000",
            "bootlace_profiles 3",
            "bootlace_profiles_invalid 1",
            r#"bootlace_profile_generation{profile="etl"} 4"#,
            r#"bootlace_profile_ready{profile="etl"} 0"#,
            r#"bootlace_profile_reviews_total{profile="etl",outcome="injected"} 1"#,
            concat!(r#"bootlace_build_info{version=""#, env!("CARGO_PKG_VERSION"), r#""} 1"#),
        ] {
            assert!(page.contains(line), "{line} is not in:\n{page}");
        }
    }
}
