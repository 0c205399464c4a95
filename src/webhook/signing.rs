//! The keys that sign the configuration of injected containers, in a Secret that all replicas share and the
//! store mounts.

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
use bootlace_core::signature::SigningKeys;
use bootlace_core::signature::keys::{self, KEY_BYTES};

/// How often the Secret is checked.
const EVERY: Duration = Duration::from_secs(10);

/// Creates and renews the Secret, and provides its keys for signatures.
pub struct SigningKeyController {
    api: Api<Secret>,
    name: String,
    profiles: Arc<ActiveProfiles>,
    readiness: Arc<Readiness>,
    beat: Heartbeat,
    /// The last known content.
    known: BTreeMap<String, Vec<u8>>,
}

impl SigningKeyController {
    /// A controller for the Secret `name`.
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

    /// Reconciles the Secret. Does not return.
    pub async fn run(mut self) {
        let mut ticks = tokio::time::interval(EVERY);
        let mut reported = String::new();
        loop {
            ticks.tick().await;
            self.beat.now();
            match self.reconcile().await {
                Ok(true) => reported.clear(),
                // Another replica changed the Secret, so it is read again at once.
                Ok(false) => ticks.reset_immediately(),
                Err(problem) => {
                    if problem != reported {
                        warn!("{problem}");
                    }
                    if self.readiness.is_missing(Part::Keys) {
                        self.readiness.missing(Part::Keys, problem.clone());
                    }
                    reported = problem;
                }
            }
        }
    }

    /// Returns false if another replica changed the Secret at the same time.
    async fn reconcile(&mut self) -> Result<bool, String> {
        let name = &self.name;
        let failed =
            |error| watch_errors::describe_api_error(&format!("failed to read Secret {name:?}"), &error);
        let found = self.api.get_opt(name).await.map_err(failed)?;
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
        let data = match &found {
            Some(secret) => content(secret),
            // A deleted Secret is restored, because running pods are signed with its keys.
            None => self.known.clone(),
        };
        let data = self.without_gap(data);
        let renewed =
            keys::renewed(&data, now, random_key()?).or_else(|| found.is_none().then(|| data.clone()));
        let data = match renewed {
            None => data,
            Some(renewed) if self.write(found, &renewed).await? => renewed,
            Some(_) => return Ok(false),
        };
        let invalid = |error| {
            format!(
                "Secret {name:?} has no valid signing keys: {error}: set --signing-secret to another name"
            )
        };
        let keys = SigningKeys::read(&data, now).map_err(invalid)?;
        self.profiles.swap_keys(keys).map_err(|error| error.to_string())?;
        self.readiness.in_place(Part::Keys);
        self.known = data;
        Ok(true)
    }

    /// Emptying the Secret invalidates all signatures. The start time of signatures is kept, because
    /// otherwise pods without a signature, which were created since, would be accepted.
    fn without_gap(&self, mut data: BTreeMap<String, Vec<u8>>) -> BTreeMap<String, Vec<u8>> {
        if let Some(since) = self.known.get(keys::SINCE).filter(|_| data.is_empty()) {
            data.insert(keys::SINCE.to_owned(), since.clone());
        }
        data
    }

    /// Returns false if another replica changed the Secret at the same time.
    async fn write(&self, found: Option<Secret>, data: &BTreeMap<String, Vec<u8>>) -> Result<bool, String> {
        let data = data.iter().map(|(name, bytes)| (name.clone(), ByteString(bytes.clone()))).collect();
        let params = PostParams::default();
        let (action, result) = if let Some(found) = found {
            let secret = Secret { data: Some(data), ..found };
            ("update", self.api.replace(&self.name, &params, &secret).await)
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
            ("create", self.api.create(&params, &secret).await)
        };
        match result {
            Ok(_) => {
                info!(secret = self.name, "{action}d the Secret of the signing keys");
                Ok(true)
            }
            Err(kube::Error::Api(status)) if status.code == 409 => Ok(false),
            Err(error) => Err(watch_errors::describe_api_error(
                &format!("failed to {action} Secret {:?}", self.name),
                &error,
            )),
        }
    }
}

fn content(secret: &Secret) -> BTreeMap<String, Vec<u8>> {
    let data = secret.data.iter().flatten();
    data.map(|(name, ByteString(bytes))| (name.clone(), bytes.clone())).collect()
}

fn random_key() -> Result<[u8; KEY_BYTES], String> {
    let mut key = [0; KEY_BYTES];
    let filled = SystemRandom::new().fill(&mut key);
    filled.map_err(|_| "failed to read random bytes from the operating system".to_owned())?;
    Ok(key)
}
