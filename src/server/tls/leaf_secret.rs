//! Manages the serving certificate of another role in a separate Secret. The CA is that of
//! [`super::ca_secret`].
//!
//! The webhook has the key of the CA and signs for other roles, so that they need no permission for Secrets:
//! the store mounts its Secret.

use std::time::Duration;

use k8s_openapi::api::core::v1::Secret;
use kube::Api;
use kube::api::{ObjectMeta, PostParams};
use time::OffsetDateTime;
use tokio::sync::watch;
use tracing::{info, warn};

use super::Names;
use super::authority::Lifetimes;
use super::secret_state::{self, Leaf, MANAGED_BY};
use crate::server::liveness::Heartbeat;
use crate::server::watch_errors;
use bootlace_core::names;

/// How often the certificate is checked.
const CHECK_INTERVAL: Duration = Duration::from_secs(10);

/// Manages the Secret.
pub struct LeafSecretController {
    /// Secrets of the namespace.
    pub api: Api<Secret>,
    /// The name of the Secret with the CA and its key.
    pub authority: String,
    /// The name of the managed Secret.
    pub name: String,
    /// The required names of the certificate.
    pub names: Names,
    /// The lifetimes of certificates.
    pub lifetimes: Lifetimes,
    /// Notifies of a new CA.
    pub bundle: watch::Receiver<Option<Vec<u8>>>,
    /// Shows that the controller runs.
    pub beat: Heartbeat,
}

impl LeafSecretController {
    /// Runs until the process ends.
    pub async fn run(mut self) {
        let mut ticks = tokio::time::interval(CHECK_INTERVAL);
        let mut last_error = String::new();
        loop {
            self.beat.now();
            tokio::select! {
                _ = ticks.tick() => {}
                Ok(()) = self.bundle.changed() => {}
            }
            match self.reconcile().await {
                Ok(()) => last_error.clear(),
                Err(error) => {
                    if error != last_error {
                        warn!("{error}");
                        last_error = error;
                    }
                }
            }
        }
    }

    async fn reconcile(&self) -> Result<(), String> {
        let Some(authority) = self.read(&self.authority).await?.as_ref().and_then(secret_state::content)
        else {
            // It does not exist yet, or it is invalid, which its controller reports.
            return Ok(());
        };
        let found = self.read(&self.name).await?;
        let now = OffsetDateTime::now_utc();
        let (data, reason) = match secret_state::evaluate_leaf(
            found.as_ref(),
            &authority,
            &self.names,
            now,
            self.lifetimes,
        )? {
            Leaf::Good => return Ok(()),
            Leaf::Foreign => {
                return Err(format!(
                    "Secret {:?} was not created by Bootlace: set another name with --store-tls-secret",
                    self.name
                ));
            }
            Leaf::Write { data, reason } => (data, reason),
        };
        let params = PostParams::default();
        let (verb, written) = if let Some(mut secret) = found {
            secret.data = Some(data);
            if let Some(annotations) = &mut secret.metadata.annotations {
                annotations.remove(names::ANNOTATION_ROTATE);
            }
            ("update", self.api.replace(&self.name, &params, &secret).await)
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
            ("create", self.api.create(&params, &secret).await)
        };
        match written {
            Ok(_) => {
                info!(secret = self.name, reason, "{verb}d the Secret");
                Ok(())
            }
            // Another replica was faster.
            Err(kube::Error::Api(status)) if status.code == 409 => Ok(()),
            Err(error) => Err(watch_errors::describe_api_error(
                &format!("failed to {verb} Secret {:?}", self.name),
                &error,
            )),
        }
    }

    async fn read(&self, name: &str) -> Result<Option<Secret>, String> {
        let failed =
            |error| watch_errors::describe_api_error(&format!("failed to read Secret {name:?}"), &error);
        self.api.get_opt(name).await.map_err(failed)
    }
}
