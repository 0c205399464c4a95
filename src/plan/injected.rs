//! The mark that Bootlace leaves on a pod.

use serde::{Deserialize, Serialize};

use crate::profile::spec::EnvMode;

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
    pub env_mode: EnvMode,
}
