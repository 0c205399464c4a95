//! What the profile of a pod says about its launch, from the annotation that the webhook writes. The monitor
//! needs no profiles. A pod with a forged annotation only harms itself.

use k8s_openapi::api::core::v1::Pod;
use kube::ResourceExt as _;
use serde::Deserialize;

use bootlace_core::names;
use bootlace_core::plan::AwaitedPipe;
use bootlace_core::profile::launch::{
    DEFAULT_DIAGNOSIS_SECONDS, MAX_DIAGNOSIS_SECONDS, MAX_LAUNCH_SECONDS, OnSidecarFailure,
};

/// The settings of a pod. Unknown fields are ignored, because the webhook may have a newer version.
#[derive(Deserialize, Debug, Clone, Default, PartialEq, Eq)]
#[serde(rename_all = "camelCase", default)]
pub struct Settings {
    /// Name of the profile.
    pub profile: String,
    /// Names of the task containers.
    pub containers: Vec<String>,
    /// Outputs that the pod waits for before it boots.
    pub awaits: Vec<AwaitedPipe>,
    /// The limits.
    pub launch: Limits,
    /// What to do when another container has failed.
    pub on_sidecar_failure: OnSidecarFailure,
}

/// Limits on the launch of a pod.
#[derive(Deserialize, Debug, Clone, PartialEq, Eq)]
#[serde(rename_all = "camelCase", default)]
pub struct Limits {
    /// Maximum seconds until the pod has a node.
    pub schedule_seconds: Option<u32>,
    /// Maximum seconds from then until all task containers have started.
    pub start_seconds: Option<u32>,
    /// Seconds for which the diagnosis is kept.
    pub diagnosis_seconds: u32,
}

impl Default for Limits {
    fn default() -> Self {
        Self { schedule_seconds: None, start_seconds: None, diagnosis_seconds: DEFAULT_DIAGNOSIS_SECONDS }
    }
}

impl Settings {
    /// The settings of a pod; `None` if it has no valid annotation.
    #[must_use]
    pub fn of(pod: &Pod) -> Option<Self> {
        let annotation = pod.annotations().get(names::ANNOTATION_INJECTED)?;
        let mut settings: Self = serde_json::from_str(annotation).ok()?;
        // As the schema of the profile: anyone can write the annotation of a pod that they create.
        let Limits { schedule_seconds, start_seconds, diagnosis_seconds } = &mut settings.launch;
        for seconds in [schedule_seconds, start_seconds].into_iter().flatten() {
            *seconds = (*seconds).clamp(1, MAX_LAUNCH_SECONDS);
        }
        *diagnosis_seconds = (*diagnosis_seconds).min(MAX_DIAGNOSIS_SECONDS);
        Some(settings)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn settings(annotation: &str) -> Option<Settings> {
        let metadata = json!({"annotations": {names::ANNOTATION_INJECTED: annotation}});
        Settings::of(&serde_json::from_value(json!({"metadata": metadata})).unwrap())
    }

    #[test]
    fn values_of_a_forged_annotation_are_limited_as_in_a_profile() {
        let found = settings(
            r#"{"containers": ["a"], "later": 1,
                "launch": {"scheduleSeconds": 0, "startSeconds": 4000000000, "diagnosisSeconds": 4000000000, "later": 1}}"#,
        )
        .unwrap();
        let launch = Limits {
            schedule_seconds: Some(1),
            start_seconds: Some(MAX_LAUNCH_SECONDS),
            diagnosis_seconds: MAX_DIAGNOSIS_SECONDS,
        };
        assert_eq!(found, Settings { containers: vec!["a".to_owned()], launch, ..Settings::default() });
        assert_eq!(settings("no JSON"), None);
        assert_eq!(settings(r#"{"launch": "soon"}"#), None);
        assert_eq!(settings("{}").unwrap().launch.diagnosis_seconds, 86_400);
    }
}
