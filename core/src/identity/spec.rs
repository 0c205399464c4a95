//! The format of an entry of the table of schedulers, for `schedulers.yaml` and the chart value
//! `schedulers.extra`. The JSON schema of the value is generated from these types.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fmt;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::de::value::{MapAccessDeserializer, SeqAccessDeserializer};
use serde::de::{MapAccess, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer};

use crate::exactly_one::exactly_one;

/// Conditions for the pods of a scheduler, and rules for the identity of the task.
#[derive(Deserialize, JsonSchema, Clone, Debug, PartialEq, Eq)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct SchedulerSpec {
    /// Short name in templates, metrics and task.json.
    #[schemars(length(max = 63), regex(pattern = r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?$"))]
    pub name: String,
    /// Creator of the pods in messages. Defaults to the name.
    #[serde(default)]
    #[schemars(length(min = 1, max = 100))]
    pub title: Option<String>,
    /// Conditions that all pods of the scheduler meet. A pod belongs to the scheduler if it meets all of
    /// them.
    #[serde(rename = "match")]
    #[schemars(length(min = 1, max = 8))]
    pub conditions: Vec<Condition>,
    /// Whether these pods are tasks in namespaces with bootlace.dev/schedulers=enabled. If not, a pod needs
    /// the label bootlace.dev/task.
    #[serde(default = "yes")]
    pub opt_in: bool,
    /// The containers that run the task.
    #[serde(default)]
    pub containers: ContainerRules,
    /// Where the pod contains the identity of the task. A field without a rule is undefined.
    #[serde(default)]
    pub identity: IdentityRules,
    /// Why a field of the identity is undefined, for messages.
    #[serde(default)]
    pub unknown: BTreeMap<IdentityField, String>,
    /// Kinds of objects that represent the run. If one of them controls the pod, it owns the Pipes of the
    /// task.
    #[serde(default)]
    #[schemars(length(max = 16))]
    pub run_owners: Vec<OwnerKind>,
    /// The env mode that Auto selects. Secret: for schedulers that start the task with exec, because such a
    /// process does not inherit the env of the launcher.
    #[serde(default)]
    pub env: Option<DefaultEnvMode>,
    /// The scheduler that sends events of the runs to OpenLineage, and so determines their IDs. Without one,
    /// Bootlace derives them from the identity.
    #[serde(default)]
    pub lineage: Option<LineageIds>,
    /// A warning for the creator of each pod.
    #[serde(default)]
    #[schemars(length(min = 1, max = 500))]
    pub warning: Option<String>,
    /// A warning for the creator of each pod with outputs, which get a native sidecar.
    #[serde(default)]
    #[schemars(length(min = 1, max = 500))]
    pub output_warning: Option<String>,
    /// How Bootlace is tested with this scheduler, for the docs.
    #[serde(default)]
    pub tested: Option<TestedWith>,
}

fn yes() -> bool {
    true
}

/// A condition. Exactly one of label, annotation, env, container and owner is set. With value, contains or
/// pattern, a label, annotation or variable must also have this value; with absent, the pod must not have the
/// label.
#[derive(Deserialize, JsonSchema, Clone, Debug, Default, PartialEq, Eq)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct Condition {
    /// The pod has this label.
    #[serde(default)]
    #[schemars(length(max = 317), regex(pattern = r"^[-A-Za-z0-9_./]+$"))]
    pub label: Option<String>,
    /// The pod has this annotation.
    #[serde(default)]
    #[schemars(length(max = 317), regex(pattern = r"^[-A-Za-z0-9_./]+$"))]
    pub annotation: Option<String>,
    /// A container or init container of the pod sets this variable.
    #[serde(default)]
    #[schemars(length(max = 256), regex(pattern = r"^[-A-Za-z0-9_.]+$"))]
    pub env: Option<String>,
    /// The pod has a container or init container with this name.
    #[serde(default)]
    #[schemars(length(max = 63), regex(pattern = r"^[-a-z0-9]+$"))]
    pub container: Option<String>,
    /// An object of this kind controls the pod.
    #[serde(default)]
    pub owner: Option<OwnerKind>,
    /// Whether the pod must not have the label.
    #[serde(default)]
    pub absent: bool,
    /// The exact value.
    #[serde(default)]
    #[schemars(length(max = 256), regex(pattern = r"^[^'\\\n]*$"))]
    pub value: Option<String>,
    /// A part of the value.
    #[serde(default)]
    #[schemars(length(min = 1, max = 256), regex(pattern = r"^[^'\\\n]*$"))]
    pub contains: Option<String>,
    /// A regular expression that matches a part of the value, in the syntax of RE2.
    #[serde(default)]
    #[schemars(length(max = 256), regex(pattern = r"^[^'\n]*$"))]
    pub pattern: Option<String>,
}

impl Condition {
    pub(super) fn check(&self) -> Result<(), &'static str> {
        let Self { label, annotation, env, container, owner, absent, value, contains, pattern } = self;
        let [label, annotation, env] = [label.is_some(), annotation.is_some(), env.is_some()];
        if !exactly_one([label, annotation, env, container.is_some(), owner.is_some()]) {
            return Err("is invalid: must set exactly one of label, annotation, env, container and owner");
        }
        let has_value = value.is_some() || contains.is_some() || pattern.is_some();
        if has_value && !(label || annotation || env) {
            return Err("is invalid: value, contains and pattern must be used with label, annotation or env");
        }
        if *absent && (has_value || !label) {
            return Err("is invalid: absent must be used with label, without value, contains and pattern");
        }
        Ok(())
    }
}

/// The containers that run the task. If several rules are set, the first one that finds a container is used,
/// in the order annotation, names, prefix, all, index. If none does, it is the first container that is not
/// ignored.
#[derive(Deserialize, JsonSchema, Clone, Debug, Default, PartialEq, Eq)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct ContainerRules {
    /// An annotation whose value is the name of the container.
    #[serde(default)]
    #[schemars(length(max = 317))]
    pub annotation: Option<String>,
    /// Names of the container, of which the first that the pod has is used.
    #[serde(default)]
    #[schemars(length(max = 32))]
    pub names: Vec<String>,
    /// All containers whose names start with this prefix.
    #[serde(default)]
    #[schemars(length(min = 1, max = 63))]
    pub prefix: Option<String>,
    /// All containers that are not ignored.
    #[serde(default)]
    pub all: bool,
    /// The index of the container.
    #[serde(default)]
    pub index: Option<u8>,
    /// Names of containers that belong to the scheduler. A name can end in `*`.
    #[serde(default)]
    #[schemars(length(max = 32))]
    pub ignore: Vec<String>,
    /// Whether these rules override the annotation kubectl.kubernetes.io/default-container, because the
    /// scheduler sets it on all pods.
    #[serde(default)]
    pub override_default_container: bool,
}

impl ContainerRules {
    pub(super) fn ignores(&self, name: &str) -> bool {
        self.ignore.iter().any(|ignored| match ignored.strip_suffix('*') {
            Some(prefix) => name.starts_with(prefix),
            None => name == ignored,
        })
    }
}

/// Where the pod contains the fields of the identity. Each is a rule, or a list of rules of which the first
/// that finds a value is used.
#[derive(Deserialize, JsonSchema, Clone, Debug, Default, PartialEq, Eq)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct IdentityRules {
    /// Workflow: a DAG, workflow template or pipeline.
    #[serde(default)]
    pub workflow: Rules,
    /// Run of the workflow.
    #[serde(default)]
    pub run: Rules,
    /// Task of the workflow.
    #[serde(default)]
    pub task: Rules,
    /// Attempt of the task, as the scheduler counts.
    #[serde(default)]
    pub attempt: Rules,
    /// Index in a mapped or indexed task.
    #[serde(default)]
    pub map_index: Rules,
    /// Time for which the run is scheduled. The value must be in RFC 3339 format.
    #[serde(default)]
    pub scheduled_time: Rules,
}

impl IdentityRules {
    /// The rules of a field.
    #[must_use]
    pub fn rules(&self, field: IdentityField) -> &Rules {
        match field {
            IdentityField::Workflow => &self.workflow,
            IdentityField::Run => &self.run,
            IdentityField::Task => &self.task,
            IdentityField::Attempt => &self.attempt,
            IdentityField::MapIndex => &self.map_index,
            IdentityField::ScheduledTime => &self.scheduled_time,
        }
    }
}

/// One rule or a list of rules.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Rules(pub Vec<Rule>);

impl<'de> Deserialize<'de> for Rules {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct RulesVisitor;

        // An untagged enum would not report which field is wrong.
        impl<'de> Visitor<'de> for RulesVisitor {
            type Value = Rules;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a rule such as {label: KEY}, or a list of rules")
            }

            fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Rules, A::Error> {
                Rule::deserialize(MapAccessDeserializer::new(map)).map(|rule| Rules(vec![rule]))
            }

            fn visit_seq<A: SeqAccess<'de>>(self, seq: A) -> Result<Rules, A::Error> {
                Vec::deserialize(SeqAccessDeserializer::new(seq)).map(Rules)
            }
        }

        deserializer.deserialize_any(RulesVisitor)
    }
}

impl JsonSchema for Rules {
    fn schema_name() -> Cow<'static, str> {
        "Rules".into()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        let rule = generator.subschema_for::<Rule>();
        json_schema!({
            "description": "One rule, or a list of rules of which the first that finds a value is used.",
            "anyOf": [rule, {"type": "array", "maxItems": 8, "items": rule}],
        })
    }
}

/// Where a value is. Exactly one of label, annotation, env, owner, pod and `commandLine` is set.
#[derive(Deserialize, JsonSchema, Clone, Debug, Default, PartialEq, Eq)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct Rule {
    /// The value of this label.
    #[serde(default)]
    #[schemars(length(max = 317))]
    pub label: Option<String>,
    /// The value of this annotation.
    #[serde(default)]
    #[schemars(length(max = 317))]
    pub annotation: Option<String>,
    /// The value of this variable of the task container.
    #[serde(default)]
    #[schemars(length(max = 256))]
    pub env: Option<String>,
    /// A field of the object that controls the pod.
    #[serde(default)]
    pub owner: Option<OwnerField>,
    /// A field of the pod.
    #[serde(default)]
    pub pod: Option<PodField>,
    /// The command and args of the task container, separated by spaces.
    #[serde(default)]
    pub command_line: bool,
    /// For env and `commandLine`: the container or init container. Defaults to the first task container.
    #[serde(default)]
    #[schemars(length(max = 63))]
    pub container: Option<String>,
    /// The text must start with the value of this label, which is removed from it.
    #[serde(default)]
    #[schemars(length(max = 317))]
    pub after_label: Option<String>,
    /// A regular expression. The result is its first group, or the whole match if it has no group. If the
    /// text does not contain a match, the rule finds no value.
    #[serde(default)]
    #[schemars(length(max = 256))]
    pub pattern: Option<String>,
    /// The result, if the text exists and contains a match of the pattern.
    #[serde(default)]
    #[schemars(length(max = 256))]
    pub value: Option<String>,
    /// A conversion that no pattern can express.
    #[serde(default)]
    pub code: Option<Conversion>,
}

impl Rule {
    pub(super) fn check(&self) -> Result<(), &'static str> {
        let has_container = self.env.is_some() || self.command_line;
        let sources = [
            self.label.is_some(),
            self.annotation.is_some(),
            self.env.is_some(),
            self.owner.is_some(),
            self.pod.is_some(),
            self.command_line,
        ];
        if !exactly_one(sources) {
            return Err(
                "is invalid: must set exactly one of label, annotation, env, owner, pod and commandLine",
            );
        }
        if self.container.is_some() && !has_container {
            return Err("is invalid: container must be used with env or commandLine");
        }
        Ok(())
    }
}

/// A field of the identity.
#[derive(Deserialize, JsonSchema, Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[serde(rename_all = "camelCase")]
pub enum IdentityField {
    /// Workflow.
    Workflow,
    /// Run.
    Run,
    /// Task.
    Task,
    /// Attempt.
    Attempt,
    /// Map index.
    MapIndex,
    /// Scheduled time.
    ScheduledTime,
}

impl IdentityField {
    /// All fields, in the order of the docs.
    pub const ALL: [Self; 6] =
        [Self::Workflow, Self::Run, Self::Task, Self::Attempt, Self::MapIndex, Self::ScheduledTime];

    /// The name in templates.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Workflow => "workflow",
            Self::Run => "run",
            Self::Task => "task",
            Self::Attempt => "attempt",
            Self::MapIndex => "mapIndex",
            Self::ScheduledTime => "scheduledTime",
        }
    }
}

/// A kind of object.
#[derive(Deserialize, JsonSchema, Clone, Debug, PartialEq, Eq)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct OwnerKind {
    /// API version, of which only the group counts.
    #[schemars(length(max = 317), regex(pattern = r"^([a-z0-9][-a-z0-9.]*/)?v[a-z0-9]+$"))]
    pub api_version: String,
    /// Kind.
    #[schemars(length(max = 63), regex(pattern = r"^[A-Za-z][A-Za-z0-9]*$"))]
    pub kind: String,
}

impl OwnerKind {
    /// Group and kind: `batch/Job`.
    #[must_use]
    pub fn group_and_kind(&self) -> String {
        group_and_kind(&self.api_version, &self.kind)
    }

    /// Whether an owner reference is of this kind, in any version.
    #[must_use]
    pub fn is(&self, api_version: &str, kind: &str) -> bool {
        group(&self.api_version) == group(api_version) && self.kind == kind
    }
}

/// Group and kind of an object, in any version: `batch/Job`, and `/Pod` for the core group.
#[must_use]
pub fn group_and_kind(api_version: &str, kind: &str) -> String {
    format!("{}/{kind}", group(api_version))
}

/// The group of an API version; empty for the core group.
fn group(api_version: &str) -> &str {
    api_version.split_once('/').map_or("", |(group, _)| group)
}

/// A field of an owner reference.
#[derive(Deserialize, JsonSchema, Clone, Copy, Debug, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub enum OwnerField {
    /// Name.
    Name,
    /// UID.
    Uid,
}

/// A field of a pod.
#[derive(Deserialize, JsonSchema, Clone, Copy, Debug, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub enum PodField {
    /// metadata.name. It has no value if the API server generates the name.
    Name,
}

/// A conversion that no pattern can express, in `core/src/identity/convert.rs`.
#[derive(Deserialize, JsonSchema, Clone, Copy, Debug, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub enum Conversion {
    /// The time in a run ID of Airflow that a schedule created.
    AirflowRunTime,
    /// The same, for an ID that Airflow has converted to a label value.
    AirflowLabelTime,
    /// The minutes since 1970 at the end of the name of a Job that a CronJob created.
    CronJobTime,
    /// A UTC time without separators, such as 20260102T000000.
    CompactTime,
    /// The index of a Job in a JobSet, and the completion index of the pod if the Job is indexed.
    JobSetIndex,
    /// The index of a `TaskRun` of a matrix, at the end of its name.
    TektonMatrixIndex,
}

/// An env mode that Auto can select for a scheduler.
#[derive(Deserialize, JsonSchema, Clone, Copy, Debug, PartialEq, Eq)]
pub enum DefaultEnvMode {
    /// The env comes from a Secret.
    Secret,
}

/// A scheduler that determines the IDs of runs in OpenLineage, in `core/src/telemetry`.
#[derive(Deserialize, JsonSchema, Clone, Copy, Debug, PartialEq, Eq)]
pub enum LineageIds {
    /// Airflow's OpenLineage provider.
    Airflow,
}

/// How Bootlace is tested with a scheduler.
#[derive(Deserialize, JsonSchema, Clone, Copy, Debug, PartialEq, Eq)]
pub enum TestedWith {
    /// With its real client or controller, on a cluster.
    RealClient,
    /// With pods that its real client or controller created.
    CapturedPods,
    /// With pods that were written according to its source.
    Source,
}
