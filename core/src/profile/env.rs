//! The profile's words for the ways of the env that need more than a name.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::rules;

/// What an image runs, for pods that name no command.
#[derive(Deserialize, Serialize, Clone, Debug, Default, PartialEq, Eq, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[schemars(extend("x-kubernetes-validations" = rules::cel(rules::IMAGE_COMMAND)))]
pub struct ImageCommand {
    /// Which images: `registry.example.com/etl/runner` with any tag, `…/runner:2.1`, `…/runner:2.*`,
    /// `…/runner@sha256:…`. A `*` stands for any part of one name of the path, `/**` at the end for everything below.
    #[schemars(length(min = 1, max = 512), regex(pattern = r"^\S+$"))]
    pub image: String,
    /// Its ENTRYPOINT.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(min = 1, max = 64), inner(length(max = 4096)))]
    pub entrypoint: Vec<String>,
    /// Its CMD, which the pod's `args` replace.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(min = 1, max = 64), inner(length(max = 4096)))]
    pub cmd: Vec<String>,
}

/// What the kubelet reads from a file.
#[derive(Deserialize, Serialize, Clone, Debug, Default, PartialEq, Eq, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct EnvFile {
    /// Names of the variables that sources give: the pod's spec must name each.
    #[schemars(
        length(max = 256),
        inner(length(max = 253), regex(pattern = "^[!\"$-<>-~]([ -<>-~]*[!-<>-~])?$"))
    )]
    pub keys: Vec<String>,
}
