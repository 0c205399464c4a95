//! The overlays of a profile: ordered changes to the pods of its tasks.

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::rule::{self, CelRule, Validated};

/// A change to the pods of tasks: a partial pod, or a JSON patch.
#[derive(Deserialize, Serialize, Clone, Debug, Default, PartialEq, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[schemars(extend("x-kubernetes-validations" = rule::cel::<Overlay>()))]
pub struct Overlay {
    /// Name of the overlay. Must be unique in the profile. Required.
    #[schemars(length(min = 1, max = 63), regex(pattern = "^[a-z0-9]([-a-z0-9]*[a-z0-9])?$"))]
    pub name: String,
    /// Condition, an expression in the language of templates: `scheduler == "airflow"`. The overlay is only
    /// applied to pods for which it is true. By default, it is applied to all pods.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 1024))]
    pub when: Option<String>,
    /// Whether the overlay is only applied to pods whose annotation `bootlace.dev/overlays` names it.
    /// Defaults to false.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub optional: bool,
    /// Whether the overlay replaces values that the pod or an earlier overlay has set. By default, these are
    /// kept.
    #[serde(rename = "override", default, skip_serializing_if = "std::ops::Not::not")]
    pub overrides: bool,
    /// Whether a container or volume of the overlay gets another name if its name is taken. By default, the
    /// pod is refused.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub rename: bool,
    /// A partial pod with labels, annotations and `spec`. It is merged like a strategic merge patch:
    /// containers, volumes and variables by name, mounts by path. A container with the name `*` stands for
    /// every task container. Values can be templates.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "any_object")]
    pub pod: Option<Map<String, Value>>,
    /// A JSON patch (RFC 6902). At most 64 operations.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 64), extend("x-kubernetes-list-type" = "atomic"))]
    pub json_patch: Vec<JsonPatchOperation>,
}

impl Validated for Overlay {
    const RULES: &'static [CelRule<Self>] = &[
        CelRule {
            cel: "has(self.pod) != (has(self.jsonPatch) && self.jsonPatch.size() > 0)",
            message: "an overlay must have exactly one kind: set pod or jsonPatch",
            is_met: |part| part.pod.is_some() == part.json_patch.is_empty(),
        },
        CelRule {
            cel: "!(has(self.override) && self.override && has(self.rename) && self.rename)",
            message: "override replaces what rename would keep: set one of them",
            is_met: |part| !(part.overrides && part.rename),
        },
        CelRule {
            cel: "!has(self.jsonPatch) || (has(self.override) && self.override) || \
                  self.jsonPatch.all(operation, operation.op != 'replace')",
            message: "jsonPatch with the operation replace requires override: set override to true, or use add",
            is_met: |part| {
                part.overrides || part.json_patch.iter().all(|operation| operation.op != JsonPatchOp::Replace)
            },
        },
    ];
}

/// An operation of a JSON patch (RFC 6902).
#[derive(Deserialize, Serialize, Clone, Debug, Default, PartialEq, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct JsonPatchOperation {
    /// Operation: `add`, `replace`, `test` or `copy`. Overlays remove and move nothing. Required.
    pub op: JsonPatchOp,
    /// JSON pointer to the field or element, below `/spec`, `/metadata/labels` or `/metadata/annotations`. A
    /// last part `-` adds an element at the end of a list. Required.
    #[schemars(length(min = 1, max = 1024), regex(pattern = "^/"))]
    pub path: String,
    /// JSON pointer to the value that `copy` adds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 1024), regex(pattern = "^/"))]
    pub from: Option<String>,
    /// Value to add, replace or test. Its strings can be templates.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "any_value")]
    pub value: Option<Value>,
}

/// Kind of an operation.
#[derive(Deserialize, Serialize, Clone, Copy, Debug, Default, PartialEq, Eq, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum JsonPatchOp {
    /// Adds a field, or an element to a list.
    #[default]
    Add,
    /// Replaces an existing value.
    Replace,
    /// Refuses the pod if a value differs.
    Test,
    /// Adds a copy of another value of the pod.
    Copy,
}

/// An object with any fields, which the API server keeps.
fn any_object(_: &mut SchemaGenerator) -> Schema {
    json_schema!({"type": "object", "x-kubernetes-preserve-unknown-fields": true})
}

/// Any value, which the API server keeps.
fn any_value(_: &mut SchemaGenerator) -> Schema {
    json_schema!({"x-kubernetes-preserve-unknown-fields": true})
}
