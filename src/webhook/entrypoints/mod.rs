//! What an image starts, looked up in its registry: where a pod names no command, only the image knows it.
//!
//! | module | what it answers |
//! |---|---|
//! | `args` | the command line |
//! | `lookup` | what does the registry say of an image |
//! | `cache` | has it been asked already, or is it being asked just now |
//! | `circuit` | is a registry worth asking |
//! | `error` | why is there no answer, in words for the pod's author |
//! | `metrics` | what is counted |
//!
//! A pod's author chooses the image, so a lookup is as little to be trusted as the pod: it goes over TLS only, never to
//! the node's own addresses, and in memory, time and number it is bounded. An answer is kept for whoever asked with
//! the same credentials, and for nobody else.

mod args;
mod cache;
mod circuit_breaker;
mod error;
mod lookup;
mod metrics;

use std::sync::Arc;
use std::time::Duration;

use rustls::RootCertStore;
use rustls_pki_types::CertificateDer;
use rustls_pki_types::pem::PemObject;

pub use args::EntrypointArgs;
pub use error::{LookupError, SetupError};
pub use metrics::EntrypointMetrics;

use crate::registry::{ImageConfig, Keyring, Platform, Reference, RegistryPattern};
use cache::{Cache, Key};
use circuit_breaker::CircuitBreakers;
use lookup::RegistryLookup;

/// What the webhook was installed with.
#[derive(Debug, Clone)]
pub struct EntrypointSettings {
    /// How long a lookup may take, all of its requests together. Less than the webhook's own time by what the rest of
    /// a review takes.
    pub deadline: Duration,
    /// Certificate authorities in PEM that are trusted beside the public ones.
    pub ca: Option<Vec<u8>>,
    /// The registries that may be asked, written as in a pull secret: `registry.example.com`, `*.example.com:5000`,
    /// `registry.example.com/team`. A pod's author chooses the image, and so would choose whom the webhook calls.
    pub registries: Vec<String>,
    /// Whether a registry may be on the loopback: in tests, where there is no other.
    pub loopback: bool,
}

impl Default for EntrypointSettings {
    fn default() -> Self {
        // The chart's webhook has five seconds.
        Self { deadline: Duration::from_secs(2), ca: None, registries: Vec::new(), loopback: false }
    }
}

/// What is looked up.
#[derive(Clone, Copy, Debug)]
pub struct EntrypointQuery<'q> {
    /// The image as the pod calls it.
    pub image: &'q str,
    /// What each of its pull secrets holds (`.dockerconfigjson`).
    pub pull_secrets: &'q [Vec<u8>],
    /// The architecture of the node that it is for, as Go names it; without it that of the webhook's own, as images
    /// start the same on all of theirs.
    pub architecture: Option<&'q str>,
}

/// Looks images up, and remembers.
#[derive(Debug)]
pub struct Entrypoints {
    cache: Cache,
    lookup: Arc<RegistryLookup>,
    metrics: EntrypointMetrics,
    registries: Vec<RegistryPattern>,
}

impl Entrypoints {
    /// Asks nothing yet.
    ///
    /// # Errors
    /// Where the certificate authorities cannot be read.
    pub fn new(settings: &EntrypointSettings, metrics: EntrypointMetrics) -> Result<Self, SetupError> {
        let roots = roots(settings.ca.as_deref())?;
        let circuits = CircuitBreakers::new(metrics.open_circuits.clone());
        let lookup = Arc::new(RegistryLookup::new(roots, settings.deadline, settings.loopback, circuits));
        let registries = settings.registries.iter().map(|text| RegistryPattern::read(text)).collect();
        Ok(Self { cache: Cache::default(), lookup, metrics, registries })
    }

    /// Trusts these certificate authorities in PEM from now on, beside the public ones.
    ///
    /// # Errors
    /// Where they cannot be read: those before stay.
    pub fn trust(&self, pem: &[u8]) -> Result<(), SetupError> {
        self.lookup.trust(roots(Some(pem))?);
        Ok(())
    }

    /// Whether the image's registry is one that may be asked.
    ///
    /// # Errors
    /// Why it is none.
    pub(super) fn may_ask(&self, image: &str) -> Result<Reference, LookupError> {
        let reference: Reference = image.parse().map_err(LookupError::Reference)?;
        if self.registries.iter().any(|pattern| pattern.is_for(&reference)) {
            return Ok(reference);
        }
        Err(LookupError::NotAsked { host: reference.registry().to_owned() })
    }

    /// What the image starts. Whoever asks while the same is being looked up waits for that answer.
    ///
    /// # Errors
    /// Where there is no answer, or none in time: the error names the image's registry and what to do, and holds
    /// nothing of a secret. It is remembered for a while, too.
    pub async fn resolve(
        &self,
        question: &EntrypointQuery<'_>,
    ) -> Result<Arc<ImageConfig>, Arc<LookupError>> {
        let begun = tokio::time::Instant::now();
        let answer = self.answer(question).await;
        self.metrics.answered(&answer, begun.elapsed());
        answer
    }

    async fn answer(&self, question: &EntrypointQuery<'_>) -> Result<Arc<ImageConfig>, Arc<LookupError>> {
        let reference = self.may_ask(question.image)?;
        let mut keyring = Keyring::default();
        for secret in question.pull_secrets {
            keyring.add(secret).map_err(LookupError::Secret)?;
        }
        let credentials = keyring.lookup(&reference);
        let platform = question.architecture.and_then(Platform::of_node).unwrap_or_else(Platform::own);
        let key = Key::new(&reference, &platform, &credentials);
        let lookup = || Arc::clone(&self.lookup).run(reference, platform, credentials);
        self.cache.get(key, lookup)?.await
    }
}

fn roots(pem: Option<&[u8]>) -> Result<RootCertStore, SetupError> {
    let mut roots = RootCertStore { roots: webpki_roots::TLS_SERVER_ROOTS.to_vec() };
    for certificate in CertificateDer::pem_slice_iter(pem.unwrap_or_default()) {
        let certificate = certificate.map_err(|error| SetupError(error.to_string()))?;
        roots.add(certificate).map_err(|error| SetupError(error.to_string()))?;
    }
    Ok(roots)
}
