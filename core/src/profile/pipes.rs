//! What a profile says of pipes: what its tasks hand over to later ones, how long that is kept, and what boot takes from
//! earlier ones.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::rules;
use super::spec::{Item, Resources, SourceTarget};
use crate::output::{ObjectKind, Quota};

/// What tasks hand over to later tasks of their run.
#[derive(Deserialize, Serialize, Clone, Debug, PartialEq, Eq, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct Pipes {
    /// What every task of the profile hands over, beside what its pod's annotation `bootlace.dev/pipe-out` declares. The
    /// pod's counts where both name a key.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 100), extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["key"]))]
    pub outputs: Vec<Output>,
    /// Seconds that an output is kept, where no object of its run owns it: a week without it.
    #[schemars(range(min = 60, max = 31_536_000))]
    pub time_to_live_seconds: u32,
    /// Seconds from a task's end until its outputs must be stored. The task fails when they are over.
    #[schemars(range(min = 1, max = 3600))]
    pub deadline_seconds: u32,
    /// What becomes of the outputs of a task that failed.
    pub on_failure: OnFailure,
    /// How many outputs there may be.
    pub quota: Quota,
    /// Resources of the sidecar that has the outputs stored. Without it: 5m of a CPU and 16Mi of memory, at most 200m and
    /// 64Mi; 20m and 32Mi in a Guaranteed pod; nothing of what the pod's containers declare nothing of. They do not apply to
    /// pods with resources of their own (`spec.resources`).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub resources: Option<Resources>,
}

impl Default for Pipes {
    fn default() -> Self {
        Self {
            outputs: Vec::new(),
            time_to_live_seconds: 7 * 24 * 60 * 60,
            deadline_seconds: 60,
            on_failure: OnFailure::default(),
            quota: Quota::default(),
            resources: None,
        }
    }
}

/// What becomes of the outputs of a task that failed.
#[derive(Deserialize, Serialize, Clone, Copy, Debug, Default, PartialEq, Eq, JsonSchema)]
pub enum OnFailure {
    /// Nothing is stored.
    #[default]
    Discard,
    /// Those that it wrote are stored; that one of them cannot be changes nothing about how it ended.
    Store,
}

/// An output that a task hands over: one object for later tasks.
#[derive(Deserialize, Serialize, Clone, Debug, PartialEq, Eq, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[schemars(extend("x-kubernetes-validations" = rules::cel(rules::OUTPUT)))]
pub struct Output {
    /// The key that later tasks name it by.
    #[schemars(length(min = 1, max = 253))]
    pub key: String,
    /// The file's absolute path in the task's container, or a pattern with `*`, `?` and `[…]` that means several.
    #[schemars(length(min = 2, max = 1024))]
    pub file: String,
    /// What it is stored as.
    pub kind: ObjectKind,
    /// The task container that writes it; needed only where a pod has several.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 63))]
    pub container: Option<String>,
    /// Whether the task may end without it.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub optional: bool,
    /// Whether a pod that is there before can wait for it. It is then stored twice, the second time under a name without a
    /// hash of its content.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub awaited: bool,
}

/// What an earlier task of the run handed over, as a source of boot's.
#[derive(Deserialize, Serialize, Clone, Debug, PartialEq, Eq, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[schemars(extend("x-kubernetes-validations" = rules::cel(rules::PIPE)))]
pub struct Pipe {
    /// The key that the earlier task declared.
    #[schemars(length(min = 1, max = 253), regex(pattern = "^[-._a-zA-Z0-9]+$"))]
    pub key: String,
    /// The earlier task; needed only where several of the run hand over this key.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 253))]
    pub task: Option<String>,
    /// Whether its files become env variables or files.
    #[serde(default)]
    pub into: SourceTarget,
    /// Which of its files, and as what. Without it: every file under its own name.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 100))]
    pub items: Vec<Item>,
    /// Which files to leave out, where all are taken: their names, with `*` for any characters.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 64), inner(length(min = 1, max = 253)))]
    pub exclude: Vec<String>,
    /// Put in front of every name: a folder (`certs/`) for files, a prefix (`TLS_`) for env.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    #[schemars(length(max = 253))]
    pub prefix: String,
}
