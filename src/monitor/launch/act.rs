//! Fails a pod, if it still has to be failed.
//!
//! The order loses nothing if the replica is killed: Event and diagnosis have names that depend on the pod,
//! so that the next leader creates them only if they do not exist, and the patch is last. It contains the
//! version of the pod for which the decision was made, so it cannot meet a pod that has started meanwhile, or
//! another pod of the same name.

use std::time::Duration;

use k8s_openapi::api::core::v1::{Event as CoreEvent, Node, Pod};
use k8s_openapi::jiff::Timestamp;
use kube::api::{ListParams, Patch, PatchParams};
use kube::{Api, ResourceExt as _};
use tracing::{info, warn};

use super::diagnosis::Diagnosis;
use super::queue::DuePod;
use super::settings::Settings;
use super::verdict::{Failure, Verdict, verdict};
use super::{LaunchMonitor, cause, event, failed_status};
use crate::monitor::replica::tolerate;
use crate::server::watch_errors::describe_api_error;

/// When a pod is checked again after the API server has not answered, or while its node does not report.
const RETRY_DELAY: Duration = Duration::from_secs(15);
/// Attempts for a pod that changes at the same time.
const ATTEMPTS: usize = 3;
/// The events of a pod that are read. The API server merges equal ones.
const MAX_EVENTS: u32 = 100;

/// The result of an attempt.
enum Outcome {
    /// The pod is failed, or need not be watched any more.
    Over,
    /// The pod has to be checked again then.
    Again(Timestamp),
    /// The pod has changed since it was read.
    Changed,
}

/// A failure with all that is written about it.
struct Report<'p> {
    pod: &'p Pod,
    settings: &'p Settings,
    failure: Failure,
    message: String,
    diagnosis: String,
    now: Timestamp,
}

impl LaunchMonitor {
    /// Reads a pod that is due, and fails it if it has to be failed. Returns when it has to be checked again;
    /// `None` if not before it changes.
    pub(super) async fn act(&self, due: &DuePod) -> Option<Timestamp> {
        for _ in 0..ATTEMPTS {
            match self.attempt(due).await {
                Ok(Outcome::Over) => return None,
                Ok(Outcome::Again(at)) => return Some(at),
                Ok(Outcome::Changed) => {}
                Err(error) => {
                    let problem = format!("failed to check pod {}/{}", due.namespace, due.name);
                    warn!("{}; retrying", describe_api_error(&problem, &error));
                    self.replica.metrics.action_failed();
                    break;
                }
            }
        }
        Some(self.later())
    }

    fn later(&self) -> Timestamp {
        let now = (self.replica.clock)();
        now.checked_add(RETRY_DELAY).unwrap_or(now)
    }

    async fn attempt(&self, due: &DuePod) -> Result<Outcome, kube::Error> {
        let pods = Api::<Pod>::namespaced(self.replica.client.clone(), &due.namespace);
        let Some(pod) = pods.get_opt(&due.name).await? else { return Ok(Outcome::Over) };
        let Some(settings) = Settings::of(&pod) else { return Ok(Outcome::Over) };
        if pod.metadata.uid.as_deref() != Some(&*due.uid) {
            return Ok(Outcome::Over);
        }
        let now = (self.replica.clock)();
        let failure = match verdict(&pod, &settings, due.ungated, now) {
            Verdict::Nothing => return Ok(Outcome::Over),
            Verdict::Wait(until) => return Ok(Outcome::Again(until)),
            Verdict::Fail(failure) => failure,
        };
        let node = match node_name(&pod) {
            Some(name) => match self.node(name).await? {
                Some(node) if reports(&node) => Some(node),
                // The task may have started. If the node stays away, Kubernetes deletes its pods.
                _ => return Ok(Outcome::Again(self.later())),
            },
            None => None,
        };
        let events = self.events(&pod).await?;
        let message = cause::message(&failure, &pod, &settings, &events);
        let diagnosis =
            Diagnosis::new((&pod, &settings, node.as_ref()), (&failure, &message), &events, now).to_json();
        // After all requests that can be slow.
        if !self.replica.leadership.is_steady(self.replica.settle) {
            return Ok(Outcome::Again(self.later()));
        }
        self.report(&pods, &Report { pod: &pod, settings: &settings, failure, message, diagnosis, now }).await
    }

    /// Creates the Event, keeps the diagnosis, and patches the pod.
    async fn report(&self, pods: &Api<Pod>, report: &Report<'_>) -> Result<Outcome, kube::Error> {
        let Report { pod, settings, failure, message, diagnosis, now } = report;
        let event = event::event(pod, failure, message, &self.replica.instance, *now);
        self.replica.create_event(&event).await?;
        let kept = self.kept.keep(pod, diagnosis, settings.launch.diagnosis_seconds, *now).await;
        tolerate("failed to keep a diagnosis", kept)?;
        let outcome = match self.patch(pods, report, diagnosis).await {
            // The annotations of the pod are too large together.
            Err(kube::Error::Api(status)) if status.code == 422 => self.patch(pods, report, "{}").await,
            patched => patched,
        }?;
        if matches!(outcome, Outcome::Over) {
            info!(namespace = pod.namespace(), pod = pod.name_any(), reason = failure.reason(), "{message}");
        }
        Ok(outcome)
    }

    async fn patch(
        &self,
        pods: &Api<Pod>,
        report: &Report<'_>,
        diagnosis: &str,
    ) -> Result<Outcome, kube::Error> {
        let Report { pod, failure, message, now, .. } = report;
        let patch = failed_status::patch(pod, failure, message, diagnosis, *now);
        let patched =
            pods.patch_status(&pod.name_any(), &PatchParams::default(), &Patch::Strategic(patch)).await;
        match patched {
            Ok(_) => {
                self.replica.metrics.failed(failure.reason());
                Ok(Outcome::Over)
            }
            Err(kube::Error::Api(status)) if status.code == 409 => Ok(Outcome::Changed),
            Err(kube::Error::Api(status)) if status.code == 404 => Ok(Outcome::Over),
            Err(error) => Err(error),
        }
    }

    async fn node(&self, name: &str) -> Result<Option<Node>, kube::Error> {
        Api::<Node>::all(self.replica.client.clone()).get_opt(name).await
    }

    /// The events of a pod.
    async fn events(&self, pod: &Pod) -> Result<Vec<CoreEvent>, kube::Error> {
        let events =
            Api::<CoreEvent>::namespaced(self.replica.client.clone(), &pod.namespace().unwrap_or_default());
        let selector = format!("involvedObject.uid={}", pod.uid().unwrap_or_default());
        let params = ListParams::default().fields(&selector).limit(MAX_EVENTS);
        Ok(events.list(&params).await?.items)
    }
}

fn node_name(pod: &Pod) -> Option<&str> {
    pod.spec.as_ref().and_then(|spec| spec.node_name.as_deref())
}

/// Whether the kubelet of a node reports to the API server.
fn reports(node: &Node) -> bool {
    let conditions = node.status.as_ref().and_then(|status| status.conditions.as_deref()).unwrap_or_default();
    let ready = conditions.iter().find(|condition| condition.type_ == "Ready");
    ready.is_some_and(|ready| ready.status != "Unknown")
}
