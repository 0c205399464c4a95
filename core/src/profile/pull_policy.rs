//! Pull policies of images.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

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
