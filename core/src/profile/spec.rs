//! The `BootProfile` custom resource: how tasks boot, described once for a cluster.
//!
//! The CRD in the chart is generated from these types (`bootlace crds`); a test fails when they differ.
//! What a schema or a CEL rule can catch is refused by the API server itself, with the messages below.

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

/// How a task boots: which image fetches what, in which order, and where the task finds it.
#[derive(CustomResource, JsonSchema, Deserialize, Serialize, Clone, Debug, Default, PartialEq)]
#[kube(
    group = "bootlace.dev",
    version = "v1alpha1",
    kind = "BootProfile",
    plural = "bootprofiles",
    shortname = "bp",
    category = "bootlace",
    status = "super::BootProfileStatus",
    printcolumn = r#"{"name":"Ready","type":"string","jsonPath":".status.conditions[?(@.type==\"Ready\")].status"}"#,
    printcolumn = r#"{"name":"In force","type":"integer","jsonPath":".status.lastGood.generation","description":"The generation that tasks boot with"}"#,
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
    /// What boot fetches, in order. Where two sources give the same env name or file, the later one wins.
    #[schemars(length(max = 32), extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["name"]))]
    pub sources: Vec<Source>,
    /// Where the task finds its files.
    pub assets: Assets,
    /// The volume that carries everything from boot to the task.
    pub volume: Volume,
    /// How the boot env reaches the task's process.
    pub env: Env,
    /// The postStart hook, which proves that the env arrived.
    pub hook: Hook,
    /// What tasks hand over to later tasks of their run.
    pub pipes: Pipes,
}

/// The boot container.
#[derive(Deserialize, Serialize, Clone, Debug, PartialEq, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct Boot {
    /// Image of the boot container. Without it: the image that the webhook was installed with.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 512))]
    pub image: Option<String>,
    /// When the kubelet pulls the boot image. Without it: what the webhook was installed with.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub image_pull_policy: Option<PullPolicy>,
    /// Secrets of the pod's namespace that the kubelet pulls images with, by name: for a boot image in a private registry.
    /// Each that the pod does not name itself is appended to its `imagePullSecrets`, and so are those that the webhook was
    /// installed with.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schemars(
        length(max = 16),
        inner(length(min = 1, max = 253), regex(pattern = "^[a-z0-9]([-.a-z0-9]*[a-z0-9])?$")),
        extend("x-kubernetes-list-type" = "set")
    )]
    pub image_pull_secrets: Vec<String>,
    /// Boot images that a pod may name for itself, by the annotation `bootlace.dev/init-image`. Without it: none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub init_image: Option<InitImage>,
    /// Before or after the pod's own init containers.
    pub position: Position,
    /// Seconds that all sources together may take. Boot fails when they are over.
    #[schemars(range(min = 1, max = 3600))]
    pub timeout_seconds: u32,
    /// How boot writes its log: lines for people, or a JSON object a line.
    pub log_format: LogFormat,
    /// Resources of the boot container. Without it: those of the pod's largest container, which cost the pod nothing,
    /// because boot ends before the task starts. They do not apply to pods with resources of their own
    /// (`spec.resources`).
    #[serde(skip_serializing_if = "Resources::is_empty")]
    pub resources: Resources,
    /// User id that all injected containers run as; `0` is refused. Without it: what the webhook was installed with,
    /// 65532 by default. `null` leaves it to the platform, whatever the webhook was installed with: `OpenShift` takes it
    /// from the namespace's range.
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

/// How boot writes its log.
#[derive(Deserialize, Serialize, Clone, Copy, Debug, Default, PartialEq, Eq, JsonSchema)]
pub enum LogFormat {
    /// Lines for people.
    #[default]
    Text,
    /// A JSON object a line, for machines.
    Json,
}

impl LogFormat {
    /// Whether it is the default.
    #[must_use]
    pub fn is_text(&self) -> bool {
        *self == Self::Text
    }
}

/// When the kubelet pulls an image, in Kubernetes' own words.
#[derive(Deserialize, Serialize, Clone, Copy, Debug, PartialEq, Eq, JsonSchema)]
pub enum PullPolicy {
    /// Pull at every start.
    Always,
    /// Pull when the node does not have it.
    IfNotPresent,
    /// Never pull.
    Never,
}

impl PullPolicy {
    /// The word that a pod's `imagePullPolicy` takes.
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
            .ok_or_else(|| format!("{text:?} is no pull policy: use Always, IfNotPresent or Never"))
    }
}

/// Where boot stands among the pod's init containers. Never between them.
#[derive(Deserialize, Serialize, Clone, Copy, Debug, Default, PartialEq, Eq, JsonSchema)]
pub enum Position {
    /// Before all of them: they may use what boot fetched.
    First,
    /// After all of them: boot may use what they set up (a mesh's network, say).
    #[default]
    Last,
}

/// Resources of an injected container by name: `cpu`, `memory`, `ephemeral-storage`.
#[derive(Deserialize, Serialize, Clone, Debug, Default, PartialEq, Eq, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
#[schemars(extend("x-kubernetes-validations" = rules::cel(rules::RESOURCES)))]
pub struct Resources {
    /// What the scheduler reserves. In a Guaranteed pod the limits too are at least this.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(schema_with = "quantities")]
    pub requests: BTreeMap<String, Quantity>,
    /// What the container may use at most. In a Guaranteed pod it is no more than the pod's largest container may use, and
    /// the requests are as much.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(schema_with = "quantities")]
    pub limits: BTreeMap<String, Quantity>,
}

impl Resources {
    /// Whether it says nothing.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.requests.is_empty() && self.limits.is_empty()
    }
}

/// The lengths bound what the API server estimates that a rule costs.
fn quantities(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
    schemars::json_schema!({
        "type": "object",
        "maxProperties": 3,
        "additionalProperties": {"type": "string", "maxLength": 32},
    })
}

/// A quantity as Kubernetes writes it: `10m`, `64Mi`.
pub type Quantity = String;

/// One place that boot fetches from: a name, and exactly one kind.
#[derive(Deserialize, Serialize, Clone, Debug, Default, PartialEq, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[schemars(extend("x-kubernetes-validations" = rules::cel(rules::SOURCE)))]
pub struct Source {
    /// Name of the source in boot's log and errors; unique in the profile.
    #[schemars(length(min = 1, max = 63), regex(pattern = "^[a-z0-9]([-a-z0-9]*[a-z0-9])?$"))]
    pub name: String,
    /// Whether the task may start where the source cannot be had: it does not exist, does not answer, or
    /// answers with an error. What it does give must be right all the same.
    #[serde(default)]
    pub optional: bool,
    /// How much it may give.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub limits: Option<Limits>,
    /// Env and files written in the profile itself.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub inline: Option<Inline>,
    /// A `ConfigMap` of the pod's namespace, mounted into boot.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub config_map: Option<Mounted>,
    /// A `Secret` of the pod's namespace, mounted into boot.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub secret: Option<Mounted>,
    /// An HTTP request.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub http: Option<Http>,
    /// What an Optimus server compiled for the run.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub optimus: Option<Optimus>,
    /// Objects of S3, Google Cloud Storage or Azure Blob Storage.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub object_store: Option<ObjectStore>,
    /// An OCI artifact or image.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub oci: Option<Oci>,
    /// What an earlier task of the run handed over, mounted into boot.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pipe: Option<Pipe>,
}

/// Env and files written in the profile itself. Not for secrets: they show in every pod.
#[derive(Deserialize, Serialize, Clone, Debug, Default, PartialEq, Eq, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
#[schemars(extend("x-kubernetes-validations" = rules::cel(rules::INLINE)))]
pub struct Inline {
    /// Env by name. Each value may be a template.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(extend("maxProperties" = 1024))]
    pub env: BTreeMap<String, String>,
    /// Files by path below the assets folder. Path and content may be templates.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(extend("maxProperties" = 1024))]
    pub files: BTreeMap<String, String>,
}

/// A `ConfigMap` or `Secret` of the pod's own namespace.
#[derive(Deserialize, Serialize, Clone, Debug, PartialEq, Eq, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[schemars(extend("x-kubernetes-validations" = rules::cel(rules::MOUNTED)))]
pub struct Mounted {
    /// Name of the object.
    #[schemars(length(min = 1, max = 253), regex(pattern = "^[a-z0-9]([-.a-z0-9]*[a-z0-9])?$"))]
    pub name: String,
    /// Whether keys become env variables or files.
    #[serde(default)]
    pub into: SourceTarget,
    /// Which keys, and as what. Without it: every key under its own name.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 256))]
    pub items: Vec<Item>,
    /// Which keys to leave out, where all are taken: names, with `*` for any characters.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 64), inner(length(min = 1, max = 253)))]
    pub exclude: Vec<String>,
    /// Put in front of every name: a folder (`sql/`) for files, a prefix (`DB_`) for env.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    #[schemars(length(max = 253))]
    pub prefix: String,
    /// Whether the task may start without the object, or without a listed key.
    #[serde(default)]
    pub optional: bool,
}

/// What a source's keys become.
#[derive(Deserialize, Serialize, Clone, Copy, Debug, Default, PartialEq, Eq, JsonSchema)]
pub enum SourceTarget {
    /// Env variables of the task.
    Env,
    /// Files in the assets folder.
    #[default]
    Files,
}

/// One key of a `ConfigMap` or `Secret`.
#[derive(Deserialize, Serialize, Clone, Debug, PartialEq, Eq, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Item {
    /// The key.
    #[schemars(length(min = 1, max = 253))]
    pub key: String,
    /// The variable's name or the file's path.
    #[serde(rename = "as")]
    #[schemars(length(min = 1, max = 253))]
    pub target: String,
}

/// Where the task finds its files.
#[derive(Deserialize, Serialize, Clone, Debug, Default, PartialEq, Eq, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct Assets {
    /// What lies where below the mount path.
    pub layout: Layout,
    /// Absolute path in the task's containers. Without it: `/var/assets`, which the RFC's images expect, or what the
    /// layout's images expect.
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

    /// The folder around them that the task can write to, where the layout has one.
    #[must_use]
    pub fn writable(&self) -> Option<&str> {
        (self.layout == Layout::Optimus).then(|| self.mount_path())
    }
}

/// What lies where below the mount path of the assets.
#[derive(Deserialize, Serialize, Clone, Copy, Debug, Default, PartialEq, Eq, JsonSchema)]
pub enum Layout {
    /// The files.
    #[default]
    Bootlace,
    /// As the plugin images of Optimus expect it: the files in `in`, and the boot env in `in/.env` and `in/.secret` for a
    /// shell to source. The mount path itself, `/data` unless it is set, can be written.
    Optimus,
}

impl Layout {
    /// Whether it is the default.
    #[must_use]
    pub fn is_bootlace(&self) -> bool {
        *self == Self::Bootlace
    }
}

/// The volume that carries everything from boot to the task.
#[derive(Deserialize, Serialize, Clone, Debug, PartialEq, Eq, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
#[schemars(extend("x-kubernetes-validations" = rules::cel(rules::VOLUME)))]
pub struct Volume {
    /// Size of the memory-backed emptyDir. What is on it counts as memory of the pod: `docs/memory.md` has the sum.
    #[schemars(length(max = 32))]
    pub size_limit: Quantity,
}

impl Default for Volume {
    fn default() -> Self {
        Self { size_limit: "64Mi".to_owned() }
    }
}

/// How the boot env reaches the task's process.
#[derive(Deserialize, Serialize, Clone, Debug, Default, PartialEq, Eq, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
#[schemars(extend("x-kubernetes-validations" = rules::cel(rules::ENV)))]
pub struct Env {
    /// The way.
    pub mode: EnvMode,
    /// Variables that decide which code runs (`PATH`, `LD_*`, …) and that sources may set all the same: names, or
    /// starts of names with a star behind them.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 64), inner(length(max = 253), regex(pattern = r"^[A-Za-z_][A-Za-z0-9_]*\*?$")))]
    pub allow: Vec<String>,
    /// Commands of images, for pods that name none. The first entry that matches a container's image counts.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 256))]
    pub images: Vec<ImageCommand>,
    /// What the mode `File` hands over.
    pub file: EnvFile,
}

/// The way that the boot env takes into the task's process.
#[derive(Deserialize, Serialize, Clone, Copy, Debug, Default, PartialEq, Eq, JsonSchema)]
pub enum EnvMode {
    /// The strongest way that the pod allows.
    #[default]
    Auto,
    /// A launcher in front of the container's command loads it and execs. A pod whose command is not known is
    /// refused.
    Launch,
    /// A Secret of the pod's own, which the store creates of the boot env and the kubelet puts into the container. It
    /// needs no command, and takes text only: 1 MiB in all, names included.
    Secret,
    /// The kubelet reads it from a file (`fileKeyRef`), on Kubernetes 1.35 and later.
    File,
    /// The postStart hook writes it to `$HOME/.env`, for an entrypoint that sources it. Nothing proves that it does.
    Hook,
}

impl EnvMode {
    /// All of them.
    pub const ALL: [Self; 5] = [Self::Auto, Self::Launch, Self::Secret, Self::File, Self::Hook];

    /// The word for it.
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

    /// Whether a container cannot do without the postStart hook: it delivers the env, or nothing else notices that the
    /// env did not arrive.
    #[must_use]
    pub fn needs_hook(self) -> bool {
        matches!(self, Self::File | Self::Hook)
    }
}
