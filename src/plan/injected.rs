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
    /// The way that env takes into them; where it differs from one to another, the weakest.
    pub env_mode: EnvWay,
    /// Why it is that one; empty in what earlier versions left.
    #[serde(default)]
    pub because: String,
}

/// The way that the boot env takes into a pod's task containers.
///
/// From the strongest to the weakest: the launcher leaves a task no chance to run without its env.
#[derive(Deserialize, Serialize, Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[serde(rename_all = "camelCase")]
pub enum EnvWay {
    /// The launcher in front of their commands.
    Launch,
    /// The kubelet reads it from a file.
    File,
    /// An entrypoint sources what the hook writes to its home.
    Hook,
    /// None: the command is not known.
    None,
}

impl EnvWay {
    /// The word for it in the annotation.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Launch => "launch",
            Self::File => "file",
            Self::Hook => "hook",
            Self::None => "none",
        }
    }
}
