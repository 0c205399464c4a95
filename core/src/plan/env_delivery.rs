//! How the boot env is delivered to a task container.

use serde::{Deserialize, Serialize};

/// How the boot env is delivered to the task containers of a pod.
///
/// From the strongest to the weakest: with the launcher, a task can never run without its env.
#[derive(Deserialize, Serialize, Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[serde(rename_all = "camelCase")]
pub enum EnvDelivery {
    /// The launcher, which starts their commands.
    Launch,
    /// A Secret that the store creates, for at least one container.
    Secret,
    /// A file that the kubelet reads.
    File,
    /// A file that the entrypoint of at least one image sources, with the layout `Optimus`.
    Sourced,
    /// A file that the hook writes to the home directory and the entrypoint sources.
    Hook,
    /// Not delivered to at least one container, because its command is unknown.
    None,
}

impl EnvDelivery {
    /// The value in the annotation.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Launch => "launch",
            Self::Secret => "secret",
            Self::File => "file",
            Self::Sourced => "sourced",
            Self::Hook => "hook",
            Self::None => "none",
        }
    }
}
