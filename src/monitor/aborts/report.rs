//! What the monitor writes about an Abort: an Event on the pod, and the status of an Abort that is left.

use std::time::Duration;

use bootlace_core::abort::{Abort, AbortPhase, AbortStatus};
use bootlace_core::names;
use k8s_openapi::api::events::v1::Event;
use k8s_openapi::jiff::Timestamp;
use kube::api::{DeleteParams, Patch, PatchParams};
use kube::{Api, ResourceExt as _};
use serde_json::json;
use tracing::info;

use super::AbortMonitor;
use crate::server::api_client::exactly;
use crate::server::pod_event::{EventContent, base_name};

/// Maximum size of a message with its code. The Event about it also contains the name of the container, and
/// has at most 1 KiB.
pub(super) const MAX_MESSAGE_BYTES: usize = 900;
/// The monitor tries this long to send the hooks of an Abort after the first attempt has failed.
const PATIENCE: Duration = Duration::from_hours(1);
/// The name of an Event also contains a UID and the name of a container.
const MAX_BASE_BYTES: usize = 120;

/// The result of the hooks of an Abort.
#[derive(Debug)]
pub(super) enum Outcome {
    /// These were sent, or are not needed.
    Sent(Vec<String>),
    /// The message about the first one that was not sent.
    Failed {
        /// With its code.
        message: String,
        /// Whether another attempt can succeed.
        is_temporary: bool,
    },
}

impl AbortMonitor {
    /// Writes the outcome, and removes the Abort if nothing is left to do.
    pub(super) async fn report(
        &self,
        aborts: &Api<Abort>,
        abort: &Abort,
        outcome: Outcome,
    ) -> Result<(), kube::Error> {
        let now = (self.0.clock)();
        let name = abort.name_any();
        let namespace = abort.namespace().unwrap_or_default();
        match outcome {
            Outcome::Sent(hooks) => {
                if !hooks.is_empty() {
                    let hooks = hooks.join(", ");
                    let note = format!(
                        "container {}: the pod has ended without it; abort hooks sent: {hooks}",
                        abort.spec.container
                    );
                    self.event(abort, "Aborted", note, now).await?;
                }
                self.0.metrics.abort_ended("sent");
                info!(namespace, abort = name, "sent the abort hooks that were left");
                let params = DeleteParams::default().preconditions(exactly(&abort.metadata));
                done(aborts.delete(&name, &params).await)
            }
            Outcome::Failed { message, is_temporary } => {
                let since = left_since(abort).unwrap_or(now);
                let is_over = !is_temporary || since.checked_add(PATIENCE).is_ok_and(|end| end <= now);
                if is_over {
                    let note = format!("container {}: {message}", abort.spec.container);
                    self.event(abort, "AbortFailed", note, now).await?;
                    self.0.metrics.abort_ended("failed");
                }
                let phase = if is_over { AbortPhase::Failed } else { AbortPhase::Left };
                let since = if is_over { now } else { since };
                let status = AbortStatus {
                    phase: Some(phase),
                    since: Some(since.to_string()),
                    message: Some(message),
                };
                let patch = Patch::Merge(json!({"status": status}));
                done(aborts.patch_status(&name, &PatchParams::default(), &patch).await)
            }
        }
    }

    async fn event(
        &self,
        abort: &Abort,
        reason: &'static str,
        note: String,
        now: Timestamp,
    ) -> Result<(), kube::Error> {
        let namespace = abort.namespace().unwrap_or_default();
        self.0.create_event(&event(abort, &namespace, reason, note, &self.0.instance, now)).await
    }
}

/// When the Abort was first seen to be left.
fn left_since(abort: &Abort) -> Option<Timestamp> {
    abort.status.as_ref()?.since.as_deref()?.parse().ok()
}

/// The Event. The same outcome of a task has the same name, so that another leader creates no second Event.
fn event(
    abort: &Abort,
    namespace: &str,
    reason: &'static str,
    note: String,
    instance: &str,
    now: Timestamp,
) -> Event {
    let spec = &abort.spec;
    let (pod, uid) = (base_name(&spec.pod, MAX_BASE_BYTES), &spec.pod_uid);
    EventContent {
        namespace,
        pod: &spec.pod,
        uid,
        name: format!("{pod}.{uid}.{}.{}.{}", spec.container, spec.start, reason.to_lowercase()),
        type_: if reason == "Aborted" { "Normal" } else { "Warning" },
        reason,
        action: "Abort",
        note,
        field_path: Some(format!("spec.containers{{{}}}", spec.container)),
        controller: names::EVENT_CONTROLLER_MONITOR,
        instance,
    }
    .at(now)
}

/// Another process can have removed or changed the Abort.
fn done<T>(result: Result<T, kube::Error>) -> Result<(), kube::Error> {
    match result {
        Err(kube::Error::Api(status)) if matches!(status.code, 404 | 409) => Ok(()),
        result => result.map(drop),
    }
}
