//! What the webhook says of a `BootProfile` in its status: whether its newest version is in force, and the last one
//! that was good, so that a replica that starts while the newest is not has it too.

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
// Until a webhook has seen the profile, no generation is observed: without the default kstatus takes an object that has
// no status for one that is ready.
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
    /// The profile that was good then, where this version of Bootlace can still read it.
    #[must_use]
    pub fn profile(&self, name: &str) -> Option<Profile> {
        Profile::new(name, self.generation, serde_json::from_str(&self.spec).ok()?).ok()
    }
}

impl BootProfileStatus {
    /// What to say of `generation`, where `problem` keeps it from being in force and `in_force` is what is. The time of
    /// the last transition is that of `before`, or `now` where the condition changes.
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
