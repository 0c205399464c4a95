//! Looks up the configuration of an image in its registry: the manifest, for an index that of the platform,
//! then the configuration.

use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use parking_lot::Mutex;
use reqwest::StatusCode;
use rustls::ClientConfig;
use tokio::time::timeout;

use super::LookupError;
use super::cache::CachedResult;
use super::circuit_breaker::CircuitBreakers;
use crate::http::{HttpClient, HttpError, NetworkZone};
use crate::registry::{
    Descriptor, Digest, ImageConfig, Platform, Reference, RegistryCredentials, Resolution, Session,
};
use crate::server::ttl_cache::{Ttl, TtlCache};
use bootlace_core::profile::remote;

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
    tls: ArcSwap<ClientConfig>,
    deadline: Duration,
    /// The allowed addresses of registries.
    zone: NetworkZone,
    client: remote::Client,
    circuits: CircuitBreakers,
    /// Configurations by digest, which never change. A caller that can read a manifest can also read its
    /// configuration.
    configs: Mutex<TtlCache<Digest, Arc<ImageConfig>>>,
}

impl RegistryLookup {
    pub(super) fn new(
        tls: ClientConfig,
        deadline: Duration,
        loopback: bool,
        circuits: CircuitBreakers,
    ) -> Self {
        let zone = if loopback { NetworkZone::Loopback } else { NetworkZone::Network };
        // The deadline includes the connection, and the lookup of the next pod is the second attempt.
        let seconds = u32::try_from(deadline.as_secs()).unwrap_or(u32::MAX).max(1);
        let client =
            remote::Client { connect_timeout_seconds: seconds, attempts: 1, ..remote::Client::default() };
        let (tls, configs) = (ArcSwap::from_pointee(tls), Mutex::new(TtlCache::new(MAX_CONFIGS)));
        Self { tls, deadline, zone, client, circuits, configs }
    }

    /// Uses `tls` for lookups from now on.
    pub(super) fn trust(&self, tls: ClientConfig) {
        self.tls.store(Arc::new(tls));
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
        let client = HttpClient::new(&self.client, ClientConfig::clone(&self.tls.load()));
        let session = Session::new(&client, reference, false, credentials, remedy)?.within(self.zone)?;
        let descriptor = self.config_descriptor(&session, platform, &invalid).await?;
        let known = self.configs.lock().get(&descriptor.digest).map(Arc::clone);
        if let Some(config) = known {
            return Ok(config);
        }
        let bytes = session.blob(&descriptor, MAX_BYTES).await?.read(MAX_BYTES).await?;
        let config = ImageConfig::read(&bytes).map_err(|error| invalid(error.to_string()))?;
        if config.size() > MAX_CACHED {
            return Err(invalid(format!(
                "ENTRYPOINT, CMD and ENV together must not exceed {MAX_CACHED} bytes"
            )));
        }
        let config = Arc::new(config);
        self.configs.lock().insert(descriptor.digest, Arc::clone(&config), Ttl::Unlimited);
        Ok(config)
    }

    /// Finds the descriptor of the configuration.
    async fn config_descriptor(
        &self,
        session: &Session<'_>,
        platform: &Platform,
        invalid: &impl Fn(String) -> LookupError,
    ) -> Result<Descriptor, LookupError> {
        let mut resolution = Resolution::new(platform);
        loop {
            let manifest = session.manifest(resolution.digest()).await?.read(MAX_BYTES).await?;
            match resolution.read(&manifest).map_err(|error| invalid(error.to_string()))? {
                Some(image) if image.is_image() => return Ok(image.config),
                Some(_) => return Err(invalid("must be an image, but it is an artifact".to_owned())),
                None => {}
            }
        }
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
