//! Looks up the entrypoints of images in their registries, for pods without a command.
//!
//! | module | content |
//! |---|---|
//! | `args` | the command line |
//! | `lookup` | the requests to a registry |
//! | `cache` | results, and lookups in progress |
//! | `circuit_breaker` | pauses requests to a registry after failures |
//! | `error` | the errors, with messages for the author of the pod |
//! | `metrics` | the metrics |
//!
//! The author of a pod chooses the image, so lookups are untrusted: they only use TLS, never addresses of the
//! node, and are limited in memory, time and number. A cached result is only used for the same credentials.

mod args;
mod cache;
mod circuit_breaker;
mod error;
mod lookup;
mod metrics;

use std::sync::Arc;
use std::time::Duration;

use rustls::ClientConfig;

pub use args::EntrypointArgs;
pub use error::{LookupError, SetupError};
pub use metrics::EntrypointMetrics;

use crate::http::tls;
use crate::registry::{ImageConfig, Keyring, Platform, Reference, RegistryPattern};
use cache::{Cache, Key};
use circuit_breaker::CircuitBreakers;
use lookup::RegistryLookup;

/// Settings of the installation.
#[derive(Debug, Clone)]
pub struct EntrypointSettings {
    /// The timeout for all requests of a lookup. Less than that of the webhook, because the rest of the
    /// review needs time as well.
    pub deadline: Duration,
    /// Certificate authorities in PEM, in addition to the public ones.
    pub ca: Option<Vec<u8>>,
    /// The registries for lookups, in the format of pull secrets: `registry.example.com`,
    /// `*.example.com:5000`, `registry.example.com/team`. Without this list, the author of a pod could make
    /// the webhook call any host.
    pub registries: Vec<String>,
    /// Whether registries on loopback addresses are allowed, for tests.
    pub loopback: bool,
}

impl Default for EntrypointSettings {
    fn default() -> Self {
        // The timeout of the webhook in the chart is five seconds.
        Self { deadline: Duration::from_secs(2), ca: None, registries: Vec::new(), loopback: false }
    }
}

/// A lookup.
#[derive(Clone, Copy, Debug)]
pub struct EntrypointQuery<'q> {
    /// The image in the spec of the pod.
    pub image: &'q str,
    /// The contents of its pull secrets (`.dockerconfigjson`).
    pub pull_secrets: &'q [Vec<u8>],
    /// The architecture of the node, as in Go. Defaults to that of the webhook, because the entrypoint of an
    /// image is usually the same for all architectures.
    pub architecture: Option<&'q str>,
}

/// Looks up images, with a cache.
#[derive(Debug)]
pub struct Entrypoints {
    cache: Cache,
    lookup: Arc<RegistryLookup>,
    metrics: EntrypointMetrics,
    registries: Vec<RegistryPattern>,
}

impl Entrypoints {
    /// Creates the lookup, without requests.
    ///
    /// # Errors
    /// The certificate authorities are invalid.
    pub fn new(settings: &EntrypointSettings, metrics: EntrypointMetrics) -> Result<Self, SetupError> {
        let tls = tls_config(settings.ca.as_deref())?;
        let circuits = CircuitBreakers::new(metrics.open_circuits.clone());
        let lookup = Arc::new(RegistryLookup::new(tls, settings.deadline, settings.loopback, circuits));
        let registries = settings.registries.iter().map(|text| RegistryPattern::read(text)).collect();
        Ok(Self { cache: Cache::default(), lookup, metrics, registries })
    }

    /// Replaces the additional certificate authorities, in PEM.
    ///
    /// # Errors
    /// They are invalid. The previous ones stay active.
    pub fn trust(&self, pem: &[u8]) -> Result<(), SetupError> {
        self.lookup.trust(tls_config(Some(pem))?);
        Ok(())
    }

    /// Checks whether lookups in the registry of the image are allowed.
    ///
    /// # Errors
    /// They are not allowed, or the name of the image is invalid.
    pub(super) fn check_registry(&self, image: &str) -> Result<Reference, LookupError> {
        let reference: Reference = image.parse().map_err(LookupError::Reference)?;
        if self.registries.iter().any(|pattern| pattern.is_for(&reference)) {
            return Ok(reference);
        }
        Err(LookupError::NotConfigured { host: reference.registry().to_owned() })
    }

    /// Looks up the configuration of an image. Concurrent lookups of the same image share the result.
    ///
    /// # Errors
    /// The lookup fails or times out. The message contains the registry and a remedy, but no secret. Errors
    /// are cached as well.
    pub async fn resolve(&self, query: &EntrypointQuery<'_>) -> Result<Arc<ImageConfig>, Arc<LookupError>> {
        let start = tokio::time::Instant::now();
        let result = self.cached(query).await;
        self.metrics.looked_up(&result, start.elapsed());
        result
    }

    async fn cached(&self, query: &EntrypointQuery<'_>) -> Result<Arc<ImageConfig>, Arc<LookupError>> {
        let reference = self.check_registry(query.image)?;
        let mut keyring = Keyring::default();
        for secret in query.pull_secrets {
            keyring.add(secret).map_err(LookupError::Secret)?;
        }
        let credentials = keyring.lookup(&reference);
        let platform = query.architecture.and_then(Platform::of_node).unwrap_or_else(Platform::own);
        let key = Key::new(&reference, &platform, &credentials);
        let lookup = || Arc::clone(&self.lookup).run(reference, platform, credentials);
        self.cache.get(key, lookup)?.await
    }
}

/// The configuration of TLS that trusts the certificate authorities in `pem` and the public ones.
fn tls_config(pem: Option<&[u8]>) -> Result<ClientConfig, SetupError> {
    let mut roots = tls::public_roots();
    if let Some(pem) = pem {
        tls::add_roots(&mut roots, pem).map_err(|error| SetupError(error.to_string()))?;
    }
    tls::client_config(roots).map_err(|error| SetupError(error.to_string()))
}
