//! The mark that Bootlace leaves on a pod.

use serde::{Deserialize, Serialize};

/// The content of the annotation `bootlace.dev/injected`.
#[derive(Deserialize, Serialize, Clone, Debug, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct Injected {
    /// The profile's name.
    pub profile: String,
    /// Its generation.
    pub generation: i64,
    /// The version of Bootlace that injected.
    pub version: String,
    /// The task containers.
    pub containers: Vec<String>,
    /// The way that env takes into them.
    pub env_mode: EnvWay,
    /// The Secret that the store may create for this pod, and no other.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub env_secret: Option<String>,
    /// The boot image of the pod's own, in full, where it has one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub init_image: Option<String>,
}

/// The way that the boot env takes into a pod's task containers.
///
/// In the order of their strength: of several containers, the weakest counts.
#[derive(Deserialize, Serialize, Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[serde(rename_all = "camelCase")]
pub enum EnvWay {
    /// The launcher in front of their commands.
    Launch,
    /// A Secret that the store creates, for at least one of them.
    Secret,
    /// The entrypoint of at least one image sources it, as the layout of Optimus has it.
    Sourced,
    /// None, for at least one of them: its command is not known.
    None,
}
