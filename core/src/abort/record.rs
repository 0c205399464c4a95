//! The `Abort` custom resource: what the abort of a running task needs.
//!
//! The CRD in the chart is generated from these types (`bootlace crds`); a test fails if they differ.

use kube::CustomResource;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::request::HookEvent;
use crate::crd;
use crate::identity::Identity;

/// What the abort of a running task needs.
#[derive(CustomResource, JsonSchema, Deserialize, Serialize, Clone, Debug, PartialEq)]
#[kube(
    group = "bootlace.dev",
    version = "v1alpha1",
    kind = "Abort",
    plural = "aborts",
    category = "bootlace",
    namespaced,
    status = "AbortStatus",
    derive = "PartialEq",
    doc = "An Abort records what the abort of a running task needs, in case that the sidecar of its pod cannot send it. The store creates it, and deletes it when the task has ended by itself or the abort was sent.",
    printcolumn = r#"{"name":"Pod","type":"string","jsonPath":".spec.pod"}"#,
    printcolumn = r#"{"name":"Run","type":"string","jsonPath":".spec.task.run"}"#,
    printcolumn = r#"{"name":"Task","type":"string","jsonPath":".spec.task.task"}"#,
    printcolumn = r#"{"name":"Phase","type":"string","jsonPath":".status.phase"}"#,
    printcolumn = r#"{"name":"Age","type":"date","jsonPath":".metadata.creationTimestamp"}"#,
    printcolumn = r#"{"name":"Text","type":"string","priority":1,"jsonPath":".spec.text"}"#
)]
#[serde(rename_all = "camelCase")]
#[schemars(transform = crd::known_integers)]
pub struct AbortSpec {
    /// Name of the pod. Required.
    #[schemars(length(min = 1, max = 253))]
    pub pod: String,
    /// UID of the pod. Required.
    #[schemars(length(min = 1, max = 64))]
    pub pod_uid: String,
    /// Name of the container of the task. Required.
    #[schemars(length(min = 1, max = 63))]
    pub container: String,
    /// Number of the start of the container: 1, and one more for each restart. Required.
    #[schemars(range(min = 1))]
    pub start: u32,
    /// The profile with the hooks. Required.
    pub profile: AbortProfile,
    /// Identity of the task. Required.
    pub task: Identity,
    /// What the task wrote to the file in `BOOTLACE_ABORT`. Not set if it has written nothing, and the hooks
    /// do not need it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 1024))]
    pub text: Option<String>,
}

/// A profile.
#[derive(JsonSchema, Deserialize, Serialize, Clone, Debug, Default, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct AbortProfile {
    /// Name of the profile. Required.
    #[schemars(length(min = 1, max = 253))]
    pub name: String,
    /// Generation of the profile that the pod was injected with; 0 for a profile from a file. Required.
    pub generation: i64,
}

/// Status of the Abort.
#[derive(JsonSchema, Deserialize, Serialize, Clone, Debug, Default, PartialEq)]
#[serde(rename_all = "camelCase", default)]
pub struct AbortStatus {
    /// State of the abort. Not set while the task runs.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub phase: Option<AbortPhase>,
    /// Time at which the phase was set (RFC 3339, in UTC).
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(extend("format" = "date-time"))]
    pub since: Option<String>,
    /// Why the abort failed, or what is left to do.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 1024))]
    pub message: Option<String>,
}

/// State of an abort.
#[derive(JsonSchema, Deserialize, Serialize, Clone, Copy, Debug, PartialEq, Eq)]
pub enum AbortPhase {
    /// The pod has ended or is gone, and its sidecar has not sent the abort.
    Left,
    /// The monitor could not send the abort either. `message` says what is left to do.
    Failed,
}

impl Abort {
    /// Name of the Abort of a container.
    #[must_use]
    pub fn name_for(pod_uid: &str, container: &str) -> String {
        format!("{pod_uid}.{container}")
    }

    /// The values for the hooks. The namespace is that of the Abort.
    #[must_use]
    pub fn event(&self) -> HookEvent {
        let AbortSpec { pod, pod_uid, container, start, profile: _, task, text } = self.spec.clone();
        HookEvent {
            task,
            namespace: self.metadata.namespace.clone().unwrap_or_default(),
            pod,
            pod_uid,
            container,
            start,
            abort: text,
            end: None,
        }
    }
}
