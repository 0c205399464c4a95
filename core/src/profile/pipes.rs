//! Settings of pipes: outputs of the tasks of the profile, their retention, and sources from outputs of
//! earlier tasks.

use bootlace_launch::handover::is_data_key;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::mounted::{HasKeys, Item, Keys, SourceTarget, key_rules};
use super::resources::ContainerResources;
use super::rule::{self, CelRule, Validated};
use crate::output::{ObjectKind, Quota};

/// Outputs of tasks, which later tasks of the run can use.
#[derive(Deserialize, Serialize, Clone, Debug, PartialEq, Eq, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct Pipes {
    /// Outputs of every task of the profile, in addition to those in the annotation `bootlace.dev/pipe-out`
    /// of the pod. If both declare a key, the annotation wins. At most 100.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 100), extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["key"]))]
    pub outputs: Vec<Output>,
    /// Retention of an output that no object of its run owns, in seconds. Defaults to 604800 (7 days). At
    /// least 60, at most 31536000.
    #[schemars(range(min = 60, max = 31_536_000))]
    pub time_to_live_seconds: u32,
    /// Timeout for storing the outputs after a task has ended, in seconds. The task fails when it expires.
    /// Defaults to 60. At most 3600.
    #[schemars(range(min = 1, max = 3600))]
    pub deadline_seconds: u32,
    /// Whether the outputs of a failed task are stored: `Discard` or `Store`. Defaults to `Discard`.
    pub on_failure: OnFailure,
    /// Maximum number of outputs.
    pub quota: Quota,
    /// Resources of the sidecar that stores the outputs. Defaults to requests of 5m CPU and 16Mi memory with
    /// limits of 200m and 64Mi, and to 20m and 32Mi in a Guaranteed pod; resources that no container of the
    /// pod declares are not set. Ignored if the pod has pod-level resources (`spec.resources`).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub resources: Option<ContainerResources>,
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

/// Whether the outputs of a failed task are stored.
#[derive(Deserialize, Serialize, Clone, Copy, Debug, Default, PartialEq, Eq, JsonSchema)]
pub enum OnFailure {
    /// They are not stored.
    #[default]
    Discard,
    /// The files that exist are stored. An error while storing them does not change the result of the task.
    Store,
}

/// An output of a task, which is stored as one object.
#[derive(Deserialize, Serialize, Clone, Debug, PartialEq, Eq, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[schemars(extend("x-kubernetes-validations" = rule::cel::<Output>()))]
pub struct Output {
    /// Key that later tasks use. Required.
    #[schemars(length(min = 1, max = 253))]
    pub key: String,
    /// Absolute path of the file in the task container, or a pattern with `*`, `?` and `[…]` for several
    /// files. Required.
    #[schemars(length(min = 2, max = 1024))]
    pub file: String,
    /// Kind of the object: `ConfigMap` or `Secret`. Required.
    pub kind: ObjectKind,
    /// Task container that writes the output. Required if the pod has several task containers.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 63))]
    pub container: Option<String>,
    /// Whether the task can succeed without the output. Defaults to false.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub optional: bool,
    /// Whether pods that already exist can wait for the output. It is then stored a second time, under a name
    /// without a hash of its content. Defaults to false.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub awaited: bool,
}

impl Validated for Output {
    const RULES: &'static [CelRule<Self>] = &[
        CelRule {
            cel: "self.key.matches('^[-._a-zA-Z0-9]+$') && self.key != '.' && !self.key.startsWith('..')",
            message: "key must consist of letters, digits, -, _ and ., and must not start with ..: correct it",
            is_met: |part| is_data_key(&part.key),
        },
        CelRule {
            cel: "self.file.startsWith('/') && !self.file.endsWith('/')",
            message: "file must be an absolute path in the task container: use a path such as /out/report.json, \
                      or /out/*.json for several files",
            is_met: |part| part.file.starts_with('/') && !part.file.ends_with('/'),
        },
        CelRule {
            cel: "!self.file.contains('**') && !self.file.matches('/[.][.]?(/|$)')",
            message: "file must not contain . or .. as a folder, or **: write the full path, with * for each \
                      folder that can have any name",
            is_met: |part| {
                !part.file.contains("**") && part.file.split('/').all(|part| part != "." && part != "..")
            },
        },
    ];
}

/// The output of an earlier task of the run, as a source.
#[derive(Deserialize, Serialize, Clone, Debug, PartialEq, Eq, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[schemars(extend("x-kubernetes-validations" = rule::cel::<Pipe>()))]
pub struct Pipe {
    /// Key that the earlier task declares. Required.
    #[schemars(length(min = 1, max = 253), regex(pattern = "^[-._a-zA-Z0-9]+$"))]
    pub key: String,
    /// The earlier task. Required if several tasks of the run store this key.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 253))]
    pub task: Option<String>,
    /// Target of the files: `Env` for variables, `Files` for files. Defaults to `Files`.
    #[serde(default)]
    pub into: SourceTarget,
    /// Files to use, with their names as variables or files. Defaults to all files under their own names. At
    /// most 100.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 100))]
    pub items: Vec<Item>,
    /// Files to leave out if all files are used. A `*` matches any characters. At most 64.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 64), inner(length(min = 1, max = 253)))]
    pub exclude: Vec<String>,
    /// Prefix of all names: a folder such as `certs/` for files, or a prefix such as `TLS_` for variables.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    #[schemars(length(max = 253))]
    pub prefix: String,
}

impl Validated for Pipe {
    const RULES: &'static [CelRule<Self>] = &key_rules();
}

impl HasKeys for Pipe {
    fn keys(&self) -> Keys<'_> {
        let Self { into, items, exclude, prefix, .. } = self;
        Keys { into: *into, items, exclude, prefix }
    }
}
