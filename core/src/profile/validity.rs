//! The status of a profile, from the result of its validation, and the active version in it.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use k8s_openapi::jiff::Timestamp;

use super::set::Profile;
use super::status::{BootProfileStatus, LastValid};
use crate::crd::{self, READY, STALLED};

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
}
