//! Metrics of all roles that serve requests: connections, handshakes, and the expiration of the certificate.

use prometheus_client::encoding::{EncodeLabelSet, text};
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::info::Info;
use prometheus_client::registry::{Registry, Unit};

use super::listener::HandshakeFailure;

/// The content type of [`encode`]: the `OpenMetrics` text format that Prometheus scrapes.
pub const CONTENT_TYPE: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// The metrics of a listener. Clones share them.
#[derive(Debug, Clone, Default)]
pub struct ServerMetrics {
    /// Open connections, including those with a handshake in progress.
    pub connections: Gauge,
    handshake_failures: Family<HandshakeLabels, Counter>,
    certificate_expiry: Gauge,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct HandshakeLabels {
    reason: &'static str,
}

/// Increments a gauge until it is dropped.
pub struct Counted(Gauge);

impl Counted {
    /// Increments `gauge`.
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
    /// Registers these metrics and the version of the program.
    pub fn register(&self, registry: &mut Registry) {
        register_build(registry);
        registry.register(
            "connections",
            "Open connections, including those with a handshake in progress",
            self.connections.clone(),
        );
        registry.register(
            "handshake_failures",
            "Failed TLS handshakes, by reason; untrusted means that the caller does not trust the CA of Bootlace",
            self.handshake_failures.clone(),
        );
        registry.register_with_unit(
            "certificate_expiry_timestamp",
            "Expiration of the serving certificate, in Unix time; 0 if there is no certificate",
            Unit::Seconds,
            self.certificate_expiry.clone(),
        );
    }

    /// Adds a series to each family for the reference page, because an empty family is not encoded.
    pub(crate) fn add_examples(&self) {
        self.handshake_failures
            .get_or_create(&HandshakeLabels { reason: HandshakeFailure::Untrusted.as_str() })
            .inc_by(0);
    }

    /// Counts a failed handshake.
    pub fn handshake_failed(&self, failure: HandshakeFailure) {
        self.handshake_failures.get_or_create(&HandshakeLabels { reason: failure.as_str() }).inc();
    }

    /// Sets the expiration of the serving certificate, in Unix time.
    pub fn certificate_expires(&self, unix_seconds: i64) {
        self.certificate_expiry.set(unix_seconds);
    }
}

/// Registers the version of the program.
pub fn register_build(registry: &mut Registry) {
    let build = Info::new(vec![("version", env!("CARGO_PKG_VERSION"))]);
    registry.register("build", "The version of the program", build);
}

/// The metrics of a registry as text.
///
/// # Errors
/// No error is known, because the text is written to memory.
pub fn encode(registry: &Registry) -> Result<String, std::fmt::Error> {
    let mut page = String::new();
    text::encode(&mut page, registry)?;
    Ok(page)
}
