//! Manages the CA and the serving certificate of the webhook in one Secret that all replicas share.
//!
//! The first replica creates it. Every write uses the optimistic concurrency control of the API server: if
//! two replicas write at the same time, the second write is refused, and that replica reads what the first
//! one wrote.

use std::sync::Arc;

use futures::StreamExt as _;
use k8s_openapi::api::core::v1::Secret;
use kube::api::{ObjectMeta, PostParams};
use kube::runtime::WatchStreamExt as _;
use kube::runtime::watcher::watch_object;
use kube::{Api, ResourceExt as _};
use time::OffsetDateTime;
use tokio::sync::watch;
use tracing::{info, warn};

use super::authority::{self, Issued};
use super::ca_bundle::PublishedBundle;
use super::files::CA;
use super::rotation::{Change, Published, RotationContext, Timing};
use super::secret_state::{self, Good, MANAGED_BY, Verdict};
use super::{CertResolver, Names};
use crate::server::liveness::Heartbeat;
use crate::server::metrics::ServerMetrics;
use crate::server::readiness::{Part, Readiness};
use crate::server::watch_errors::{self, WatchedResource};
use bootlace_core::names;

const WATCHING: WatchedResource =
    WatchedResource { resource: "secrets", absent: "create the namespace of the webhook" };

/// Manages the Secret, and serves with its certificate.
pub struct CaSecretController {
    /// Secrets of the namespace of the webhook.
    pub api: Api<Secret>,
    /// The name of the Secret.
    pub name: String,
    /// The required names of the certificate.
    pub names: Names,
    /// Serves the certificate.
    pub serving: Arc<CertResolver>,
    /// Receives the CAs for caBundle, in PEM format.
    pub bundle: watch::Sender<Option<Vec<u8>>>,
    /// The times of a rotation.
    pub timing: Timing,
    /// The CAs that the API server trusts; `None` if another program sets them.
    pub published: Option<watch::Receiver<Option<PublishedBundle>>>,
    /// Receives whether there is a certificate, or why not.
    pub readiness: Arc<Readiness>,
    /// Receives the expiration of the certificate.
    pub metrics: ServerMetrics,
    /// Shows that the controller runs.
    pub beat: Heartbeat,
}

/// The last known state of the Secret.
enum SecretState {
    /// Not read yet.
    Unknown,
    /// It does not exist.
    Absent,
    /// It exists.
    Present(Box<Secret>),
}

impl CaSecretController {
    /// Runs until the process ends.
    pub async fn run(self) {
        // Requests only this Secret, because the role of the webhook allows no other.
        let mut states = std::pin::pin!(watch_object(self.api.clone(), &self.name).default_backoff());
        let mut ticks = tokio::time::interval(self.timing.look);
        let mut known = SecretState::Unknown;
        // If the Secret is lost, the served one is restored, because a new CA would first have to reach every
        // API server.
        let mut served: Option<Secret> = None;
        loop {
            self.beat.now();
            tokio::select! {
                state = states.next() => match state {
                    Some(Ok(Some(secret))) => known = SecretState::Present(Box::new(secret)),
                    Some(Ok(None)) => known = SecretState::Absent,
                    Some(Err(error)) => { self.report_error(WATCHING.trouble(&error)); continue }
                    None => return,
                },
                _ = ticks.tick() => {}
            }
            if let Some(written) = self.reconcile(&known, &mut served).await {
                known = SecretState::Present(Box::new(written));
                // The written certificate is served at once, before the watch reports it.
                self.reconcile(&known, &mut served).await;
            }
        }
    }

    /// Serves a valid certificate, and writes changes that are due. Returns the written Secret.
    async fn reconcile(&self, known: &SecretState, served: &mut Option<Secret>) -> Option<Secret> {
        let now = OffsetDateTime::now_utc();
        let secret = match known {
            SecretState::Unknown => return None,
            SecretState::Absent => {
                let issued = self.still_valid(served.as_ref(), now);
                let change = Change { issued, reason: "it does not exist".to_owned(), fulfils: true };
                return self.write(None, change, now).await;
            }
            SecretState::Present(secret) => secret.as_ref(),
        };
        match secret_state::evaluate(secret, self.context(secret, now)) {
            Verdict::Good { good, change } => {
                self.serve(*good);
                *served = Some(secret.clone());
                self.write(Some(secret), change?, now).await
            }
            Verdict::Unusable(mut change) => {
                if change.issued.is_none() {
                    change.issued = self.still_valid(served.as_ref(), now);
                }
                self.write(Some(secret), change, now).await
            }
            Verdict::Foreign => {
                self.report_error(Some(format!(
                    "Secret {:?} was not created by Bootlace, because it has no {}: set another name with --tls-secret, or \
                     serve its certificate with --tls-dir",
                    self.name,
                    secret_state::CA_KEY
                )));
                None
            }
        }
    }

    /// The content of a Secret whose certificate is still valid.
    fn still_valid(&self, secret: Option<&Secret>, now: OffsetDateTime) -> Option<Issued> {
        let secret = secret?;
        let is_valid =
            matches!(secret_state::evaluate(secret, self.context(secret, now)), Verdict::Good { .. });
        is_valid.then(|| secret_state::content(secret)).flatten()
    }

    fn context(&self, secret: &Secret, now: OffsetDateTime) -> RotationContext<'_> {
        let request = match secret_state::request(secret) {
            None => None,
            Some(Ok(request)) => Some(request),
            Some(Err(text)) => {
                let name = &self.name;
                warn!(
                    "Secret {name:?}: annotation {} {text:?} is unknown: use `bootlace certs rotate`",
                    names::ANNOTATION_ROTATE
                );
                None
            }
        };
        let ca = secret.data.as_ref().and_then(|data| data.get(CA));
        let published = match &self.published {
            None => Published::Unknown,
            Some(published) => match published.borrow().as_ref() {
                Some(PublishedBundle { bundle, since })
                    if ca.is_some_and(|ca| ca.0 == *bundle) && since.elapsed() >= self.timing.settle =>
                {
                    Published::Everywhere
                }
                _ => Published::NotYet,
            },
        };
        RotationContext { names: &self.names, now, timing: &self.timing, published, request }
    }

    fn serve(&self, Good { certificate, ca }: Good) {
        self.bundle.send_if_modified(|bundle| {
            let differs = bundle.as_ref() != Some(&ca);
            *bundle = Some(ca);
            differs
        });
        if self.serving.holds(&certificate) {
            return;
        }
        let facts = &certificate.facts;
        info!(secret = self.name, expires = %facts.not_after, "serving the certificate in the Secret");
        self.metrics.certificate_expires(facts.not_after.unix_timestamp());
        self.serving.swap(&certificate);
        self.readiness.in_place(Part::Certificate);
    }

    async fn write(
        &self,
        found: Option<&Secret>,
        Change { issued, reason, fulfils }: Change,
        now: OffsetDateTime,
    ) -> Option<Secret> {
        let issue_all = || authority::issue(&self.names, now, self.timing.lifetimes);
        let issued = match issued.map_or_else(issue_all, Ok) {
            Ok(issued) => issued,
            Err(error) => {
                self.report_error(Some(format!("{error}: change --service or --namespace")));
                return None;
            }
        };
        let params = PostParams::default();
        let (verb, written) = if let Some(found) = found {
            let mut secret = found.clone();
            secret.data = Some(secret_state::data(&issued));
            if fulfils && let Some(annotations) = &mut secret.metadata.annotations {
                annotations.remove(names::ANNOTATION_ROTATE);
            }
            ("update", self.api.replace(&self.name, &params, &secret).await)
        } else {
            let labels = [(MANAGED_BY.0.to_owned(), MANAGED_BY.1.to_owned())];
            let secret = Secret {
                metadata: ObjectMeta {
                    name: Some(self.name.clone()),
                    labels: Some(labels.into()),
                    ..ObjectMeta::default()
                },
                type_: Some("kubernetes.io/tls".to_owned()),
                data: Some(secret_state::data(&issued)),
                ..Secret::default()
            };
            ("create", self.api.create(&params, &secret).await)
        };
        match written {
            Ok(secret) => {
                info!(secret = secret.name_any(), reason, "{verb}d the Secret");
                Some(secret)
            }
            // Another replica was faster; the watch reports what it wrote.
            Err(kube::Error::Api(status)) if status.code == 409 => None,
            Err(error) => {
                self.report_error(Some(watch_errors::describe_api_error(
                    &format!("failed to {verb} Secret {:?}", self.name),
                    &error,
                )));
                None
            }
        }
    }

    /// Logs an error, and reports it in `/readyz` until there is a certificate.
    fn report_error(&self, error: Option<String>) {
        let Some(error) = error else { return };
        warn!("{error}");
        if self.readiness.is_missing(Part::Certificate) {
            self.readiness.missing(Part::Certificate, error);
        }
    }
}
