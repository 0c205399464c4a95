//! What a registry says of an image: manifest, where it is an index the one for the platform, configuration.

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

/// How many indexes may lead to an image: one is usual.
const MAX_INDEXES: usize = 2;
/// How many configurations are kept.
const MAX_CONFIGS: usize = 1_000;
/// What is kept of a configuration, in bytes: an argument list that a kernel takes is shorter by far.
const MAX_KEPT: usize = 16 * 1024;
/// What a manifest takes at most, and what a configuration does, most of which is history. Far below what a registry may
/// hold, because many are read at once in a webhook that has little memory.
const MAX_BYTES: u64 = 512 * 1024;

/// What lookups have in common.
#[derive(Debug)]
pub(super) struct RegistryLookup {
    roots: RwLock<RootCertStore>,
    deadline: Duration,
    /// Where registries may be.
    reach: NetworkZone,
    says: remote::Client,
    circuits: CircuitBreakers,
    /// By their digest, under which they never change. Whoever could read a manifest may know what it names.
    configs: Mutex<HashMap<Digest, Arc<ImageConfig>>>,
}

impl RegistryLookup {
    pub(super) fn new(
        roots: RootCertStore,
        deadline: Duration,
        loopback: bool,
        circuits: CircuitBreakers,
    ) -> Self {
        let reach = if loopback { NetworkZone::Loopback } else { NetworkZone::Network };
        // Whether a connection stands counts in the whole; a second attempt is the next pod's.
        let seconds = u32::try_from(deadline.as_secs()).unwrap_or(u32::MAX).max(1);
        let says =
            remote::Client { connect_timeout_seconds: seconds, attempts: 1, ..remote::Client::default() };
        let roots = RwLock::new(roots);
        Self { roots, deadline, reach, says, circuits, configs: Mutex::default() }
    }

    pub(super) fn trust(&self, roots: RootCertStore) {
        *self.roots.write().unwrap_or_else(PoisonError::into_inner) = roots;
    }

    fn roots(&self) -> RootCertStore {
        self.roots.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Asks the registry, if it is worth it, and for no longer than the deadline.
    pub(super) async fn run(
        self: Arc<Self>,
        reference: Reference,
        platform: Platform,
        credentials: Vec<RegistryCredentials>,
    ) -> CachedResult {
        let host = reference.registry();
        let permit = self.circuits.permit(host)?;
        let asked = timeout(self.deadline, self.ask(&reference, &platform, credentials)).await;
        let answer = asked
            .unwrap_or_else(|_| Err(LookupError::TimedOut { host: host.to_owned(), after: self.deadline }));
        permit.ended(answer.as_ref().err().filter(|error| error.is_outage()));
        Ok(answer?)
    }

    async fn ask(
        &self,
        reference: &Reference,
        platform: &Platform,
        credentials: Vec<RegistryCredentials>,
    ) -> Result<Arc<ImageConfig>, LookupError> {
        let wrong = |what: String| LookupError::Image { image: reference.to_string(), what };
        let client = HttpClient::new(&self.says, self.roots())?;
        let session = Session::new(&client, reference, false, credentials, remedy)?.within(self.reach)?;
        let described = self.described(&session, platform, &wrong).await?;
        if let Some(known) = self.configs().get(&described.digest) {
            return Ok(Arc::clone(known));
        }
        let bytes = session.blob(&described, MAX_BYTES).await?.read(MAX_BYTES).await?;
        let config = ImageConfig::read(&bytes).map_err(|error| wrong(error.to_string()))?;
        if config.size() > MAX_KEPT {
            return Err(wrong(format!(
                "its ENTRYPOINT, CMD and ENV take more than {MAX_KEPT} bytes: shorten them"
            )));
        }
        let config = Arc::new(config);
        let mut configs = self.configs();
        if configs.len() >= MAX_CONFIGS {
            // Any of them: it costs a request to have it again.
            let one = configs.keys().next().cloned();
            one.and_then(|one| configs.remove(&one));
        }
        configs.insert(described.digest, Arc::clone(&config));
        Ok(config)
    }

    fn configs(&self) -> MutexGuard<'_, HashMap<Digest, Arc<ImageConfig>>> {
        self.configs.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The image's configuration, by its name.
    async fn described(
        &self,
        session: &Session<'_>,
        platform: &Platform,
        wrong: &impl Fn(String) -> LookupError,
    ) -> Result<Descriptor, LookupError> {
        let mut digest = None;
        for _ in 0..=MAX_INDEXES {
            let bytes = session.manifest(digest.as_ref()).await?.read(MAX_BYTES).await?;
            match Manifest::read(&bytes).map_err(|error| wrong(error.to_string()))? {
                Manifest::Image(image) if image.is_image() => return Ok(image.config),
                Manifest::Image(_) => {
                    return Err(wrong("it is an artifact, which nothing can start".to_owned()));
                }
                Manifest::Index(index) => {
                    let chosen = platform.choose(&index).map_err(|error| wrong(error.to_string()))?;
                    digest = Some(chosen.digest.clone());
                }
            }
        }
        Err(wrong(format!("more than {MAX_INDEXES} indexes lead to no image: push it anew")))
    }
}

fn remedy(status: StatusCode) -> &'static str {
    match status {
        StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => {
            "give the pod or its service account a pull secret that may read the image"
        }
        StatusCode::NOT_FOUND => "correct the pod's image, or push it",
        StatusCode::TOO_MANY_REQUESTS => "give the pod a pull secret whose user may ask more often",
        _ => "look at the registry's own log",
    }
}

impl From<HttpError> for Arc<LookupError> {
    fn from(error: HttpError) -> Self {
        Self::new(error.into())
    }
}
