//! What the webhook says of a `BootProfile` in its status: whether its newest version is in force, and the last one
//! that was good, so that a replica that starts while the newest is not has it too.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::Profile;

/// Whether the profile's newest version is in force, and the last good one. Written by the webhook.
#[derive(Deserialize, Serialize, Clone, Debug, Default, PartialEq, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct BootProfileStatus {
    /// The `metadata.generation` that the rest tells of.
    pub observed_generation: i64,
    /// One of type `Ready`: whether that generation is in force.
    #[schemars(extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["type"]))]
    pub conditions: Vec<Condition>,
    /// The version that is in force: the newest that could be read.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last_good: Option<LastGood>,
}

/// A condition, as Kubernetes' own objects have them.
#[derive(Deserialize, Serialize, Clone, Debug, Default, PartialEq, Eq, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct Condition {
    /// `Ready`.
    #[serde(rename = "type")]
    pub type_: String,
    /// `True` or `False`.
    pub status: String,
    /// One word: `InForce` or `Invalid`.
    pub reason: String,
    /// A sentence.
    pub message: String,
    /// When `status` changed last: RFC 3339.
    pub last_transition_time: String,
    /// The `metadata.generation` that this tells of.
    pub observed_generation: i64,
}

/// A version of a profile.
#[derive(Deserialize, Serialize, Clone, Debug, Default, PartialEq, Eq, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct LastGood {
    /// Its `metadata.generation`.
    pub generation: i64,
    /// Its `spec`, as JSON in a text: the API server would fit an object to the schema of its day.
    pub spec: String,
}

impl LastGood {
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
        now: &str,
    ) -> Self {
        let (status, reason, message) = match (problem, in_force) {
            (None, _) => ("True", "InForce", format!("generation {generation} is in force")),
            (Some(problem), Some(good)) => {
                ("False", "Invalid", format!("{problem}; generation {} stays in force", good.generation))
            }
            (Some(problem), None) => (
                "False",
                "Invalid",
                format!("{problem}; no earlier version is known that could stay in force"),
            ),
        };
        let same = before.ready().filter(|condition| condition.status == status);
        let since = same.map_or(now, |condition| condition.last_transition_time.as_str());
        let last_good = in_force.and_then(|profile| {
            Some(LastGood {
                generation: profile.generation,
                spec: serde_json::to_string(&profile.spec).ok()?,
            })
        });
        Self {
            observed_generation: generation,
            conditions: vec![Condition {
                type_: "Ready".to_owned(),
                status: status.to_owned(),
                reason: reason.to_owned(),
                message,
                last_transition_time: since.to_owned(),
                observed_generation: generation,
            }],
            last_good,
        }
    }

    /// The condition `Ready`.
    #[must_use]
    pub fn ready(&self) -> Option<&Condition> {
        self.conditions.iter().find(|condition| condition.type_ == "Ready")
    }
}
