//! What every role that serves counts: connections, handshakes, the certificate's end.

use prometheus_client::encoding::{EncodeLabelSet, text};
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::info::Info;
use prometheus_client::registry::{Registry, Unit};

use super::listener::HandshakeFailure;

/// The content type of [`encode`]: the `OpenMetrics` text format that Prometheus scrapes.
pub const CONTENT_TYPE: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// What is counted of a listener. A clone counts into the same figures.
#[derive(Debug, Clone, Default)]
pub struct ServerMetrics {
    /// Connections that are open, a handshake in progress included.
    pub connections: Gauge,
    handshake_failures: Family<HandshakeLabels, Counter>,
    certificate_expiry: Gauge,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct HandshakeLabels {
    reason: &'static str,
}

/// Counts one for as long as it lives, however that ends.
pub struct Counted(Gauge);

impl Counted {
    /// One more of what `gauge` counts.
    #[must_use]
    pub fn of(gauge: &Gauge) -> Self {
        gauge.inc();
        Self(gauge.clone())
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        self.0.dec();
    }
}

impl ServerMetrics {
    /// Puts these figures, and the version that runs, on a role's page.
    pub fn register(&self, registry: &mut Registry) {
        let build = Info::new(vec![("version", env!("CARGO_PKG_VERSION"))]);
        registry.register("build", "The version that runs", build);
        registry.register(
            "connections",
            "Connections open, handshakes in progress included",
            self.connections.clone(),
        );
        registry.register(
            "handshake_failures",
            "TLS handshakes that failed, by reason; untrusted means that the caller does not trust our CA",
            self.handshake_failures.clone(),
        );
        registry.register_with_unit(
            "certificate_expiry_timestamp",
            "When the serving certificate expires, in Unix time; 0 while there is none",
            Unit::Seconds,
            self.certificate_expiry.clone(),
        );
    }

    /// Adds a series to every family. The reference page of metrics needs them, because an empty family is not encoded.
    pub(crate) fn add_examples(&self) {
        self.handshake_failures
            .get_or_create(&HandshakeLabels { reason: HandshakeFailure::Untrusted.as_str() })
            .inc_by(0);
    }

    /// Counts a failed handshake.
    pub fn handshake_failed(&self, failure: HandshakeFailure) {
        self.handshake_failures.get_or_create(&HandshakeLabels { reason: failure.as_str() }).inc();
    }

    /// Notes when the serving certificate expires, in Unix time.
    pub fn certificate_expires(&self, unix_seconds: i64) {
        self.certificate_expiry.set(unix_seconds);
    }
}

/// A page of figures as text.
///
/// # Errors
/// None that is known: text is written to memory.
pub fn encode(registry: &Registry) -> Result<String, std::fmt::Error> {
    let mut page = String::new();
    text::encode(&mut page, registry)?;
    Ok(page)
}
