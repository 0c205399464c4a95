//! Settings of the env delivery in a profile.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::rules;

/// Command of an image, for containers without a command.
#[derive(Deserialize, Serialize, Clone, Debug, Default, PartialEq, Eq, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[schemars(extend("x-kubernetes-validations" = rules::cel(rules::IMAGE_COMMAND)))]
pub struct ImageCommand {
    /// Image pattern: `registry.example.com/etl/runner` with any tag, `…/runner:2.1`, `…/runner:2.*`, or
    /// `…/runner@sha256:…`. A `*` matches any part of one path component, `/**` at the end matches all
    /// components below. Required.
    #[schemars(length(min = 1, max = 512), regex(pattern = r"^\S+$"))]
    pub image: String,
    /// ENTRYPOINT of the image. At most 64 words.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(min = 1, max = 64), inner(length(max = 4096)))]
    pub entrypoint: Vec<String>,
    /// CMD of the image, which `args` of the container replace. At most 64 words.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(min = 1, max = 64), inner(length(max = 4096)))]
    pub cmd: Vec<String>,
}

/// Settings of the env mode `File`.
#[derive(Deserialize, Serialize, Clone, Debug, Default, PartialEq, Eq, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct EnvFile {
    /// Names of the variables that sources provide. Required for the env mode `File`, because the spec of the
    /// pod must contain each name. At most 256.
    #[schemars(
        length(max = 256),
        inner(length(max = 253), regex(pattern = "^[!\"$-<>-~]([ -<>-~]*[!-<>-~])?$"))
    )]
    pub keys: Vec<String>,
}
