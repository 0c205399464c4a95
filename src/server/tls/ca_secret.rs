//! The self-managed certificate: CA and serving certificate in one Secret that all replicas share.
//!
//! Whichever replica comes first makes it; the others find it. Every write goes through the API server's
//! optimistic concurrency: who comes second is refused, and reads what the first one wrote.

use std::sync::Arc;

use futures::StreamExt as _;
use k8s_openapi::api::core::v1::Secret;
use kube::api::{ObjectMeta, PostParams};
use kube::runtime::watcher::{self, Event};
use kube::runtime::{WatchStreamExt as _, watcher as watch_objects};
use kube::{Api, ResourceExt as _};
use time::OffsetDateTime;
use tokio::sync::watch;
use tracing::{info, warn};

use super::authority::{self, Issued};
use super::ca_bundle::PublishedBundle;
use super::files::CA;
use super::rotation::{Change, Published, RotationContext, Timing};
use super::secret_state::{self, Good, Verdict};
use super::{CertResolver, Names};
use crate::server::liveness::Heartbeat;
use crate::server::metrics::ServerMetrics;
use crate::server::readiness::{Part, Readiness};
use crate::server::watch_errors::{self, WatchedResource};
use bootlace_core::names;

/// What Bootlace's own Secrets are labelled with.
pub(super) const MANAGED_BY: (&str, &str) = (names::LABEL_MANAGED_BY, names::MANAGED_BY);

const WATCHING: WatchedResource =
    WatchedResource { resource: "secrets", absent: "create the webhook's namespace" };

/// Keeps the Secret, and serves with it.
pub struct CaSecretController {
    /// Secrets of the webhook's namespace.
    pub api: Api<Secret>,
    /// The Secret's name.
    pub name: String,
    /// What the certificate has to be for.
    pub names: Names,
    /// Where the certificate is served.
    pub serving: Arc<CertResolver>,
    /// Where the CA is told on: PEM, for caBundle.
    pub bundle: watch::Sender<Option<Vec<u8>>>,
    /// The times that a rotation keeps to.
    pub timing: Timing,
    /// Tells whom the API server trusts; nothing where that is not looked after.
    pub published: Option<watch::Receiver<Option<PublishedBundle>>>,
    /// Told when there is a certificate, or why not.
    pub readiness: Arc<Readiness>,
    /// Told when it expires.
    pub metrics: ServerMetrics,
    /// Shows that the keeper runs.
    pub beat: Heartbeat,
}

/// What is known of the Secret.
enum Known {
    /// Nothing yet.
    Nothing,
    /// It is not there.
    Absent,
    /// It was this.
    There(Box<Secret>),
}

impl CaSecretController {
    /// Keeps the Secret, for ever.
    pub async fn run(self) {
        // RBAC grants a list and a watch of a single name only with this selector.
        let selector = watcher::Config::default().fields(&format!("metadata.name={}", self.name));
        let events = watch_objects(self.api.clone(), selector).default_backoff();
        let mut events = std::pin::pin!(events);
        let mut ticks = tokio::time::interval(self.timing.look);
        let mut known = Known::Nothing;
        let mut listed = None;
        // What was served is put back where it is lost: a new CA would have to reach every API server first.
        let mut served: Option<Secret> = None;
        loop {
            self.beat.now();
            tokio::select! {
                event = events.next() => match event {
                    Some(Ok(Event::Init)) => { listed = None; continue }
                    Some(Ok(Event::InitApply(secret))) => { listed = Some(secret); continue }
                    Some(Ok(Event::InitDone)) => {
                        known = listed.take().map_or(Known::Absent, |secret| Known::There(Box::new(secret)));
                    }
                    Some(Ok(Event::Apply(secret))) => known = Known::There(Box::new(secret)),
                    Some(Ok(Event::Delete(_))) => known = Known::Absent,
                    Some(Err(error)) => { self.complain(WATCHING.trouble(&error)); continue }
                    None => return,
                },
                _ = ticks.tick() => {}
            }
            if let Some(written) = self.reconcile(&known, &mut served).await {
                known = Known::There(Box::new(written));
                // What was written is served at once, not when the watch tells of it.
                self.reconcile(&known, &mut served).await;
            }
        }
    }

    /// Serves what is good, and writes what is missing. Returns what was written.
    async fn reconcile(&self, known: &Known, served: &mut Option<Secret>) -> Option<Secret> {
        let now = OffsetDateTime::now_utc();
        let secret = match known {
            Known::Nothing => return None,
            Known::Absent => {
                let issued = self.still_good(served.as_ref(), now);
                let change = Change { issued, because: "it is not there".to_owned(), fulfils: true };
                return self.write(None, change, now).await;
            }
            Known::There(secret) => secret.as_ref(),
        };
        match secret_state::evaluate(secret, self.around(secret, now)) {
            Verdict::Good { good, change } => {
                self.serve(*good);
                *served = Some(secret.clone());
                self.write(Some(secret), change?, now).await
            }
            Verdict::Unusable(mut change) => {
                if change.issued.is_none() {
                    change.issued = self.still_good(served.as_ref(), now);
                }
                self.write(Some(secret), change, now).await
            }
            Verdict::Foreign => {
                self.complain(Some(format!(
                    "Secret {} holds a certificate without {}, so it is not Bootlace's: give another name with \
                     --tls-secret, or serve with that one through --tls-dir",
                    self.name,
                    secret_state::CA_KEY
                )));
                None
            }
        }
    }

    /// The content of a Secret that can still be served with.
    fn still_good(&self, secret: Option<&Secret>, now: OffsetDateTime) -> Option<Issued> {
        let secret = secret?;
        let is_good =
            matches!(secret_state::evaluate(secret, self.around(secret, now)), Verdict::Good { .. });
        is_good.then(|| secret_state::content(secret)).flatten()
    }

    fn around(&self, secret: &Secret, now: OffsetDateTime) -> RotationContext<'_> {
        let request = match secret_state::request(secret) {
            None => None,
            Some(Ok(request)) => Some(request),
            Some(Err(text)) => {
                let name = &self.name;
                warn!(
                    "Secret {name}: annotation {} {text:?} is unknown: use bootlace certs rotate",
                    names::ANNOTATION_ROTATE
                );
                None
            }
        };
        let ca = secret.data.as_ref().and_then(|data| data.get(CA));
        let published = match &self.published {
            None => Published::Unseen,
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
        info!(secret = self.name, expires = %facts.not_after, "serving with the Secret's certificate");
        self.metrics.certificate_expires(facts.not_after.unix_timestamp());
        self.serving.swap(&certificate);
        self.readiness.in_place(Part::Certificate);
    }

    async fn write(
        &self,
        found: Option<&Secret>,
        Change { issued, because, fulfils }: Change,
        now: OffsetDateTime,
    ) -> Option<Secret> {
        let anew = || authority::issue(&self.names, now, self.timing.lifetimes);
        let issued = match issued.map_or_else(anew, Ok) {
            Ok(issued) => issued,
            Err(error) => {
                self.complain(Some(format!("{error}: change --service or --namespace")));
                return None;
            }
        };
        let params = PostParams::default();
        let (doing, written) = if let Some(found) = found {
            let mut secret = found.clone();
            secret.data = Some(secret_state::data(&issued));
            if fulfils && let Some(annotations) = &mut secret.metadata.annotations {
                annotations.remove(names::ANNOTATION_ROTATE);
            }
            ("updated", self.api.replace(&self.name, &params, &secret).await)
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
            ("created", self.api.create(&params, &secret).await)
        };
        match written {
            Ok(secret) => {
                info!(secret = secret.name_any(), because, "Secret {doing}");
                Some(secret)
            }
            // Another replica was faster; the watch tells what it wrote.
            Err(kube::Error::Api(status)) if status.code == 409 => None,
            Err(error) => {
                self.complain(Some(watch_errors::describe_api_error(
                    &format!("Secret {} cannot be {doing}", self.name),
                    &error,
                )));
                None
            }
        }
    }

    /// Logs, and says so in `/readyz` while there is no certificate yet.
    fn complain(&self, why: Option<String>) {
        let Some(why) = why else { return };
        warn!("{why}");
        if self.readiness.is_missing(Part::Certificate) {
            self.readiness.missing(Part::Certificate, why);
        }
    }
}
