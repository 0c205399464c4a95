//! Configuration of `bootlace boot` in the env of the boot container, written by the webhook. Boot has no
//! permissions in the API, so the webhook resolves everything that boot needs during admission.

use std::borrow::Cow;
use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::identity::Identity;
use crate::injected_config::{ProfileRef, StoreEndpoint};
use crate::names;
use crate::output::ObjectKind;
use crate::profile::object_store::ObjectStore;
use crate::profile::oci::Oci;
use crate::profile::remote::{Http, Optimus};
use crate::profile::spec::{Layout, LogFormat};
use crate::profile::vault::Vault;
use crate::profile::{Inline, Item, SourceTarget};
use crate::telemetry::resource::Attributes;

/// Content of `BOOTLACE_SPEC`. It contains no secrets, because it is visible in the spec of the pod.
///
/// Unknown fields are ignored: during an upgrade, the boot image may have an older version than the webhook,
/// and tasks should not fail because of that. In the request of a source, which is copied from the profile,
/// unknown fields are errors: an older image would send a different request.
#[derive(Deserialize, Serialize, Clone, Debug, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct BootSpec<'a> {
    /// Identity of the task.
    pub task: Identity,
    /// Information about the task from the profile, for `task.json`.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub info: BTreeMap<String, String>,
    /// The profile.
    pub profile: ProfileRef,
    /// Timeout of all sources together, in seconds.
    pub timeout_seconds: u32,
    /// The store, if it is installed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub store: Option<Cow<'a, StoreEndpoint>>,
    /// Name of the Secret that the store creates from the boot env; `None` if no task container reads it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub env_secret: Option<String>,
    /// Format of the log.
    #[serde(default, skip_serializing_if = "LogFormat::is_text")]
    pub log_format: LogFormat,
    /// Layout of the files of the task.
    #[serde(default, skip_serializing_if = "Layout::is_bootlace")]
    pub layout: Layout,
    /// The sources, in order. A later source wins.
    #[serde(default, skip_serializing_if = "<[BootSource]>::is_empty")]
    pub sources: Cow<'a, [BootSource]>,
    /// By task container: the env names that the pod sets and that a source may provide too. The values of
    /// the pod win. Every task container has a list, even an empty one, because the launcher treats a missing
    /// list as a boot that did not finish.
    pub keep: BTreeMap<Cow<'a, str>, Vec<Cow<'a, str>>>,
    /// By task container: the prefix of the variables in the env of boot that have the names that `envFrom`
    /// of the container provides. The values of the pod win for these names too.
    #[serde(default, rename = "held", skip_serializing_if = "BTreeMap::is_empty")]
    pub env_from_prefixes: BTreeMap<String, String>,
    /// By task container: the texts of its spec that reference variables of boot, each with the key of its
    /// place ([`bootlace_launch::references::ReferenceLocation`]).
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub references: BTreeMap<Cow<'a, str>, Vec<(String, Cow<'a, str>)>>,
    /// By task container that reads the boot env from a file: the names in `keep` that the file contains
    /// anyway, because the spec references them before it sets them.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub built_on: BTreeMap<Cow<'a, str>, Vec<Cow<'a, str>>>,
    /// Whether the hook of a task container sends an HTTP request, which requires the launcher with TLS.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub http_get: bool,
    /// Whether a task container reads the boot env with a shell (from `$HOME/.env`). A shell supports fewer
    /// variable names than a process.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub by_shell: bool,
    /// The names of variables that the kubelet reads from a file; `None` if no task container uses one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub file_keys: Option<Cow<'a, [String]>>,
    /// The variables that sources may set although they determine which code runs.
    #[serde(default, skip_serializing_if = "<[String]>::is_empty")]
    pub allow: Cow<'a, [String]>,
}

/// Name of the env variable with the part of the spec at `position`: `BOOTLACE_SPEC`, `BOOTLACE_SPEC_1`, …
#[must_use]
pub fn env_name(position: usize) -> String {
    match position {
        0 => names::ENV_BOOT_SPEC.to_owned(),
        _ => format!("{}_{position}", names::ENV_BOOT_SPEC),
    }
}

impl BootSpec<'static> {
    /// The configuration without sources and task containers: boot copies the launcher and writes the
    /// identity of the task.
    #[must_use]
    pub fn minimal(task: Identity, profile: ProfileRef, timeout_seconds: u32) -> Self {
        Self {
            task,
            info: BTreeMap::new(),
            profile,
            timeout_seconds,
            store: None,
            env_secret: None,
            log_format: LogFormat::default(),
            layout: Layout::default(),
            sources: Cow::Borrowed(&[]),
            keep: BTreeMap::new(),
            env_from_prefixes: BTreeMap::new(),
            references: BTreeMap::new(),
            built_on: BTreeMap::new(),
            http_get: false,
            by_shell: false,
            file_keys: None,
            allow: Cow::Borrowed(&[]),
        }
    }

    /// Reads the configuration from env variables; `get` returns the value of a variable.
    ///
    /// # Errors
    /// If the variables are absent or invalid.
    pub fn from_env(get: impl Fn(&str) -> Option<String>) -> Result<Self, serde_json::Error> {
        let parts = (0..).map_while(|position| get(&env_name(position)));
        serde_json::from_str(&parts.collect::<String>())
    }
}

/// A source in the configuration of boot.
#[derive(Deserialize, Serialize, Clone, Debug, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct BootSource {
    /// Name of the source in the profile, for the log and for errors.
    pub name: String,
    /// Whether the task may start if the source is not available.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub optional: bool,
    /// Limits of its content; `None` if only the size of the volume limits it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub limits: Option<SourceLimits>,
    /// Kind of the source, with its settings.
    pub from: SourceKind,
}

/// Limits of the content of a source.
#[derive(Deserialize, Serialize, Clone, Copy, Debug, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct SourceLimits {
    /// Maximum bytes of all values and files, and of the downloads for them.
    pub bytes: u64,
    /// Maximum number of files.
    pub files: u32,
}

/// Kind of a source, with its settings.
#[derive(Deserialize, Serialize, Clone, Debug, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub enum SourceKind {
    /// Values in the profile.
    Inline(Inline),
    /// A `ConfigMap` or `Secret` that the kubelet mounts.
    Mounted(MountedSource),
    /// An HTTP request.
    Http(RemoteSpec<Http>),
    /// Files that an Optimus server compiles.
    Optimus(RemoteSpec<Optimus>),
    /// Objects in an object store.
    ObjectStore(RemoteSpec<ObjectStore>),
    /// Files in an OCI registry.
    Oci(RemoteSpec<Oci>),
    /// Secrets of Vault.
    Vault(VaultSource),
    /// What connects the task to its run.
    Context(ContextSource),
    /// A volume that the kubelet mounts.
    Volume(VolumeSpec),
    /// Output of a boot image that the pod selects.
    InitImage(InitImageSource),
}

/// Variables that connect a task to its run. All values are known at admission, except for attributes that
/// the kubelet passes to boot.
#[derive(Deserialize, Serialize, Clone, Debug, Default, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct ContextSource {
    /// The variables by name.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub env: BTreeMap<String, String>,
    /// The resource attributes of OpenTelemetry, to which boot adds
    /// [`POD_FIELDS`](crate::telemetry::resource::POD_FIELDS); `None` if the task gets none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub attributes: Option<Attributes>,
    /// What is left out, and why, for the log.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub left_out: Vec<String>,
}

impl ContextSource {
    /// The names that such a source can provide.
    pub const NAMES: [&'static str; 6] = [
        names::ENV_SERVICE_NAME,
        names::ENV_RESOURCE_ATTRIBUTES,
        names::ENV_TRACE_PARENT,
        names::ENV_LINEAGE_CONTEXT,
        names::ENV_LINEAGE_PARENT,
        names::ENV_LINEAGE_ROOT,
    ];
}

/// Secrets that boot reads from Vault.
#[derive(Deserialize, Serialize, Clone, Debug, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct VaultSource {
    /// The settings in the profile, and the mounted files of the client.
    pub remote: RemoteSpec<Vault>,
    /// `activeDeadlineSeconds` of the pod, which limits how long the task needs a lease.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub deadline_seconds: Option<u64>,
}

/// Output of a boot image that the pod selects.
#[derive(Deserialize, Serialize, Clone, Debug, Default, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct InitImageSource {
    /// Reference of the image, for the log and for errors.
    pub image: String,
    /// Folder with the output; see `docs/boot-images.md`.
    pub path: String,
}

/// A source that boot fetches over the network.
#[derive(Deserialize, Serialize, Clone, Debug, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct RemoteSpec<T> {
    /// The settings in the profile.
    pub request: Box<T>,
    /// Folder of the mounted files for the client: [`DIR_HEADERS`], [`DIR_CA`], [`DIR_TOKEN`] and
    /// [`DIR_CREDENTIALS`] or [`DIR_PULL_SECRET`], as far as the profile sets them.
    pub path: String,
}

/// Below [`RemoteSpec::path`]: the Secret with a key for each header.
pub const DIR_HEADERS: &str = "headers";
/// Below [`RemoteSpec::path`]: the object with the certificate authorities.
pub const DIR_CA: &str = "ca";
/// Below [`RemoteSpec::path`]: the folder of [`FILE_TOKEN`].
pub const DIR_TOKEN: &str = "token";
/// Below [`DIR_TOKEN`]: the token.
pub const FILE_TOKEN: &str = "token";

/// Below [`RemoteSpec::path`]: the Secret with the credentials of an object store.
pub const DIR_CREDENTIALS: &str = "credentials";
/// Below [`RemoteSpec::path`]: the Secret with the credentials of a registry.
pub const DIR_PULL_SECRET: &str = "pull-secret";

/// A `ConfigMap` or `Secret` that the kubelet mounts for boot.
#[derive(Deserialize, Serialize, Clone, Debug, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct MountedSource {
    /// Kind of the object, for the log and for errors.
    pub kind: ObjectKind,
    /// Name of the object, for the log and for errors.
    pub name: String,
    /// Folder that it is mounted at, with a file for each key.
    pub path: String,
    /// Whether its keys become variables or files.
    pub into: SourceTarget,
    /// Keys to use, with their names; empty for all keys.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub items: Vec<Item>,
    /// Keys to omit if all others are used.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub exclude: Vec<String>,
    /// Prefix of all names.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub prefix: String,
    /// Whether the object and its keys may be missing.
    #[serde(default)]
    pub optional: bool,
}

/// A volume that the kubelet mounts for boot.
#[derive(Deserialize, Serialize, Clone, Debug, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct VolumeSpec {
    /// Type of the volume, for the log and for errors.
    pub kind: VolumeKind,
    /// The driver, the image or the claim, for the log and for errors; empty for a projected volume.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub name: String,
    /// Folder that it is mounted at.
    pub path: String,
    /// Folder in the volume to use; empty for the whole volume.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub folder: String,
    /// Whether its files become variables or files.
    pub into: SourceTarget,
    /// Files to use, with their names; empty for all files.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub items: Vec<Item>,
    /// Files and folders to omit if all others are used.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub exclude: Vec<String>,
    /// Prefix of all names.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub prefix: String,
    /// Whether the volume can be empty, and its files can be missing.
    #[serde(default)]
    pub optional: bool,
}

/// Type of a volume.
#[derive(Deserialize, Serialize, Clone, Copy, Debug, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub enum VolumeKind {
    /// A volume of a CSI driver.
    Csi,
    /// The files of an image.
    Image,
    /// A `PersistentVolumeClaim`.
    PersistentVolumeClaim,
    /// Several parts.
    Projected,
}

impl VolumeSpec {
    /// Type and name of the volume, for the log and for errors.
    #[must_use]
    pub fn title(&self) -> String {
        match self.kind {
            VolumeKind::Csi => format!("CSI volume {}", self.name),
            VolumeKind::Image => format!("image volume {}", self.name),
            VolumeKind::PersistentVolumeClaim => format!("PersistentVolumeClaim {}", self.name),
            VolumeKind::Projected => "projected volume".to_owned(),
        }
    }
}
