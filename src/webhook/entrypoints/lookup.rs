//! Looks up the configuration of an image in its registry: the manifest, for an index that of the platform,
//! then the configuration.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock};
use std::time::Duration;

use reqwest::StatusCode;
use rustls::RootCertStore;
use tokio::time::timeout;

use super::LookupError;
use super::cache::CachedResult;
use super::circuit_breaker::CircuitBreakers;
use crate::http::{HttpClient, HttpError, NetworkZone};
use crate::registry::{
    Descriptor, Digest, ImageConfig, Manifest, Platform, Reference, RegistryCredentials, Session,
};
use bootlace_core::profile::remote;

/// The maximum number of nested indexes. One is usual.
const MAX_INDEXES: usize = 2;
/// The maximum number of cached configurations.
const MAX_CONFIGS: usize = 1_000;
/// The maximum size of a cached configuration, in bytes. Far more than usual argument lists.
const MAX_CACHED: usize = 16 * 1024;
/// The maximum size of a manifest, and of a configuration, which consists mainly of history. Far below the
/// limits of registries, because a webhook with little memory reads many at the same time.
const MAX_BYTES: u64 = 512 * 1024;

/// The common state of lookups.
#[derive(Debug)]
pub(super) struct RegistryLookup {
    roots: RwLock<RootCertStore>,
    deadline: Duration,
    /// The allowed addresses of registries.
    zone: NetworkZone,
    client: remote::Client,
    circuits: CircuitBreakers,
    /// Configurations by digest, which never change. A caller that can read a manifest can also read its
    /// configuration.
    configs: Mutex<HashMap<Digest, Arc<ImageConfig>>>,
}

impl RegistryLookup {
    pub(super) fn new(
        roots: RootCertStore,
        deadline: Duration,
        loopback: bool,
        circuits: CircuitBreakers,
    ) -> Self {
        let zone = if loopback { NetworkZone::Loopback } else { NetworkZone::Network };
        // The deadline includes the connection, and the lookup of the next pod is the second attempt.
        let seconds = u32::try_from(deadline.as_secs()).unwrap_or(u32::MAX).max(1);
        let client =
            remote::Client { connect_timeout_seconds: seconds, attempts: 1, ..remote::Client::default() };
        let roots = RwLock::new(roots);
        Self { roots, deadline, zone, client, circuits, configs: Mutex::default() }
    }

    pub(super) fn trust(&self, roots: RootCertStore) {
        *self.roots.write().unwrap_or_else(PoisonError::into_inner) = roots;
    }

    fn roots(&self) -> RootCertStore {
        self.roots.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Performs a lookup with the deadline, unless the circuit is open.
    pub(super) async fn run(
        self: Arc<Self>,
        reference: Reference,
        platform: Platform,
        credentials: Vec<RegistryCredentials>,
    ) -> CachedResult {
        let host = reference.registry();
        let permit = self.circuits.permit(host)?;
        let result = timeout(self.deadline, self.look_up(&reference, &platform, credentials)).await;
        let result = result
            .unwrap_or_else(|_| Err(LookupError::TimedOut { host: host.to_owned(), after: self.deadline }));
        permit.end(result.as_ref().err().filter(|error| error.is_outage()));
        Ok(result?)
    }

    async fn look_up(
        &self,
        reference: &Reference,
        platform: &Platform,
        credentials: Vec<RegistryCredentials>,
    ) -> Result<Arc<ImageConfig>, LookupError> {
        let invalid = |problem: String| LookupError::Image { image: reference.to_string(), problem };
        let client = HttpClient::new(&self.client, self.roots())?;
        let session = Session::new(&client, reference, false, credentials, remedy)?.within(self.zone)?;
        let descriptor = self.config_descriptor(&session, platform, &invalid).await?;
        if let Some(config) = self.configs().get(&descriptor.digest) {
            return Ok(Arc::clone(config));
        }
        let bytes = session.blob(&descriptor, MAX_BYTES).await?.read(MAX_BYTES).await?;
        let config = ImageConfig::read(&bytes).map_err(|error| invalid(error.to_string()))?;
        if config.size() > MAX_CACHED {
            return Err(invalid(format!(
                "ENTRYPOINT, CMD and ENV together must not exceed {MAX_CACHED} bytes"
            )));
        }
        let config = Arc::new(config);
        let mut configs = self.configs();
        if configs.len() >= MAX_CONFIGS {
            // Removes any of them. Another lookup reads it again.
            let digest = configs.keys().next().cloned();
            digest.and_then(|digest| configs.remove(&digest));
        }
        configs.insert(descriptor.digest, Arc::clone(&config));
        Ok(config)
    }

    fn configs(&self) -> MutexGuard<'_, HashMap<Digest, Arc<ImageConfig>>> {
        self.configs.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Finds the descriptor of the configuration.
    async fn config_descriptor(
        &self,
        session: &Session<'_>,
        platform: &Platform,
        invalid: &impl Fn(String) -> LookupError,
    ) -> Result<Descriptor, LookupError> {
        let mut digest = None;
        for _ in 0..=MAX_INDEXES {
            let bytes = session.manifest(digest.as_ref()).await?.read(MAX_BYTES).await?;
            match Manifest::read(&bytes).map_err(|error| invalid(error.to_string()))? {
                Manifest::Image(image) if image.is_image() => return Ok(image.config),
                Manifest::Image(_) => {
                    return Err(invalid("must be an image, but it is an artifact".to_owned()));
                }
                Manifest::Index(index) => {
                    let chosen = platform.choose(&index).map_err(|error| invalid(error.to_string()))?;
                    digest = Some(chosen.digest.clone());
                }
            }
        }
        Err(invalid(format!("more than {MAX_INDEXES} nested indexes: push the image again")))
    }
}

fn remedy(status: StatusCode) -> &'static str {
    match status {
        StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => {
            "add a pull secret with access to the image to the pod or its service account"
        }
        StatusCode::NOT_FOUND => "correct the image of the pod, or push it",
        StatusCode::TOO_MANY_REQUESTS => "add a pull secret of a user with a higher rate limit to the pod",
        _ => "check the log of the registry",
    }
}

impl From<HttpError> for Arc<LookupError> {
    fn from(error: HttpError) -> Self {
        Self::new(error.into())
    }
}
