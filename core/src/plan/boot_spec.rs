//! What the webhook tells `bootlace boot`, in the boot container's env: boot has no right in the API, so all
//! that it must know is decided at admission.

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
use crate::profile::spec::{Inline, Item, Layout, LogFormat, SourceTarget};

/// The content of `BOOTLACE_SPEC`. It holds no secret: it shows in the pod's spec.
///
/// Unknown fields are passed over: a boot image may be of the version before the webhook's, and no task is to fail for that.
/// They are errors in what a source asks for, which is the profile's own words: an older image would ask for something else.
#[derive(Deserialize, Serialize, Clone, Debug, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct BootSpec<'a> {
    /// Who the task is.
    pub task: Identity,
    /// The profile that this was made from.
    pub profile: ProfileRef,
    /// Seconds that all sources together may take.
    pub timeout_seconds: u32,
    /// The store, where one is installed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub store: Option<Cow<'a, StoreEndpoint>>,
    /// The Secret that the store is to create of the boot env, where a task container takes it from there.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub env_secret: Option<String>,
    /// How the log is written.
    #[serde(default, skip_serializing_if = "LogFormat::is_text")]
    pub log_format: LogFormat,
    /// What lies where among the task's files.
    #[serde(default, skip_serializing_if = "Layout::is_bootlace")]
    pub layout: Layout,
    /// What to fetch, in order; a later source wins.
    #[serde(default, skip_serializing_if = "<[BootSource]>::is_empty")]
    pub sources: Cow<'a, [BootSource]>,
    /// For each task container the env names that the pod's spec sets itself and a source may give too: the
    /// pod's win.
    /// A container whose spec sets none has an empty list, as the launcher takes a missing one for a boot that
    /// did not finish.
    pub keep: BTreeMap<Cow<'a, str>, Vec<Cow<'a, str>>>,
    /// By task container: the start of the names under which boot's own env holds what the pod's `envFrom` gives to
    /// that container. Those win, too.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub held: BTreeMap<String, String>,
    /// By task container: the texts of its spec that refer to what boot may give, each with the key of its place
    /// ([`bootlace_launch::references::Place`]).
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub references: BTreeMap<Cow<'a, str>, Vec<(String, Cow<'a, str>)>>,
    /// By task container whose env takes a file: the names in `keep` that are in the file all the same, because the spec
    /// refers to them before it sets them.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub built_on: BTreeMap<Cow<'a, str>, Vec<Cow<'a, str>>>,
    /// Whether a task container's hook sends a request, which takes a launcher with TLS.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub http_get: bool,
    /// Whether the env of a task container stands in a file that a shell reads (`$HOME/.env`): a shell holds fewer names
    /// than a process.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub by_shell: bool,
    /// The names that the kubelet hands over from a file; none where the env takes another way.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub file_keys: Option<Cow<'a, [String]>>,
    /// The variables of those that decide which code runs that sources may set all the same.
    #[serde(default, skip_serializing_if = "<[String]>::is_empty")]
    pub allow: Cow<'a, [String]>,
}

/// The env variable that holds the spec's part at `position`: `BOOTLACE_SPEC`, `BOOTLACE_SPEC_1`, …
#[must_use]
pub fn env_name(position: usize) -> String {
    match position {
        0 => names::ENV_BOOT_SPEC.to_owned(),
        _ => format!("{}_{position}", names::ENV_BOOT_SPEC),
    }
}

impl BootSpec<'static> {
    /// Reads the spec from env variables; `get` returns a variable's value.
    ///
    /// # Errors
    /// Where there is none, or it is no spec.
    pub fn from_env(get: impl Fn(&str) -> Option<String>) -> Result<Self, serde_json::Error> {
        let parts = (0..).map_while(|position| get(&env_name(position)));
        serde_json::from_str(&parts.collect::<String>())
    }
}

/// One source, as boot sees it.
#[derive(Deserialize, Serialize, Clone, Debug, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct BootSource {
    /// The source's name in the profile, for the log and for errors.
    pub name: String,
    /// Whether the task may start where it cannot be had.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub optional: bool,
    /// How much it may give; without limits what the volume holds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub limits: Option<SourceLimits>,
    /// Where it comes from.
    pub from: SourceKind,
}

/// How much a source may give.
#[derive(Deserialize, Serialize, Clone, Copy, Debug, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct SourceLimits {
    /// Bytes of all values and files, and of what is downloaded for them.
    pub bytes: u64,
    /// Number of files.
    pub files: u32,
}

/// Where a source comes from.
#[derive(Deserialize, Serialize, Clone, Debug, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub enum SourceKind {
    /// The values are here.
    Inline(Inline),
    /// A `ConfigMap` or `Secret` that the kubelet mounted.
    Mounted(MountedSource),
    /// An HTTP request.
    Http(RemoteSpec<Http>),
    /// What an Optimus server compiled.
    Optimus(RemoteSpec<Optimus>),
    /// Objects of a store.
    ObjectStore(RemoteSpec<ObjectStore>),
    /// What a registry holds.
    Oci(RemoteSpec<Oci>),
    /// What a boot image of the pod's own left.
    InitImage(InitImageSource),
}

/// What a boot image of the pod's own left.
#[derive(Deserialize, Serialize, Clone, Debug, Default, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct InitImageSource {
    /// The image, for the log and for errors.
    pub image: String,
    /// The folder that it left everything in; see `docs/boot-images.md`.
    pub path: String,
}

/// What is fetched over the network, in the profile's own words.
#[derive(Deserialize, Serialize, Clone, Debug, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct RemoteSpec<T> {
    /// What the profile says.
    pub request: Box<T>,
    /// The folder that the client's files are mounted below: [`DIR_HEADERS`], [`DIR_CA`], [`DIR_TOKEN`] and
    /// [`DIR_CREDENTIALS`] or [`DIR_PULL_SECRET`], each where the profile asks for it.
    pub path: String,
}

/// Below [`RemoteSpec::path`]: the Secret whose keys are headers.
pub const DIR_HEADERS: &str = "headers";
/// Below [`RemoteSpec::path`]: the object that holds the certificate authorities.
pub const DIR_CA: &str = "ca";
/// Below [`RemoteSpec::path`]: the folder of [`FILE_TOKEN`].
pub const DIR_TOKEN: &str = "token";
/// Below [`DIR_TOKEN`]: the token.
pub const FILE_TOKEN: &str = "token";

/// Below [`RemoteSpec::path`]: the Secret that holds an object store's credentials.
pub const DIR_CREDENTIALS: &str = "credentials";
/// Below [`RemoteSpec::path`]: the Secret that holds a registry's credentials.
pub const DIR_PULL_SECRET: &str = "pull-secret";

/// A `ConfigMap` or `Secret` that the kubelet mounted for boot.
#[derive(Deserialize, Serialize, Clone, Debug, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct MountedSource {
    /// `ConfigMap` or `Secret`, for the log and for errors.
    pub kind: ObjectKind,
    /// The object's name, for the log and for errors.
    pub name: String,
    /// The folder that it is mounted at: one file a key.
    pub path: String,
    /// What its keys become.
    pub into: SourceTarget,
    /// Which keys, and as what; empty for all of them.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub items: Vec<Item>,
    /// Which keys to leave out, where all are taken.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub exclude: Vec<String>,
    /// Put in front of every name.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub prefix: String,
    /// Whether a missing object or key is fine.
    #[serde(default)]
    pub optional: bool,
}
