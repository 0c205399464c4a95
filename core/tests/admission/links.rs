//! Links of a profile as annotations of a pod, and the information that a profile adds to `task.json`.

use std::path::Path;

use bootlace_core::admission::{self, Decision, Injection};
use bootlace_core::plan::{BootSpec, InjectedAnnotation, InstallationSettings, PreparedProfiles};
use bootlace_core::profile::{BootProfile, BootProfileSpec, Profile};
use serde_json::{Value, json};

use super::scheduler_pods;

fn recipes(spec: &Value) -> PreparedProfiles {
    let spec: BootProfileSpec = serde_json::from_value(spec.clone()).unwrap();
    let profile = Profile::new("default", 1, spec).unwrap();
    PreparedProfiles::new([profile].into_iter().collect(), &InstallationSettings::default()).unwrap()
}

fn admit(pod: Value, recipes: &PreparedProfiles) -> Result<Injection, String> {
    match admission::admit(pod, "etl", recipes) {
        Decision::Inject(injection) => Ok(*injection),
        Decision::Refuse(refusal) => Err(refusal.message),
        Decision::Skip(skip) => panic!("skipped: {skip}"),
        Decision::Reorder(_) => panic!("reordered"),
    }
}

fn injected(pod: &Value) -> InjectedAnnotation {
    serde_json::from_str(pod["metadata"]["annotations"]["bootlace.dev/injected"].as_str().unwrap()).unwrap()
}

/// The information about the task that boot writes.
fn info(pod: &Value) -> Value {
    let boot = pod["spec"]["initContainers"].as_array().unwrap().last().unwrap();
    let spec: BootSpec<'_> = serde_json::from_str(boot["env"][0]["value"].as_str().unwrap()).unwrap();
    json!(spec.info)
}

#[test]
fn the_example_links_a_task_of_airflow() {
    let path = Path::new(env!("BOOTLACE_ROOT")).join("examples/links/bootprofile.yaml");
    let profile: BootProfile = serde_saphyr::from_str(&std::fs::read_to_string(path).unwrap()).unwrap();
    let profile = Profile { name: "default".to_owned(), ..Profile::try_from(profile).unwrap() };
    let recipes =
        PreparedProfiles::new([profile].into_iter().collect(), &InstallationSettings::default()).unwrap();
    let pod = admit(scheduler_pods::pod("airflow-operator-scheduled.json"), &recipes).unwrap().pod;
    let annotations = &pod["metadata"]["annotations"];
    let run = "scheduled__2026-01-02T030405.6000000000-aeca828f9";
    assert_eq!(
        annotations["bootlace.dev/link.airflow"],
        format!("https://airflow.example.com/dags/dailyreport-f9bb99ed0/runs/{run}/tasks/load")
    );
    assert_eq!(
        annotations["bootlace.dev/link.logs"],
        format!("https://grafana.example.com/explore?namespace=etl&workflow=dailyreport-f9bb99ed0&run={run}")
    );
    assert_eq!(annotations["bootlace.dev/link.runbook"], "https://wiki.example.com/runbooks/etl");
    assert_eq!(injected(&pod).links, ["airflow", "logs", "runbook"]);
    assert_eq!(info(&pod), json!({"owner": "data-platform", "costCenter": "4711"}));
}

#[test]
fn a_pod_without_annotations_gets_them_and_one_of_the_pod_stays() {
    let recipes = recipes(&json!({"links": {
        "logs": "https://logs.example.com/{{ namespace }}", "ui": "https://ui.example.com/{{ labels.team }}",
    }}));
    let mut pod = json!({
        "metadata": {"name": "load", "labels": {"bootlace.dev/task": "true", "team": "a/b"}},
        "spec": {"containers": [{"name": "main", "command": ["true"]}]},
    });
    let linked = admit(pod.clone(), &recipes).unwrap().pod;
    let annotations = linked["metadata"]["annotations"].as_object().unwrap();
    assert_eq!(annotations.len(), 3);
    assert_eq!(annotations["bootlace.dev/link.logs"], "https://logs.example.com/etl");
    assert_eq!(annotations["bootlace.dev/link.ui"], "https://ui.example.com/a%2Fb");
    assert_eq!(injected(&linked).links, ["logs", "ui"]);

    pod["metadata"]["annotations"] = json!({"bootlace.dev/link.ui": "javascript:alert(1)"});
    let linked = admit(pod, &recipes).unwrap().pod;
    let annotations = &linked["metadata"]["annotations"];
    assert_eq!(annotations["bootlace.dev/link.ui"], "javascript:alert(1)");
    assert_eq!(annotations["bootlace.dev/link.logs"], "https://logs.example.com/etl");
    // It is not one of Bootlace.
    assert_eq!(injected(&linked).links, ["logs"]);
}

#[test]
fn a_link_that_cannot_be_rendered_is_left_out_with_a_warning() {
    let recipes = recipes(&json!({"links": {
        "ui": "https://ui.example.com/{{ labels.team }}", "up": "https://ui.example.com/{{ task }}/x",
        "wiki": "https://wiki.example.com/",
    }}));
    let mut pod = scheduler_pods::pod("airflow-operator-manual.json");
    pod["metadata"]["labels"]["task_id"] = json!("..");
    let injection = admit(pod, &recipes).unwrap();
    assert_eq!(injected(&injection.pod).links, ["wiki"]);
    let warnings: Vec<_> = injection.warnings.iter().filter(|warning| warning.contains("link")).collect();
    for (warning, parts) in warnings.iter().zip([
        ["link \"ui\" of BootProfile \"default\" is left out: ", "labels[\"team\"]", "[BL1106]"],
        ["link \"up\" of BootProfile \"default\" is left out: ", "\"..\"", "[BL1106]"],
    ]) {
        assert!(parts.iter().all(|part| warning.contains(part)), "{parts:?} in {warning}");
    }
    assert_eq!(warnings.len(), 2, "{warnings:?}");
}

#[test]
fn information_that_cannot_be_rendered_refuses_the_pod() {
    let recipes = recipes(&json!({"task": {"info": {"team": "{{ labels.team }}"}}}));
    let refusal = admit(scheduler_pods::pod("airflow-operator-manual.json"), &recipes).err().unwrap();
    for part in ["BootProfile \"default\", task.info[\"team\"]: ", "labels[\"team\"]", "[BL1105]"] {
        assert!(refusal.contains(part), "{part:?} is not in {refusal}");
    }
}

#[test]
fn a_profile_with_a_link_that_a_pod_could_lead_elsewhere_is_invalid() {
    for (spec, part) in [
        (
            json!({"links": {"ui": "https://{{ labels.host }}/"}}),
            "links[\"ui\"]: scheme and host must be fixed",
        ),
        (json!({"links": {"UI": "https://a.example/"}}), "links[\"UI\"]: the name"),
        (json!({"task": {"info": {"a b": "c"}}}), "task.info[\"a b\"]: the name"),
        (json!({"task": {"info": {"a": "{{ teem }}"}}}), "task.info[\"a\"]: variable \"teem\" not found"),
    ] {
        let spec: BootProfileSpec = serde_json::from_value(spec).unwrap();
        let error = Profile::new("default", 1, spec).unwrap_err().to_string();
        assert!(error.contains(part), "{part:?} is not in {error}");
    }
}
