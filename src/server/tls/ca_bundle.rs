//! Tells the API server whom to trust: `caBundle` of every webhook in our own `MutatingWebhookConfiguration`.
//!
//! Set by server-side apply, as a field of our own: Helm and GitOps tools own the rest of the object, and since
//! the chart never writes `caBundle`, nobody fights over it. Whoever resets it gets it put back.

use std::sync::Arc;
use std::time::Duration;

use futures::StreamExt as _;
use k8s_openapi::ByteString;
use k8s_openapi::api::admissionregistration::v1::MutatingWebhookConfiguration;
use k8s_openapi::api::core::v1::Secret;
use kube::api::{Patch, PatchParams};
use kube::runtime::watcher::{self, Event};
use kube::runtime::{WatchStreamExt as _, watcher as watch_objects};
use kube::{Api, Client};
use serde_json::{Value, json};
use tokio::sync::watch;
use tokio::time::Instant;
use tracing::{info, warn};

use super::files::CA;
use crate::server::liveness::Heartbeat;
use crate::server::readiness::{Part, Readiness};
use crate::server::watch_errors::{self, WatchedResource};

/// Who owns the field, in the object's `managedFields`.
const MANAGER: &str = "bootlace-ca-bundle";

/// How often a failed write is tried again.
const EVERY: Duration = Duration::from_secs(10);

const WATCHING: WatchedResource = WatchedResource {
    resource: "mutatingwebhookconfigurations.admissionregistration.k8s.io",
    absent: "this API server has no admission webhooks",
};

/// A bundle that all webhooks of the configuration have.
#[derive(Debug, Clone)]
pub struct PublishedBundle {
    /// PEM.
    pub bundle: Vec<u8>,
    /// When this was seen first.
    pub since: Instant,
}

/// Keeps the bundle.
pub struct CaBundleController {
    /// Configurations of the cluster.
    pub api: Api<MutatingWebhookConfiguration>,
    /// The configuration's name.
    pub name: String,
    /// Where the CA is kept.
    pub secrets: Api<Secret>,
    /// The Secret's name.
    pub secret: String,
    /// Tells of a new CA.
    pub bundle: watch::Receiver<Option<Vec<u8>>>,
    /// Told which bundle is in place.
    pub published: watch::Sender<Option<PublishedBundle>>,
    /// Told when the bundle is in place, or why not.
    pub readiness: Arc<Readiness>,
    /// Shows that the keeper runs.
    pub beat: Heartbeat,
}

impl CaBundleController {
    /// For a configuration, a Secret and its namespace.
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

    /// Keeps the bundle, for ever.
    pub async fn run(mut self) {
        let selector = watcher::Config::default().fields(&format!("metadata.name={}", self.name));
        let events = watch_objects(self.api.clone(), selector).default_backoff();
        let mut events = std::pin::pin!(events);
        let mut ticks = tokio::time::interval(EVERY);
        let mut known: Option<MutatingWebhookConfiguration> = None;
        loop {
            self.beat.now();
            tokio::select! {
                event = events.next() => match event {
                    Some(Ok(Event::InitApply(configuration) | Event::Apply(configuration))) => {
                        known = Some(configuration);
                    }
                    Some(Ok(Event::Init | Event::Delete(_))) => {
                        known = None;
                        self.published.send_replace(None);
                        continue;
                    }
                    Some(Ok(Event::InitDone)) => {
                        if known.is_none() {
                            let name = &self.name;
                            self.complain(format!("there is no MutatingWebhookConfiguration {name}: install it, or \
                                correct --configuration"));
                        }
                        continue;
                    }
                    Some(Err(error)) => {
                        if let Some(why) = WATCHING.trouble(&error) { self.missing(why) }
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

    /// Puts the bundle in where it is not. Returns the object where it was changed.
    async fn reconcile(&self, found: &MutatingWebhookConfiguration) -> Option<MutatingWebhookConfiguration> {
        let bundle = self.bundle.borrow().clone()?;
        if differing(found, &bundle).is_none() {
            self.in_place(bundle);
            return None;
        }
        self.published.send_replace(None);
        // Read afresh: a replica that has not heard of a new CA yet must not put the old one back.
        let bundle = match self.secrets.get_opt(&self.secret).await {
            Ok(secret) => secret.and_then(|secret| secret.data?.remove(CA)).map(|ca| ca.0)?,
            Err(error) => {
                self.complain(watch_errors::describe_api_error(
                    &format!("Secret {} cannot be read", self.secret),
                    &error,
                ));
                return None;
            }
        };
        let patch = differing(found, &bundle)?;
        let params = PatchParams::apply(MANAGER).force();
        match self.api.patch(&self.name, &params, &Patch::Apply(patch)).await {
            Ok(patched) => {
                info!(configuration = self.name, "caBundle set");
                // What the API server made of it, not what was asked for.
                if differing(&patched, &bundle).is_none() {
                    self.in_place(bundle);
                }
                Some(patched)
            }
            Err(error) => {
                let doing = format!("caBundle of MutatingWebhookConfiguration {} cannot be set", self.name);
                self.complain(watch_errors::describe_api_error(&doing, &error));
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

    fn complain(&self, why: String) {
        warn!("{why}");
        self.missing(why);
    }

    /// Says so in `/readyz` while the bundle has never been in place. Later trouble is for the log: reviews are
    /// still answered, and an unready replica would make things worse.
    fn missing(&self, why: String) {
        if self.readiness.is_missing(Part::CaBundle) {
            self.readiness.missing(Part::CaBundle, why);
        }
    }
}

/// What to apply so that every webhook trusts `bundle`; nothing where all of them do.
fn differing(found: &MutatingWebhookConfiguration, bundle: &[u8]) -> Option<Value> {
    let webhooks = found.webhooks.as_deref().unwrap_or_default();
    let differs = |bytes: &Option<ByteString>| bytes.as_ref().is_none_or(|bytes| bytes.0 != bundle);
    if !webhooks.iter().any(|webhook| differs(&webhook.client_config.ca_bundle)) {
        return None;
    }
    // All of them, not only those that differ: applying takes away what an earlier apply set and this one
    // leaves out.
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
    fn a_bundle_that_is_in_place_is_left_alone() {
        assert_eq!(differing(&configuration(&[Some("ca"), Some("ca")]), b"ca"), None);
    }

    #[test]
    fn one_that_differs_has_all_of_them_applied_and_nothing_else() {
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
