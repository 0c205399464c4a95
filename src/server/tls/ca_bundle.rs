//! Configures the API server to trust the CA: sets the `caBundle` of every webhook in the
//! `MutatingWebhookConfiguration`.
//!
//! It uses server-side apply and owns only this field. Helm and GitOps tools own the rest of the object, and
//! there is no conflict, because the chart never sets `caBundle`. If another program changes it, it is
//! restored.

use std::sync::Arc;
use std::time::Duration;

use futures::StreamExt as _;
use k8s_openapi::ByteString;
use k8s_openapi::api::admissionregistration::v1::MutatingWebhookConfiguration;
use k8s_openapi::api::core::v1::Secret;
use kube::api::{Patch, PatchParams};
use kube::runtime::WatchStreamExt as _;
use kube::runtime::watcher::watch_object;
use kube::{Api, Client};
use serde_json::{Value, json};
use tokio::sync::watch;
use tokio::time::Instant;
use tracing::{info, warn};

use super::files::CA;
use crate::server::liveness::Heartbeat;
use crate::server::readiness::{Part, Readiness};
use crate::server::watch_errors::{self, WatchedResource};

/// The owner of the field in the `managedFields` of the object.
const MANAGER: &str = "bootlace-ca-bundle";

/// How often a failed write is retried.
const RETRY_INTERVAL: Duration = Duration::from_secs(10);

const WATCHING: WatchedResource = WatchedResource {
    resource: "mutatingwebhookconfigurations.admissionregistration.k8s.io",
    absent: "this API server does not support admission webhooks",
};

/// A bundle that all webhooks of the configuration have.
#[derive(Debug, Clone)]
pub struct PublishedBundle {
    /// The CAs, in PEM format.
    pub bundle: Vec<u8>,
    /// When the bundle was seen first.
    pub since: Instant,
}

/// Manages the bundle.
pub struct CaBundleController {
    /// Configurations of the cluster.
    pub api: Api<MutatingWebhookConfiguration>,
    /// The name of the configuration.
    pub name: String,
    /// Secrets of the namespace with the CA.
    pub secrets: Api<Secret>,
    /// The name of the Secret.
    pub secret: String,
    /// Notifies of a new CA.
    pub bundle: watch::Receiver<Option<Vec<u8>>>,
    /// The bundle that is in place.
    pub published: watch::Sender<Option<PublishedBundle>>,
    /// Receives whether the bundle is in place, or why not.
    pub readiness: Arc<Readiness>,
    /// Shows that the controller runs.
    pub beat: Heartbeat,
}

impl CaBundleController {
    /// A controller for a configuration, a Secret and its namespace.
    #[must_use]
    pub fn new(
        client: &Client,
        name: String,
        (namespace, secret): (&str, String),
        bundle: watch::Receiver<Option<Vec<u8>>>,
        published: watch::Sender<Option<PublishedBundle>>,
        readiness: Arc<Readiness>,
        beat: Heartbeat,
    ) -> Self {
        let secrets = Api::namespaced(client.clone(), namespace);
        Self { api: Api::all(client.clone()), name, secrets, secret, bundle, published, readiness, beat }
    }

    /// Runs until the process ends.
    pub async fn run(mut self) {
        let mut states = std::pin::pin!(watch_object(self.api.clone(), &self.name).default_backoff());
        let mut ticks = tokio::time::interval(RETRY_INTERVAL);
        let mut known: Option<MutatingWebhookConfiguration> = None;
        loop {
            self.beat.now();
            tokio::select! {
                state = states.next() => match state {
                    Some(Ok(Some(configuration))) => known = Some(configuration),
                    Some(Ok(None)) => {
                        known = None;
                        self.published.send_replace(None);
                        self.report_error(format!(
                            "MutatingWebhookConfiguration {:?} not found: install it, or correct --configuration",
                            self.name
                        ));
                        continue;
                    }
                    Some(Err(error)) => {
                        if let Some(reason) = WATCHING.trouble(&error) { self.missing(reason) }
                        continue;
                    }
                    None => return,
                },
                Ok(()) = self.bundle.changed() => {}
                _ = ticks.tick() => {}
            }
            if let Some(configuration) = known.as_ref()
                && let Some(patched) = self.reconcile(configuration).await
            {
                known = Some(patched);
            }
        }
    }

    /// Sets the bundle if it is not in place. Returns the object if it was changed.
    async fn reconcile(&self, found: &MutatingWebhookConfiguration) -> Option<MutatingWebhookConfiguration> {
        let bundle = self.bundle.borrow().clone()?;
        if differing(found, &bundle).is_none() {
            self.in_place(bundle);
            return None;
        }
        self.published.send_replace(None);
        // Read again, so that a replica that does not know a new CA yet does not restore the old one.
        let bundle = match self.secrets.get_opt(&self.secret).await {
            Ok(secret) => secret.and_then(|secret| secret.data?.remove(CA)).map(|ca| ca.0)?,
            Err(error) => {
                self.report_error(watch_errors::describe_api_error(
                    &format!("failed to read Secret {:?}", self.secret),
                    &error,
                ));
                return None;
            }
        };
        let patch = differing(found, &bundle)?;
        let params = PatchParams::apply(MANAGER).force();
        match self.api.patch(&self.name, &params, &Patch::Apply(patch)).await {
            Ok(patched) => {
                info!(configuration = self.name, "set the caBundle");
                // The response of the API server, because other admission webhooks can change the object.
                if differing(&patched, &bundle).is_none() {
                    self.in_place(bundle);
                }
                Some(patched)
            }
            Err(error) => {
                let problem =
                    format!("failed to set the caBundle of MutatingWebhookConfiguration {:?}", self.name);
                self.report_error(watch_errors::describe_api_error(&problem, &error));
                None
            }
        }
    }

    fn in_place(&self, bundle: Vec<u8>) {
        self.published.send_if_modified(|published| {
            let is_known = published.as_ref().is_some_and(|published| published.bundle == bundle);
            if !is_known {
                *published = Some(PublishedBundle { bundle, since: Instant::now() });
            }
            !is_known
        });
        self.readiness.in_place(Part::CaBundle);
    }

    fn report_error(&self, error: String) {
        warn!("{error}");
        self.missing(error);
    }

    /// Reports the reason in `/readyz` until the bundle was in place once. Later errors are only logged:
    /// reviews still work, and a replica that is not ready would make it worse.
    fn missing(&self, reason: String) {
        if self.readiness.is_missing(Part::CaBundle) {
            self.readiness.missing(Part::CaBundle, reason);
        }
    }
}

/// The patch that sets `bundle` in every webhook; `None` if all of them have it.
fn differing(found: &MutatingWebhookConfiguration, bundle: &[u8]) -> Option<Value> {
    let webhooks = found.webhooks.as_deref().unwrap_or_default();
    let differs = |bytes: &Option<ByteString>| bytes.as_ref().is_none_or(|bytes| bytes.0 != bundle);
    if !webhooks.iter().any(|webhook| differs(&webhook.client_config.ca_bundle)) {
        return None;
    }
    // All webhooks, not only those that differ: server-side apply removes fields that an earlier apply set
    // and this one does not.
    let bundle = ByteString(bundle.to_vec());
    let webhooks: Vec<_> = webhooks
        .iter()
        .map(|webhook| json!({"name": webhook.name, "clientConfig": {"caBundle": bundle}}))
        .collect();
    Some(json!({
        "apiVersion": "admissionregistration.k8s.io/v1",
        "kind": "MutatingWebhookConfiguration",
        "metadata": {"name": found.metadata.name},
        "webhooks": webhooks,
    }))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn configuration(bundles: &[Option<&str>]) -> MutatingWebhookConfiguration {
        let webhooks: Vec<_> = bundles
            .iter()
            .enumerate()
            .map(|(position, bundle)| {
                json!({
                    "name": format!("w{position}.bootlace.dev"), "sideEffects": "None", "admissionReviewVersions": ["v1"],
                    "clientConfig": {"caBundle": bundle.map(|text| ByteString(text.into()))},
                })
            })
            .collect();
        serde_json::from_value(json!({"metadata": {"name": "bootlace"}, "webhooks": webhooks})).unwrap()
    }

    #[test]
    fn a_bundle_that_is_in_place_is_not_changed() {
        assert_eq!(differing(&configuration(&[Some("ca"), Some("ca")]), b"ca"), None);
    }

    #[test]
    fn if_one_bundle_differs_all_are_applied_and_nothing_else() {
        for bundles in [[None, Some("ca")], [Some("old"), Some("ca")], [Some(""), None]] {
            let patch = differing(&configuration(&bundles), b"ca").unwrap();
            let expected = json!([
                {"name": "w0.bootlace.dev", "clientConfig": {"caBundle": "Y2E="}},
                {"name": "w1.bootlace.dev", "clientConfig": {"caBundle": "Y2E="}},
            ]);
            assert_eq!(patch["webhooks"], expected);
            assert_eq!(patch["metadata"], json!({"name": "bootlace"}));
        }
    }
}
