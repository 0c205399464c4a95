//! The status of a `BootProfile`, which the webhook writes: whether its newest version is valid, and the
//! active version, so that a replica that starts while the newest version is invalid has it too.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use k8s_openapi::jiff::Timestamp;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::Profile;
use crate::crd::{self, READY, STALLED};

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

impl LastValid {
    /// The profile of this version, if this version of Bootlace can parse it.
    #[must_use]
    pub fn profile(&self, name: &str) -> Option<Profile> {
        Profile::new(name, self.generation, serde_json::from_str(&self.spec).ok()?).ok()
    }
}

impl BootProfileStatus {
    /// The status for `generation`. `problem` is why it is invalid, and `in_force` is the active version. The
    /// transition time is that of `before` unless the condition changes `now`.
    #[must_use]
    pub fn of(
        generation: i64,
        problem: Option<&str>,
        in_force: Option<&Profile>,
        before: &Self,
        now: Timestamp,
    ) -> Self {
        let (status, reason, message) = match (problem, in_force) {
            (None, _) => ("True", "InForce", format!("generation {generation} is active")),
            (Some(problem), Some(good)) => {
                ("False", "Invalid", format!("{problem}; generation {} stays active", good.generation))
            }
            (Some(problem), None) => {
                ("False", "Invalid", format!("{problem}; no earlier valid version is known"))
            }
        };
        let condition = |type_, status, message| {
            let condition = crd::condition(type_, status, reason, message, &before.conditions, now);
            Condition { observed_generation: Some(generation), ..condition }
        };
        let stalled = problem.is_some().then(|| condition(STALLED, "True", message.clone()));
        let conditions = [condition(READY, status, message)].into_iter().chain(stalled).collect();
        let last_good = in_force.and_then(|profile| {
            Some(LastValid {
                generation: profile.generation,
                spec: serde_json::to_string(&profile.spec).ok()?,
            })
        });
        Self { observed_generation: generation, conditions, last_good }
    }

    /// The condition `Ready`.
    #[must_use]
    pub fn ready(&self) -> Option<&Condition> {
        crd::find(&self.conditions, READY)
    }
}
