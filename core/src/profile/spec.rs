//! The `BootProfile` custom resource: how tasks boot.
//!
//! The CRD in the chart is generated from these types (`bootlace crds`); a test fails if they differ. The API
//! server refuses what the schema and the CEL rules can detect, with the messages below.

use std::borrow::Cow;
use std::collections::BTreeMap;

use kube::CustomResource;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::env::{EnvFile, ImageCommand};
use super::hook::Hook;
use super::init_image::InitImage;
use super::object_store::ObjectStore;
use super::oci::Oci;
use super::pipes::{Pipe, Pipes};
use super::remote::{Http, Limits, Optimus};
use super::rules;
use super::run_as_user::{self, RunAsUser};
use crate::{crd, names};

/// How tasks boot: what boot fetches, and how the task gets it.
#[derive(CustomResource, JsonSchema, Deserialize, Serialize, Clone, Debug, Default, PartialEq)]
#[kube(
    group = "bootlace.dev",
    version = "v1alpha1",
    kind = "BootProfile",
    plural = "bootprofiles",
    shortname = "bp",
    category = "bootlace",
    status = "super::BootProfileStatus",
    doc = "A BootProfile describes how tasks boot: what boot fetches before a task starts, and how the task gets it.",
    printcolumn = r#"{"name":"Ready","type":"string","jsonPath":".status.conditions[?(@.type==\"Ready\")].status"}"#,
    printcolumn = r#"{"name":"In force","type":"integer","jsonPath":".status.lastGood.generation","description":"Generation that tasks boot with"}"#,
    printcolumn = r#"{"name":"Message","type":"string","priority":1,"jsonPath":".status.conditions[?(@.type==\"Ready\")].message"}"#,
    printcolumn = r#"{"name":"Assets","type":"string","jsonPath":".spec.assets.layout"}"#,
    printcolumn = r#"{"name":"Env","type":"string","jsonPath":".spec.env.mode"}"#,
    printcolumn = r#"{"name":"Age","type":"date","jsonPath":".metadata.creationTimestamp"}"#
)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
#[schemars(extend("x-kubernetes-validations" = rules::cel(rules::SPEC)))]
#[schemars(transform = crd::known_integers)]
pub struct BootProfileSpec {
    /// The boot container.
    pub boot: Boot,
    /// Sources that boot fetches, in order. If two sources provide the same variable or file, the later one
    /// wins. At most 32.
    #[schemars(length(max = 32), extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["name"]))]
    pub sources: Vec<Source>,
    /// Where the task finds its files.
    pub assets: Assets,
    /// The volume that contains the files and the env that boot fetched.
    pub volume: Volume,
    /// How the boot env is delivered to the task process.
    pub env: Env,
    /// The postStart hook, which verifies that the task process has the boot env.
    pub hook: Hook,
    /// Outputs of the tasks, which later tasks of the run can use.
    pub pipes: Pipes,
}

/// The boot container.
#[derive(Deserialize, Serialize, Clone, Debug, PartialEq, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct Boot {
    /// Image of the boot container. Defaults to the image that the webhook is configured with.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 512))]
    pub image: Option<String>,
    /// Pull policy of the boot image: `Always`, `IfNotPresent` or `Never`. Defaults to the policy that the
    /// webhook is configured with.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub image_pull_policy: Option<PullPolicy>,
    /// Names of Secrets in the namespace of the pod, for a boot image in a private registry. They are added
    /// to `imagePullSecrets` of the pod, together with those that the webhook is configured with. At most 16.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schemars(
        length(max = 16),
        inner(length(min = 1, max = 253), regex(pattern = "^[a-z0-9]([-.a-z0-9]*[a-z0-9])?$")),
        extend("x-kubernetes-list-type" = "set")
    )]
    pub image_pull_secrets: Vec<String>,
    /// Boot images that a pod can select with the annotation `bootlace.dev/init-image`. By default, no image
    /// is allowed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub init_image: Option<InitImage>,
    /// Position of boot among the init containers of the pod: `First` or `Last`. Defaults to `Last`.
    pub position: Position,
    /// Timeout for all sources together, in seconds. Boot fails when it expires. Defaults to 120. At most
    /// 3600.
    #[schemars(range(min = 1, max = 3600))]
    pub timeout_seconds: u32,
    /// Format of the log of boot: `Text`, or `Json` for one JSON object per line. Defaults to `Text`.
    pub log_format: LogFormat,
    /// Resources of the boot container. Defaults to those of the largest container of the pod, which add
    /// nothing to the requests of the pod because boot exits before the task starts. Ignored if the pod has
    /// pod-level resources (`spec.resources`).
    #[serde(skip_serializing_if = "Resources::is_empty")]
    pub resources: Resources,
    /// User ID of all injected containers; must not be 0. Defaults to the ID that the webhook is configured
    /// with, which is 65532 by default. With `null`, the platform sets the ID, for example `OpenShift` from
    /// the range of the namespace.
    #[serde(deserialize_with = "run_as_user::present", skip_serializing_if = "Option::is_none")]
    pub run_as_user: Option<RunAsUser>,
}

impl Default for Boot {
    fn default() -> Self {
        Self {
            image: None,
            image_pull_policy: None,
            image_pull_secrets: Vec::new(),
            init_image: None,
            position: Position::default(),
            timeout_seconds: 120,
            log_format: LogFormat::default(),
            resources: Resources::default(),
            run_as_user: None,
        }
    }
}

/// Format of the log of boot.
#[derive(Deserialize, Serialize, Clone, Copy, Debug, Default, PartialEq, Eq, JsonSchema)]
pub enum LogFormat {
    /// Lines of text.
    #[default]
    Text,
    /// One JSON object per line.
    Json,
}

impl LogFormat {
    /// Whether it is the default.
    #[must_use]
    pub fn is_text(&self) -> bool {
        *self == Self::Text
    }
}

/// Pull policy of an image, as in the Kubernetes API.
#[derive(Deserialize, Serialize, Clone, Copy, Debug, PartialEq, Eq, JsonSchema)]
pub enum PullPolicy {
    /// Pull the image each time a container starts.
    Always,
    /// Pull the image if the node does not have it.
    IfNotPresent,
    /// Never pull the image.
    Never,
}

impl PullPolicy {
    /// The value of `imagePullPolicy` in a pod.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Always => "Always",
            Self::IfNotPresent => "IfNotPresent",
            Self::Never => "Never",
        }
    }
}

impl std::str::FromStr for PullPolicy {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        [Self::Always, Self::IfNotPresent, Self::Never]
            .into_iter()
            .find(|policy| policy.as_str() == text)
            .ok_or_else(|| format!("{text:?} is not a valid pull policy: use Always, IfNotPresent or Never"))
    }
}

/// Position of boot among the init containers of the pod.
#[derive(Deserialize, Serialize, Clone, Copy, Debug, Default, PartialEq, Eq, JsonSchema)]
pub enum Position {
    /// Before all of them: they can use the fetched files.
    First,
    /// After all of them: boot can use what they set up, for example the network of a mesh.
    #[default]
    Last,
}

/// Requests and limits of an injected container: `cpu`, `memory` and `ephemeral-storage`.
#[derive(Deserialize, Serialize, Clone, Debug, Default, PartialEq, Eq, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
#[schemars(extend("x-kubernetes-validations" = rules::cel(rules::RESOURCES)))]
pub struct Resources {
    /// Requests of the container. In a Guaranteed pod, the limits are raised to the requests.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(schema_with = "quantities")]
    pub requests: BTreeMap<String, Quantity>,
    /// Limits of the container. In a Guaranteed pod, they are lowered to the limits of the largest container
    /// of the pod, and the requests equal the limits.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(schema_with = "quantities")]
    pub limits: BTreeMap<String, Quantity>,
}

impl Resources {
    /// Whether it has no requests and no limits.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.requests.is_empty() && self.limits.is_empty()
    }
}

/// The maximum lengths limit the cost that the API server estimates for rules.
fn quantities(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
    schemars::json_schema!({
        "type": "object",
        "maxProperties": 3,
        "additionalProperties": {"type": "string", "maxLength": 32},
    })
}

/// A quantity as in Kubernetes: `10m`, `64Mi`.
pub type Quantity = String;

/// A source that boot fetches. It must have exactly one kind.
#[derive(Deserialize, Serialize, Clone, Debug, Default, PartialEq, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[schemars(extend("x-kubernetes-validations" = rules::cel(rules::SOURCE)))]
pub struct Source {
    /// Name of the source in logs and errors. Must be unique in the profile. Required.
    #[schemars(length(min = 1, max = 63), regex(pattern = "^[a-z0-9]([-a-z0-9]*[a-z0-9])?$"))]
    pub name: String,
    /// Whether the task starts without the source if it does not exist, does not respond or responds with an
    /// error. Content that the source does provide must be valid. Defaults to false.
    #[serde(default)]
    pub optional: bool,
    /// Limits of the content of the source.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub limits: Option<Limits>,
    /// Variables and files in the profile itself.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub inline: Option<Inline>,
    /// A `ConfigMap` in the namespace of the pod, mounted into boot.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub config_map: Option<Mounted>,
    /// A `Secret` in the namespace of the pod, mounted into boot.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub secret: Option<Mounted>,
    /// An HTTP request.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub http: Option<Http>,
    /// The compiled input of a run, from an Optimus server.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub optimus: Option<Optimus>,
    /// Objects in S3, Google Cloud Storage or Azure Blob Storage.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub object_store: Option<ObjectStore>,
    /// An OCI artifact or image.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub oci: Option<Oci>,
    /// The output of an earlier task of the run, mounted into boot.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pipe: Option<Pipe>,
}

/// Variables and files in the profile itself. Not for secrets: they are visible in the spec of every pod.
#[derive(Deserialize, Serialize, Clone, Debug, Default, PartialEq, Eq, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
#[schemars(extend("x-kubernetes-validations" = rules::cel(rules::INLINE)))]
pub struct Inline {
    /// Variables by name. Each value can be a template. At most 1024.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(extend("maxProperties" = 1024))]
    pub env: BTreeMap<String, String>,
    /// File contents by path relative to the assets folder. Paths and contents can be templates. At most
    /// 1024.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(extend("maxProperties" = 1024))]
    pub files: BTreeMap<String, String>,
}

/// A `ConfigMap` or `Secret` in the namespace of the pod.
#[derive(Deserialize, Serialize, Clone, Debug, PartialEq, Eq, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[schemars(extend("x-kubernetes-validations" = rules::cel(rules::MOUNTED)))]
pub struct Mounted {
    /// Name of the object. Required.
    #[schemars(length(min = 1, max = 253), regex(pattern = "^[a-z0-9]([-.a-z0-9]*[a-z0-9])?$"))]
    pub name: String,
    /// Target of the keys: `Env` for variables, `Files` for files. Defaults to `Files`.
    #[serde(default)]
    pub into: SourceTarget,
    /// Keys to use, with their names as variables or files. Defaults to all keys under their own names. At
    /// most 256.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 256))]
    pub items: Vec<Item>,
    /// Keys to leave out if all keys are used. A `*` matches any characters. At most 64.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 64), inner(length(min = 1, max = 253)))]
    pub exclude: Vec<String>,
    /// Prefix of all names: a folder such as `sql/` for files, or a prefix such as `DB_` for variables.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    #[schemars(length(max = 253))]
    pub prefix: String,
    /// Whether the task starts if the object or a key of `items` does not exist. Defaults to false.
    #[serde(default)]
    pub optional: bool,
}

/// Target of the keys of a source.
#[derive(Deserialize, Serialize, Clone, Copy, Debug, Default, PartialEq, Eq, JsonSchema)]
pub enum SourceTarget {
    /// Variables of the task.
    Env,
    /// Files in the assets folder.
    #[default]
    Files,
}

/// A key of a `ConfigMap`, a `Secret` or an output.
#[derive(Deserialize, Serialize, Clone, Debug, PartialEq, Eq, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Item {
    /// The key. Required.
    #[schemars(length(min = 1, max = 253))]
    pub key: String,
    /// Name of the variable, or path of the file. Required.
    #[serde(rename = "as")]
    #[schemars(length(min = 1, max = 253))]
    pub target: String,
}

/// Where the task finds its files.
#[derive(Deserialize, Serialize, Clone, Debug, Default, PartialEq, Eq, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct Assets {
    /// Layout of the files: `Bootlace`, or `Optimus` for the plugin images of Optimus. Defaults to
    /// `Bootlace`.
    pub layout: Layout,
    /// Absolute path of the files in the task containers. Defaults to `/var/assets`, or to `/data` in the
    /// layout `Optimus`.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 250), regex(pattern = "^(/[^/:]+)+$"))]
    pub mount_path: Option<String>,
}

impl Assets {
    /// The mount path.
    #[must_use]
    pub fn mount_path(&self) -> &str {
        let of_layout = match self.layout {
            Layout::Bootlace => "/var/assets",
            Layout::Optimus => "/data",
        };
        self.mount_path.as_deref().unwrap_or(of_layout)
    }

    /// Where the task finds its files.
    #[must_use]
    pub fn files(&self) -> Cow<'_, str> {
        match self.layout {
            Layout::Bootlace => self.mount_path().into(),
            Layout::Optimus => format!("{}/{}", self.mount_path(), names::DIR_OPTIMUS_IN).into(),
        }
    }

    /// The folder around the files that the task can write to, if the layout has one.
    #[must_use]
    pub fn writable(&self) -> Option<&str> {
        (self.layout == Layout::Optimus).then(|| self.mount_path())
    }
}

/// Layout of the files at the mount path.
#[derive(Deserialize, Serialize, Clone, Copy, Debug, Default, PartialEq, Eq, JsonSchema)]
pub enum Layout {
    /// The files are directly at the mount path.
    #[default]
    Bootlace,
    /// As the plugin images of Optimus expect: the files are in `in`, and the boot env is in `in/.env` and
    /// `in/.secret`, for a shell to source. The mount path itself is writable.
    Optimus,
}

impl Layout {
    /// Whether it is the default.
    #[must_use]
    pub fn is_bootlace(&self) -> bool {
        *self == Self::Bootlace
    }
}

/// The volume that contains the files and the env that boot fetched.
#[derive(Deserialize, Serialize, Clone, Debug, PartialEq, Eq, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
#[schemars(extend("x-kubernetes-validations" = rules::cel(rules::VOLUME)))]
pub struct Volume {
    /// Size limit of the memory-backed emptyDir. Its content counts as memory of the pod, see
    /// `docs/memory.md`. Defaults to `64Mi`.
    #[schemars(length(max = 32))]
    pub size_limit: Quantity,
}

impl Default for Volume {
    fn default() -> Self {
        Self { size_limit: "64Mi".to_owned() }
    }
}

/// How the boot env is delivered to the task process.
#[derive(Deserialize, Serialize, Clone, Debug, Default, PartialEq, Eq, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
#[schemars(extend("x-kubernetes-validations" = rules::cel(rules::ENV)))]
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
