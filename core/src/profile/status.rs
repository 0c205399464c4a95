//! The status of a `BootProfile`, which the webhook writes: whether its newest version is valid, and the
//! active version, so that a replica that starts while the newest version is invalid has it too.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::crd::{self, READY};

/// Status of the profile, written by the webhook: whether its newest generation is valid, and the active
/// version.
#[derive(Deserialize, Serialize, Clone, Debug, Default, PartialEq, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
// Until a webhook has seen the profile, no generation is observed. Without the default, kstatus considers an
// object without a status ready.
#[schemars(extend("default" = {"observedGeneration": -1}), transform = crd::known_integers)]
pub struct BootProfileStatus {
    /// The `metadata.generation` that the status describes.
    pub observed_generation: i64,
    /// Conditions of the profile. `Ready`: whether the observed generation is active. `Stalled`: the observed
    /// generation is invalid, and nothing changes until the profile changes.
    #[schemars(schema_with = "crd::conditions")]
    pub conditions: Vec<Condition>,
    /// The active version: the newest valid one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last_good: Option<LastValid>,
}

/// A version of a profile.
#[derive(Deserialize, Serialize, Clone, Debug, Default, PartialEq, Eq, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct LastValid {
    /// The `metadata.generation` of this version.
    pub generation: i64,
    /// The `spec` as a JSON string, so that the API server does not prune fields that it does not know.
    pub spec: String,
}

impl BootProfileStatus {
    /// The condition `Ready`.
    #[must_use]
    pub fn ready(&self) -> Option<&Condition> {
        crd::find(&self.conditions, READY)
    }
}
