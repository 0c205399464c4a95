//! Templates of a profile, filled in at admission for pods that schedulers made.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "a test fails by panicking"
)]

use std::path::Path;

use bootlace::admission::{self, Decision};
use bootlace::plan::{BootSpec, Recipes, Settings};
use bootlace::profile::{BootProfile, Profile};
use serde_json::{Value, json};

fn pod(file: &str) -> Value {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/pods").join(file);
    serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap()
}

fn recipes(sources: &Value) -> Recipes {
    let profile: BootProfile = serde_json::from_value(json!({
        "apiVersion": "bootlace.dev/v1alpha1", "kind": "BootProfile", "metadata": {"name": "default"},
        "spec": {"sources": sources},
    }))
    .unwrap();
    let profile = Profile::try_from(profile).unwrap();
    Recipes::new([profile].into_iter().collect(), &Settings::default()).unwrap()
}

fn admit(pod: Value, sources: &Value) -> Result<Value, String> {
    match admission::admit(pod, "etl", &recipes(sources)) {
        Decision::Inject(injection) => {
            let boot = injection.pod["spec"]["initContainers"].as_array().unwrap().last().unwrap().clone();
            let spec: BootSpec<'_> = serde_json::from_str(boot["env"][0]["value"].as_str().unwrap()).unwrap();
            Ok(serde_json::to_value(spec.sources).unwrap())
        }
        Decision::Skip(skip) => panic!("skipped: {skip}"),
        Decision::Refuse(refusal) => Err(refusal.message),
    }
}

#[test]
fn env_files_and_paths_are_filled_in() {
    let sources = json!([
        {"name": "plain", "inline": {"env": {"A": "b"}}},
        {"name": "filled", "inline": {
            "env": {"DAY": "{{ scheduledTime[:10] }}", "PLAIN": "as it is"},
            "files": {"sql/{{ task }}.sql": "select * from {{ namespace }}.t -- {{ run }}\n", "b": "c"},
        }},
    ]);
    let filled = admit(pod("airflow-operator-scheduled.json"), &sources).unwrap();
    assert_eq!(filled[0], json!({"name": "plain", "from": {"inline": {"env": {"A": "b"}}}}));
    assert_eq!(
        filled[1]["from"]["inline"],
        json!({
            "env": {"DAY": "2026-01-02", "PLAIN": "as it is"},
            "files": {
                "b": "c",
                "sql/load.sql": "select * from etl.t -- scheduled__2026-01-02T030405.6000000000-aeca828f9\n",
            },
        })
    );
}

#[test]
fn what_a_pod_does_not_tell_refuses_it_with_the_place() {
    let sources = json!([{"name": "settings", "inline": {"env": {"DAY": "{{ scheduledTime }}"}}}]);
    let message = admit(pod("airflow-operator-manual.json"), &sources).unwrap_err();
    for part in [
        "pod load:",
        "BootProfile \"default\", source \"settings\", inline.env.DAY: scheduledTime is not there or empty",
        "looked for it in the marks that Airflow's KubernetesPodOperator puts on its pods",
        "scheduledTime | default",
    ] {
        assert!(message.contains(part), "{part} is not in: {message}");
    }
}

#[test]
fn a_path_that_a_value_would_lead_astray_refuses_the_pod() {
    let sources = json!([{"name": "s", "inline": {"files": {"a/{{ labels.team }}": "x"}}}]);
    for evil in ["../../bin/launch", "..", "a/b"] {
        let mut pod = pod("airflow-operator-manual.json");
        pod["metadata"]["labels"]["team"] = json!(evil);
        let message = admit(pod, &sources).unwrap_err();
        assert!(message.contains("path \"a/{{ labels.team }}\" in inline.files"), "{message}");
    }
    let two = json!([{"name": "s", "inline": {"files": {"{{ task }}": "x", "load": "y"}}}]);
    let message = admit(pod("airflow-operator-manual.json"), &two).unwrap_err();
    assert!(message.contains("\"load\" is the path of another file"), "{message}");
}
