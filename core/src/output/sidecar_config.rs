//! Configuration of the sidecar `bootlace-pipe` in its env, written by the webhook. The store reads it from
//! the spec of the pod, which is immutable, so it also determines what the pod may request.

use std::borrow::Cow;
use std::fmt;

use bootlace_launch::handover;
use serde::{Deserialize, Serialize};

use crate::identity::Identity;
use crate::injected_config::{ProfileRef, StoreEndpoint};

/// Content of `BOOTLACE_PIPES`. It contains no secrets, because it is visible in the spec of the pod.
///
/// Unknown fields are ignored: during an upgrade, sidecar and store may have an older version than the
/// webhook, and tasks should not fail because of that. A new value of a known field is an error.
#[derive(Deserialize, Serialize, Clone, Debug, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct SidecarConfig<'a> {
    /// Identity of the task.
    pub task: Identity,
    /// The profile.
    pub profile: ProfileRef,
    /// The store.
    pub store: Cow<'a, StoreEndpoint>,
    /// Declared outputs of the tasks of the pod.
    pub outputs: Vec<DeclaredOutput>,
    /// The files in which the tasks report their progress; empty if they report none.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub progress: Vec<ProgressFile>,
    /// Retention of outputs that nothing else owns, in seconds.
    pub time_to_live_seconds: u64,
    /// Timeout of the launcher for storing the outputs after the task has ended, in seconds.
    pub deadline_seconds: u32,
    /// Part of the grace period of the pod that the sidecar can use after the tasks have ended, in seconds.
    pub grace_seconds: u32,
    /// When the sidecar exits.
    #[serde(default)]
    pub ends: SidecarLifetime,
    /// Maximum number of outputs.
    #[serde(default, skip_serializing_if = "Quota::is_none", deserialize_with = "known_quota")]
    pub quota: Quota,
    /// Kinds of objects that own the outputs if one of them controls the pod, as `GROUP/KIND`.
    #[serde(default = "default_run_owners", skip_serializing_if = "is_default_run_owners")]
    pub run_owners: Vec<String>,
    /// Containers whose launcher tells the sidecar how the task ends, and for which the store may record an
    /// abort. The hooks themselves are in `BOOTLACE_HOOKS`, because the store does not need them.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub supervised: Vec<String>,
}

/// The kind of the owners in a configuration that does not specify them, as older versions write it.
pub const DEFAULT_RUN_OWNER: &str = "batch/Job";

/// The owners in a configuration that does not specify them.
#[must_use]
pub fn default_run_owners() -> Vec<String> {
    vec![DEFAULT_RUN_OWNER.to_owned()]
}

/// Whether a store that does not know the field does the same without it.
fn is_default_run_owners(owners: &[String]) -> bool {
    matches!(owners, [only] if only == DEFAULT_RUN_OWNER)
}

/// When the sidecar exits. The kubelet stops a sidecar after all other containers have ended, and notices its
/// end up to a second later (kubernetes/kubernetes, `genericPlegRelistPeriod` in `pkg/kubelet/kubelet.go`),
/// which delays the end of the pod. If the sidecar exits together with the last task, there is no delay.
#[derive(Deserialize, Serialize, Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum SidecarLifetime {
    /// When the kubelet stops it: other containers run too, or tasks are restarted.
    #[default]
    WhenTold,
    /// After every task has ended: none is restarted.
    WithTasks,
    /// After every task has succeeded: a failed one is restarted.
    WithSuccess,
}

impl SidecarLifetime {
    /// Whether an ended task is not restarted.
    #[must_use]
    pub fn is_final(self, succeeded: bool) -> bool {
        match self {
            Self::WhenTold => false,
            Self::WithTasks => true,
            Self::WithSuccess => succeeded,
        }
    }
}

/// A declared output of a task.
#[derive(Deserialize, Serialize, Clone, Debug, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct DeclaredOutput {
    /// Key that later tasks use.
    pub key: String,
    /// Kind of the object.
    pub kind: ObjectKind,
    /// Task container that writes it.
    pub container: String,
    /// Path of the file, or a glob, in the volume that the sidecar shares with a task with an unknown
    /// command. The sidecar reads it when the tasks have ended. `None` if the launcher passes the output.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub shared_file: Option<String>,
    /// Whether the file may be missing.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub optional: bool,
    /// Whether it is also stored under a name that pods can wait for.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub awaited: bool,
}

/// A file in which a task reports its progress.
#[derive(Deserialize, Serialize, Clone, Debug, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct ProgressFile {
    /// Path of a mounted volume in the sidecar.
    pub folder: String,
    /// Path of the file in this volume.
    pub name: String,
    /// Whether only lines such as `40/100` are progress, as in the file of Argo Workflows.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub counts_only: bool,
}

/// Kind of an object that contains files by key.
#[derive(Deserialize, Serialize, schemars::JsonSchema, Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ObjectKind {
    /// Readable with access to `ConfigMaps`.
    ConfigMap,
    /// Readable with access to Secrets.
    Secret,
}

impl ObjectKind {
    /// The kind as in Kubernetes.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::ConfigMap => "ConfigMap",
            Self::Secret => "Secret",
        }
    }
}

impl fmt::Display for ObjectKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// The launcher does not use serde, and has a separate type for its manifest.
impl From<handover::Kind> for ObjectKind {
    fn from(kind: handover::Kind) -> Self {
        match kind {
            handover::Kind::ConfigMap => Self::ConfigMap,
            handover::Kind::Secret => Self::Secret,
        }
    }
}

impl From<ObjectKind> for handover::Kind {
    fn from(kind: ObjectKind) -> Self {
        match kind {
            ObjectKind::ConfigMap => Self::ConfigMap,
            ObjectKind::Secret => Self::Secret,
        }
    }
}

/// Maximum number of Pipes. A field that is not set means no limit.
#[derive(Deserialize, Serialize, schemars::JsonSchema, Clone, Copy, Debug, Default, PartialEq, Eq)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Quota {
    /// Maximum number in the namespace of the pod.
    #[schemars(range(min = 1))]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub per_namespace: Option<u32>,
    /// Maximum number in the run of the task.
    #[schemars(range(min = 1))]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub per_run: Option<u32>,
}

/// In a profile, unknown fields of the quota are an error, because they are likely a typo. In a configuration
/// they are ignored.
fn known_quota<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<Quota, D::Error> {
    #[derive(Deserialize, Default)]
    #[serde(rename_all = "camelCase", default)]
    struct Known {
        per_namespace: Option<u32>,
        per_run: Option<u32>,
    }
    let Known { per_namespace, per_run } = Known::deserialize(deserializer)?;
    Ok(Quota { per_namespace, per_run })
}

impl Quota {
    fn is_none(&self) -> bool {
        *self == Self::default()
    }
}
