//! What the webhook tells the sidecar `bootlace-pipe`, in its env. The store reads the same from the pod's spec, which
//! nobody can change once the pod is there: so it is also what the pod may ask for.

use std::borrow::Cow;
use std::fmt;

use bootlace_launch::handover;
use serde::{Deserialize, Serialize};

use crate::identity::Identity;
use crate::injected_config::{ProfileRef, StoreEndpoint};

/// The content of `BOOTLACE_PIPES`. It holds no secret: it shows in the pod's spec.
///
/// Unknown fields are passed over: sidecar and store may be of the version before the webhook's, and no task is to fail for
/// that. What must not be passed over is a new value of a field that is known, which they say they cannot read.
#[derive(Deserialize, Serialize, Clone, Debug, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct SidecarConfig<'a> {
    /// Who the task is.
    pub task: Identity,
    /// The profile that this was made from.
    pub profile: ProfileRef,
    /// Who stores the outputs.
    pub store: Cow<'a, StoreEndpoint>,
    /// What the pod's tasks may hand over.
    pub outputs: Vec<DeclaredOutput>,
    /// Seconds that the outputs are kept, where nothing else owns them.
    pub time_to_live_seconds: u64,
    /// Seconds from a task's end that its launcher waits for the word that its outputs are stored.
    pub deadline_seconds: u32,
    /// Seconds of the pod's grace period that the sidecar may use once the tasks have ended.
    pub grace_seconds: u32,
    /// When the sidecar ends.
    #[serde(default)]
    pub ends: SidecarLifetime,
    /// How much there may be of it.
    #[serde(default, skip_serializing_if = "Quota::is_none", deserialize_with = "known_quota")]
    pub quota: Quota,
}

/// When the sidecar ends. The kubelet stops a sidecar once it has seen that all else has ended, and sees that it has
/// stopped a second later (kubernetes/kubernetes, `genericPlegRelistPeriod` in `pkg/kubelet/kubelet.go`): until then the
/// pod has not ended. One that ends beside the last task is seen with it.
#[derive(Deserialize, Serialize, Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum SidecarLifetime {
    /// When the kubelet tells it to: other containers run as well, or tasks are started again.
    #[default]
    WhenTold,
    /// Once every task has ended: none is started again.
    WithTasks,
    /// Once every task has succeeded: one that fails is started again.
    WithSuccess,
}

impl SidecarLifetime {
    /// Whether a task that ended is not started again.
    #[must_use]
    pub fn is_final(self, succeeded: bool) -> bool {
        match self {
            Self::WhenTold => false,
            Self::WithTasks => true,
            Self::WithSuccess => succeeded,
        }
    }
}

/// An output that a task declares.
#[derive(Deserialize, Serialize, Clone, Debug, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct DeclaredOutput {
    /// The key that later tasks name it by.
    pub key: String,
    /// What it is stored as.
    pub kind: ObjectKind,
    /// The task container that hands it over.
    pub container: String,
    /// The file's path, or a glob, on the volume that the sidecar shares with a task whose command is not known, and
    /// which it reads itself when the tasks have ended. None where the launcher hands the output over.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub shared_file: Option<String>,
    /// Whether a missing file is no failure.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub optional: bool,
    /// Whether it is stored under a name that a pod can wait for, too.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub awaited: bool,
}

/// The kind of an object that holds files by key.
#[derive(Deserialize, Serialize, schemars::JsonSchema, Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ObjectKind {
    /// Anyone who may read `ConfigMaps` can read it.
    ConfigMap,
    /// Only who may read Secrets can.
    Secret,
}

impl ObjectKind {
    /// The kind as Kubernetes spells it.
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

/// The launcher, which is without serde, has a type of its own for what it writes into a manifest.
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

/// A profile's quota may have no unknown fields, which would be a slip of its author's; a spec's may.
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
