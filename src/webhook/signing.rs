//! The keys that sign what pods are given, in a Secret that all replicas share and the store mounts.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use k8s_openapi::ByteString;
use k8s_openapi::api::core::v1::Secret;
use kube::Api;
use kube::api::{ObjectMeta, PostParams};
use ring::rand::{SecureRandom as _, SystemRandom};
use tracing::{info, warn};

use super::profiles::ActiveProfiles;
use crate::server::liveness::Heartbeat;
use crate::server::readiness::{Part, Readiness};
use crate::server::watch_errors;
use bootlace_core::names;
use bootlace_core::signature::Keys;
use bootlace_core::signature::keys::{self, KEY_BYTES};

/// How often the Secret is looked at.
const EVERY: Duration = Duration::from_secs(10);

/// Keeps the Secret, and signs with what is in it.
pub struct SigningKeyController {
    api: Api<Secret>,
    name: String,
    profiles: Arc<ActiveProfiles>,
    readiness: Arc<Readiness>,
    beat: Heartbeat,
    /// What was in it last.
    known: BTreeMap<String, Vec<u8>>,
}

impl SigningKeyController {
    /// Keeps the Secret `name`.
    #[must_use]
    pub fn new(
        api: Api<Secret>,
        name: &str,
        profiles: Arc<ActiveProfiles>,
        readiness: Arc<Readiness>,
        beat: Heartbeat,
    ) -> Self {
        Self { api, name: name.to_owned(), profiles, readiness, beat, known: BTreeMap::new() }
    }

    /// Keeps it, for ever.
    pub async fn run(mut self) {
        let mut ticks = tokio::time::interval(EVERY);
        let mut complained = String::new();
        loop {
            ticks.tick().await;
            self.beat.now();
            match self.reconcile().await {
                Ok(true) => complained.clear(),
                // Another replica was faster: what it wrote is read at once.
                Ok(false) => ticks.reset_immediately(),
                Err(why) => {
                    if why != complained {
                        warn!("{why}");
                    }
                    if self.readiness.is_missing(Part::Keys) {
                        self.readiness.missing(Part::Keys, why.clone());
                    }
                    complained = why;
                }
            }
        }
    }

    /// Whether the keys are known.
    async fn reconcile(&mut self) -> Result<bool, String> {
        let name = &self.name;
        let unreadable =
            |error| watch_errors::describe_api_error(&format!("Secret {name} cannot be read"), &error);
        let found = self.api.get_opt(name).await.map_err(unreadable)?;
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
        let data = match &found {
            Some(secret) => content(secret),
            // One that is deleted is put back: running pods are signed with its keys.
            None => self.known.clone(),
        };
        let data = self.without_gap(data);
        let wanted = keys::renewed(&data, now, fresh()?).or_else(|| found.is_none().then(|| data.clone()));
        let data = match wanted {
            None => data,
            Some(wanted) if self.write(found, &wanted).await? => wanted,
            Some(_) => return Ok(false),
        };
        let foreign = |error| {
            format!("Secret {name} is not Bootlace's ({error}): give another name with --signing-secret")
        };
        let keys = Keys::read(&data, now).map_err(foreign)?;
        self.profiles.swap_keys(keys).map_err(|error| error.to_string())?;
        self.readiness.in_place(Part::Keys);
        self.known = data;
        Ok(true)
    }

    /// The content of a Secret that was emptied, which makes all signatures void, still tells from when on pods are signed:
    /// else those would count that somebody made without a signature since.
    fn without_gap(&self, mut data: BTreeMap<String, Vec<u8>>) -> BTreeMap<String, Vec<u8>> {
        if let Some(since) = self.known.get(keys::SINCE).filter(|_| data.is_empty()) {
            data.insert(keys::SINCE.to_owned(), since.clone());
        }
        data
    }

    /// Whether it was written: another replica may have been faster.
    async fn write(&self, found: Option<Secret>, data: &BTreeMap<String, Vec<u8>>) -> Result<bool, String> {
        let data = data.iter().map(|(name, bytes)| (name.clone(), ByteString(bytes.clone()))).collect();
        let params = PostParams::default();
        let (doing, written) = if let Some(found) = found {
            let secret = Secret { data: Some(data), ..found };
            ("updated", self.api.replace(&self.name, &params, &secret).await)
        } else {
            let secret = Secret {
                metadata: ObjectMeta {
                    name: Some(self.name.clone()),
                    labels: Some([(names::LABEL_MANAGED_BY.to_owned(), names::MANAGED_BY.to_owned())].into()),
                    ..ObjectMeta::default()
                },
                type_: Some("Opaque".to_owned()),
                data: Some(data),
                ..Secret::default()
            };
            ("created", self.api.create(&params, &secret).await)
        };
        match written {
            Ok(_) => {
                info!(secret = self.name, "Secret {doing}");
                Ok(true)
            }
            Err(kube::Error::Api(status)) if status.code == 409 => Ok(false),
            Err(error) => Err(watch_errors::describe_api_error(
                &format!("Secret {} cannot be {doing}", self.name),
                &error,
            )),
        }
    }
}

fn content(secret: &Secret) -> BTreeMap<String, Vec<u8>> {
    let data = secret.data.iter().flatten();
    data.map(|(name, ByteString(bytes))| (name.clone(), bytes.clone())).collect()
}

fn fresh() -> Result<[u8; KEY_BYTES], String> {
    let mut key = [0; KEY_BYTES];
    let filled = SystemRandom::new().fill(&mut key);
    filled.map_err(|_| "the system gives no random bytes".to_owned())?;
    Ok(key)
}
