//! What the webhook tells the containers that wait, `bootlace-wait` and `bootlace-look`, in their env. The store reads the
//! same from the pod's spec, which nobody can change once the pod is there: so it is also what the pod may ask about.

use std::borrow::Cow;

use serde::{Deserialize, Serialize};

use crate::identity::Identity;
use crate::injected_config::{ProfileRef, StoreEndpoint};
use crate::output::{Awaited, ObjectKind};

/// Seconds that a pod may wait: one that waits longer holds its place on a node for nothing, and a scheduler's own order
/// of tasks is the better way.
pub const MAX_WAIT_SECONDS: u32 = 3600;

/// The content of `BOOTLACE_WAIT`. It holds no secret: it shows in the pod's spec.
///
/// Unknown fields are passed over, as in [`crate::output::PipeSpec`].
#[derive(Deserialize, Serialize, Clone, Debug, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct WaitSpec<'a> {
    /// The profile that this was made from.
    pub profile: ProfileRef,
    /// Who knows what is stored.
    pub store: Cow<'a, StoreEndpoint>,
    /// What the pod waits for.
    pub awaits: Cow<'a, [AwaitedOutput]>,
}

/// An output that a pod waits for.
#[derive(Deserialize, Serialize, Clone, Debug, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct AwaitedOutput {
    /// The key that the earlier task declared.
    pub key: String,
    /// What it is stored as.
    pub kind: ObjectKind,
    /// Who hands it over: scheduler, workflow, run, task and map index, and nothing else.
    pub from: Identity,
    /// The object that the pod names.
    pub object: String,
    /// Seconds that the pod waits at most.
    pub seconds: u32,
    /// Files of it that the pod names.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub files: Vec<String>,
    /// Volumes of the pod that hold it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub folders: Vec<OutputVolume>,
}

/// A volume that holds an output.
#[derive(Deserialize, Serialize, Clone, Debug, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct OutputVolume {
    /// The volume's name.
    pub volume: String,
    /// The paths in it that are its own; without any, those of all of its files.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub paths: Vec<String>,
}

impl AwaitedOutput {
    /// An output of the task `from`, which is awaited for so many seconds.
    #[must_use]
    pub fn new(key: &str, kind: ObjectKind, from: Identity, seconds: u32) -> Self {
        let object = Awaited { task: &from, key, kind }.object();
        Self { key: key.to_owned(), kind, from, object, seconds, files: Vec::new(), folders: Vec::new() }
    }

    /// In words: `pipe Cert by task gencert of shop, run deploy-7`.
    #[must_use]
    pub fn words(&self) -> String {
        format!("pipe {} by {}", self.key, self.from.describe())
    }
}
