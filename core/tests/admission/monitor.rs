//! What the monitor reads: a label by which it selects pods, and the limits in the annotation.

use std::path::Path;

use bootlace_core::names;
use bootlace_core::plan::{InjectedAnnotation, InstallationSettings, PreparedProfiles};
use bootlace_core::profile::launch::{Launch, OnSidecarFailure};
use bootlace_core::profile::{BootProfile, Profile};
use serde_json::{Value, json};

use super::overlays::decide;

fn pod(metadata: &Value) -> Value {
    let mut pod = json!({
        "metadata": metadata, "spec": {"containers": [{"name": "main", "image": "i", "command": ["run"]}]},
    });
    pod["metadata"]["name"] = json!("task");
    pod
}

fn labelled() -> Value {
    pod(&json!({"labels": {names::LABEL_TASK: "true", "team": "a"}}))
}

/// The metadata of a pod that was injected with a profile.
fn inject(pod: &Value, spec: Value) -> Value {
    let profile = Profile::new("default", 1, serde_json::from_value(spec).unwrap()).unwrap();
    let recipes =
        PreparedProfiles::new([profile].into_iter().collect(), &InstallationSettings::default()).unwrap();
    decide(pod, &recipes).unwrap_or_else(|refusal| panic!("{refusal}")).pod["metadata"].clone()
}

fn annotation(metadata: &Value) -> InjectedAnnotation {
    serde_json::from_str(metadata["annotations"][names::ANNOTATION_INJECTED].as_str().unwrap()).unwrap()
}

#[test]
fn only_pods_that_the_monitor_watches_have_its_label() {
    for (spec, label) in [
        (json!({}), Value::Null),
        (json!({"launch": {"diagnosisSeconds": 60}}), Value::Null),
        (json!({"onSidecarFailure": "Ignore"}), Value::Null),
        (json!({"launch": {"scheduleSeconds": 60}}), json!("launch")),
        (json!({"launch": {"startSeconds": 60}}), json!("launch")),
        (json!({"onSidecarFailure": "Fail"}), json!("sidecars")),
        (json!({"launch": {"startSeconds": 60}, "onSidecarFailure": "Fail"}), json!("sidecars")),
    ] {
        let metadata = inject(&labelled(), spec.clone());
        assert_eq!(metadata["labels"][names::LABEL_MONITOR], label, "{spec}");
        assert_eq!(metadata["labels"]["team"], "a");
    }
}

#[test]
fn the_limits_are_in_the_annotation_and_absent_by_default() {
    let spec = json!({"launch": {"startSeconds": 60, "diagnosisSeconds": 0}, "onSidecarFailure": "Fail"});
    let metadata = inject(&labelled(), spec);
    let expected = Launch { schedule_seconds: None, start_seconds: Some(60), diagnosis_seconds: 0 };
    let found = annotation(&metadata);
    assert_eq!((found.launch, found.on_sidecar_failure), (expected, OnSidecarFailure::Fail));
    let without = inject(&labelled(), json!({}))["annotations"][names::ANNOTATION_INJECTED].to_string();
    assert!(!without.contains("launch\\\":{") && !without.contains("onSidecarFailure"), "{without}");
}

#[test]
fn a_forged_label_is_replaced_and_limits_outside_of_the_schema_are_refused() {
    let forged = pod(&json!({"labels": {names::LABEL_TASK: "true", names::LABEL_MONITOR: "other"}}));
    let metadata = inject(&forged, json!({"launch": {"startSeconds": 60}}));
    assert_eq!(metadata["labels"][names::LABEL_MONITOR], "launch");
    for spec in [
        json!({"launch": {"starts": 60}}),
        json!({"launch": {"startSeconds": -1}}),
        json!({"onSidecarFailure": "Kill"}),
    ] {
        serde_json::from_value::<bootlace_core::profile::BootProfileSpec>(spec.clone()).unwrap_err();
    }
}

#[test]
fn the_example_sets_each_limit() {
    let path = Path::new(env!("BOOTLACE_ROOT")).join("examples/monitor/bootprofile.yaml");
    let profile: BootProfile = serde_saphyr::from_str(&std::fs::read_to_string(path).unwrap()).unwrap();
    let spec = &profile.spec;
    assert!(spec.launch.schedule_seconds.is_some() && spec.launch.start_seconds.is_some());
    assert_eq!(spec.on_sidecar_failure, OnSidecarFailure::Fail);
    let metadata = inject(&labelled(), serde_json::to_value(spec).unwrap());
    assert_eq!(metadata["labels"][names::LABEL_MONITOR], names::MONITOR_SIDECARS);
}
