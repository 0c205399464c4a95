//! Configuration of the containers `bootlace-wait` and `bootlace-look` in their env, written by the webhook.
//! The store reads it from the spec of the pod, which is immutable, so it also determines what the pod may
//! request.

use std::borrow::Cow;

use serde::{Deserialize, Serialize};

use crate::identity::Identity;
use crate::injected_config::{ProfileRef, StoreEndpoint};
use crate::output::{Awaited, ObjectKind};

/// Maximum seconds that a pod waits. A waiting pod occupies its node, so longer waits are better handled by
/// the order of tasks in the scheduler.
pub const MAX_WAIT_SECONDS: u32 = 3600;

/// Content of `BOOTLACE_WAIT`. It contains no secrets, because it is visible in the spec of the pod.
///
/// Unknown fields are ignored, as in [`crate::output::SidecarConfig`].
#[derive(Deserialize, Serialize, Clone, Debug, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct WaitSpec<'a> {
    /// The profile.
    pub profile: ProfileRef,
    /// The store.
    pub store: Cow<'a, StoreEndpoint>,
    /// The outputs to wait for.
    pub awaits: Cow<'a, [AwaitedOutput]>,
}

/// An output that a pod waits for.
#[derive(Deserialize, Serialize, Clone, Debug, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct AwaitedOutput {
    /// Key that the earlier task declares.
    pub key: String,
    /// Kind of the object.
    pub kind: ObjectKind,
    /// The task that stores it: only scheduler, workflow, run, task and map index are set.
    pub from: Identity,
    /// Name of the object in the spec of the pod.
    pub object: String,
    /// Maximum seconds that the pod waits.
    pub seconds: u32,
    /// Files of the output that the pod references.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub files: Vec<String>,
    /// Volumes of the pod that contain it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub folders: Vec<OutputVolume>,
}

/// A volume that contains an output.
#[derive(Deserialize, Serialize, Clone, Debug, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct OutputVolume {
    /// Name of the volume.
    pub volume: String,
    /// Paths of the output in the volume; empty for the names of all its files.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub paths: Vec<String>,
}

impl AwaitedOutput {
    /// An output of the task `from` with a timeout in seconds.
    #[must_use]
    pub fn new(key: &str, kind: ObjectKind, from: Identity, seconds: u32) -> Self {
        let object = Awaited { task: &from, key, kind }.object();
        Self { key: key.to_owned(), kind, from, object, seconds, files: Vec::new(), folders: Vec::new() }
    }

    /// Describes the output: `pipe Cert by task gencert of shop, run deploy-7`.
    #[must_use]
    pub fn describe(&self) -> String {
        format!("pipe {} by {}", self.key, self.from.describe())
    }
}
