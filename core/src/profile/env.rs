//! Settings of the env delivery in a profile.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::rule::{self, CelRule, Validated};

/// How the boot env is delivered to the task process.
#[derive(Deserialize, Serialize, Clone, Debug, Default, PartialEq, Eq, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
#[schemars(extend("x-kubernetes-validations" = rule::cel::<Env>()))]
pub struct Env {
    /// Env mode: `Auto`, `Launch`, `Secret`, `File` or `Hook`. Defaults to `Auto`, which uses the launcher if
    /// the command of the container is known. A pod can override it with the annotation
    /// `bootlace.dev/env-mode`.
    pub mode: EnvMode,
    /// Variables that control which code runs (`PATH`, `LD_*` and others) and that sources may set: names, or
    /// prefixes followed by `*`. At most 64.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 64), inner(length(max = 253), regex(pattern = r"^[A-Za-z_][A-Za-z0-9_]*\*?$")))]
    pub allow: Vec<String>,
    /// Commands of images, for containers without a command. The first entry that matches the image is used.
    /// At most 256.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 256))]
    pub images: Vec<ImageCommand>,
    /// Settings of the env mode `File`.
    pub file: EnvFile,
}

impl Validated for Env {
    const RULES: &'static [CelRule<Self>] = &[CelRule {
        cel: "self.mode != 'File' || (has(self.file) && self.file.keys.size() > 0)",
        message: "mode File requires file.keys: list the names of the variables there",
        is_met: |part| part.mode != EnvMode::File || !part.file.keys.is_empty(),
    }];
}

/// How the boot env is delivered to the task process.
#[derive(Deserialize, Serialize, Clone, Copy, Debug, Default, PartialEq, Eq, JsonSchema)]
pub enum EnvMode {
    /// The mode with the strongest guarantee that the container supports.
    #[default]
    Auto,
    /// The launcher loads the env and executes the command of the container. A container with an unknown
    /// command is refused.
    Launch,
    /// The store creates a Secret for the pod from the boot env, and the kubelet passes it to the container.
    /// It does not need the command, and is limited to text of at most 1 MiB with the names.
    Secret,
    /// The kubelet reads the env from a file (`fileKeyRef`). Requires Kubernetes 1.35 or later.
    File,
    /// The postStart hook writes the env to `$HOME/.env`, for an entrypoint that sources this file. Nothing
    /// verifies that it does.
    Hook,
}

impl EnvMode {
    /// All env modes.
    pub const ALL: [Self; 5] = [Self::Auto, Self::Launch, Self::Secret, Self::File, Self::Hook];

    /// The name of the mode.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Auto => "Auto",
            Self::Launch => "Launch",
            Self::Secret => "Secret",
            Self::File => "File",
            Self::Hook => "Hook",
        }
    }

    /// Whether the mode requires the postStart hook: the hook delivers the env, or nothing else detects that
    /// the env is missing.
    #[must_use]
    pub fn needs_hook(self) -> bool {
        matches!(self, Self::File | Self::Hook)
    }
}

/// Command of an image, for containers without a command.
#[derive(Deserialize, Serialize, Clone, Debug, Default, PartialEq, Eq, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[schemars(extend("x-kubernetes-validations" = rule::cel::<ImageCommand>()))]
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

impl Validated for ImageCommand {
    const RULES: &'static [CelRule<Self>] = &[CelRule {
        cel: "has(self.entrypoint) || has(self.cmd)",
        message: "entrypoint and cmd are both missing: set at least one of them",
        is_met: |part| !part.entrypoint.is_empty() || !part.cmd.is_empty(),
    }];
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
