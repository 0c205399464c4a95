//! A serving certificate for another role, in a Secret of its own, under the CA that [`super::ca_secret`] keeps.
//!
//! Whoever holds the CA's key signs for the others, so that they need no right over Secrets: the store mounts this one.

use std::time::Duration;

use k8s_openapi::api::core::v1::Secret;
use kube::Api;
use kube::api::{ObjectMeta, PostParams};
use time::OffsetDateTime;
use tokio::sync::watch;
use tracing::{info, warn};

use super::Names;
use super::authority::Lifetimes;
use super::ca_secret::MANAGED_BY;
use super::secret_state::{self, Leaf};
use crate::server::liveness::Heartbeat;
use crate::server::watch_errors;
use bootlace_core::names;

/// How often is looked whether the certificate is still good.
const EVERY: Duration = Duration::from_secs(10);

/// Keeps the Secret.
pub struct LeafSecretController {
    /// Secrets of the namespace.
    pub api: Api<Secret>,
    /// The Secret that holds the CA and its key.
    pub authority: String,
    /// The Secret that is kept.
    pub name: String,
    /// What the certificate has to be for.
    pub names: Names,
    /// How long it lives.
    pub lifetimes: Lifetimes,
    /// Tells of a new CA.
    pub bundle: watch::Receiver<Option<Vec<u8>>>,
    /// Shows that the keeper runs.
    pub beat: Heartbeat,
}

impl LeafSecretController {
    /// Keeps the Secret, for ever.
    pub async fn run(mut self) {
        let mut ticks = tokio::time::interval(EVERY);
        let mut complained = String::new();
        loop {
            self.beat.now();
            tokio::select! {
                _ = ticks.tick() => {}
                Ok(()) = self.bundle.changed() => {}
            }
            match self.reconcile().await {
                Ok(()) => complained.clear(),
                Err(why) => {
                    if why != complained {
                        warn!("{why}");
                        complained = why;
                    }
                }
            }
        }
    }

    async fn reconcile(&self) -> Result<(), String> {
        let Some(authority) = self.read(&self.authority).await?.as_ref().and_then(secret_state::content)
        else {
            // Not made yet; of anything else its own keeper tells.
            return Ok(());
        };
        let found = self.read(&self.name).await?;
        let now = OffsetDateTime::now_utc();
        let (data, because) =
            match secret_state::judge_leaf(found.as_ref(), &authority, &self.names, now, self.lifetimes)? {
                Leaf::Good => return Ok(()),
                Leaf::Foreign => {
                    return Err(format!(
                        "Secret {} is not Bootlace's: give another name with --store-tls-secret",
                        self.name
                    ));
                }
                Leaf::Write { data, because } => (data, because),
            };
        let params = PostParams::default();
        let (doing, written) = if let Some(mut secret) = found {
            secret.data = Some(data);
            if let Some(annotations) = &mut secret.metadata.annotations {
                annotations.remove(names::ANNOTATION_ROTATE);
            }
            ("updated", self.api.replace(&self.name, &params, &secret).await)
        } else {
            let secret = Secret {
                metadata: ObjectMeta {
                    name: Some(self.name.clone()),
                    labels: Some([(MANAGED_BY.0.to_owned(), MANAGED_BY.1.to_owned())].into()),
                    ..ObjectMeta::default()
                },
                type_: Some("kubernetes.io/tls".to_owned()),
                data: Some(data),
                ..Secret::default()
            };
            ("created", self.api.create(&params, &secret).await)
        };
        match written {
            Ok(_) => {
                info!(secret = self.name, because, "Secret {doing}");
                Ok(())
            }
            // Another replica was faster.
            Err(kube::Error::Api(status)) if status.code == 409 => Ok(()),
            Err(error) => Err(watch_errors::describe_api_error(
                &format!("Secret {} cannot be {doing}", self.name),
                &error,
            )),
        }
    }

    async fn read(&self, name: &str) -> Result<Option<Secret>, String> {
        let unreadable =
            |error| watch_errors::describe_api_error(&format!("Secret {name} cannot be read"), &error);
        self.api.get_opt(name).await.map_err(unreadable)
    }
}
