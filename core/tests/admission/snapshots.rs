//! Snapshots of whole injected pods, for review by people.

use bootlace_core::names;
use bootlace_core::profile::spec::Position;
use insta::assert_json_snapshot;
use serde_json::{Value, json};

use crate::inject;

fn pod(change: impl FnOnce(&mut Value)) -> Value {
    let mut pod = json!({
        "metadata": {"name": "etl", "labels": {names::LABEL_TASK: "true"}},
        "spec": {"containers": [{"name": "main", "image": "etl", "command": ["run"]}]},
    });
    change(&mut pod);
    pod
}

#[test]
fn an_airflow_pod() {
    let review: Value = serde_json::from_str(include_str!("../../../benches/review.json")).unwrap();
    let injected = inject(review.pointer("/request/object").unwrap(), Position::Last).pod;
    assert_json_snapshot!(injected);
}

#[test]
fn the_pods_own_handler_runs_after_the_proof() {
    let hook = |handler: Value| {
        let pod = pod(|pod| pod["spec"]["containers"][0]["lifecycle"] = json!({"postStart": handler}));
        let injected = inject(&pod, Position::Last).pod;
        injected.pointer("/spec/containers/0/lifecycle/postStart/exec/command").unwrap().clone()
    };
    let ours = ["/bootlace/bin/launch", "hook", "--container=main"];
    assert_eq!(
        hook(json!({"exec": {"command": ["sh", "-c", "touch /tmp/a b"]}})),
        json!([ours[0], ours[1], ours[2], "--timeout=30", "--", "sh", "-c", "touch /tmp/a b"])
    );
    assert_eq!(
        hook(json!({"sleep": {"seconds": 5}})),
        json!([ours[0], ours[1], ours[2], "--timeout=35", "--sleep=5"])
    );
    let get = json!({"port": 8080, "path": "/ready", "httpHeaders": [{"name": "A", "value": "b: c"}]});
    assert_eq!(
        hook(json!({"httpGet": get})),
        json!([ours[0], ours[1], ours[2], "--timeout=30", "--http=http://:8080/ready", "--header=A:b: c"])
    );
}

#[test]
fn a_named_port_is_resolved_at_admission() {
    let pod = pod(|pod| {
        let container = &mut pod["spec"]["containers"][0];
        container["ports"] = json!([{"name": "http", "containerPort": 9000}]);
        container["lifecycle"] = json!({"postStart": {"httpGet": {"port": "http"}}});
    });
    let injected = inject(&pod, Position::Last).pod;
    let command = injected.pointer("/spec/containers/0/lifecycle/postStart/exec/command").unwrap();
    assert!(command.as_array().unwrap().contains(&json!("--http=http://:9000/")), "{command}");
}

#[test]
fn only_the_task_containers_are_changed() {
    let pod = pod(|pod| {
        pod["metadata"]["annotations"] = json!({names::ANNOTATION_CONTAINERS: "main,second"});
        let container = |name: &str| json!({"name": name, "image": "etl", "command": ["run"]});
        pod["spec"]["containers"] = json!([container("main"), container("bystander"), container("second")]);
    });
    let injected = inject(&pod, Position::Last).pod;
    let launched = |index: usize| {
        let command = injected.pointer(&format!("/spec/containers/{index}/command/0")).unwrap();
        command == "/bootlace/bin/launch"
    };
    assert!(launched(0) && !launched(1) && launched(2));
    assert_eq!(injected.pointer("/spec/containers/1"), pod.pointer("/spec/containers/1"));
}

/// If the scheduler is unknown, only the first of several containers with its program is booted.
#[test]
fn the_steps_that_stay_without_the_boot_env_are_named() {
    let mut steps = crate::scheduler_pods::pod("tekton-task.json");
    steps["metadata"]["labels"] = json!({names::LABEL_TASK: "true"});
    let warnings = inject(&steps, Position::Last).warnings;
    let warned =
        |warnings: &[String]| warnings.iter().any(|warning| warning.contains(names::ANNOTATION_CONTAINERS));
    let [warning] = &warnings[..] else { panic!("{warnings:?}") };
    for detail in ["\"step-fetch\"", "\"step-store\"", "/tekton/bin/entrypoint", "step-fetch,step-store"] {
        assert!(warning.contains(detail), "{warning}");
    }
    // With the annotation of the warning, both are booted.
    steps["metadata"]["annotations"][names::ANNOTATION_CONTAINERS] = json!("step-fetch,step-store");
    let injection = inject(&steps, Position::Last);
    assert!(!warned(&injection.warnings), "{:?}", injection.warnings);
    for container in injection.pod["spec"]["containers"].as_array().unwrap() {
        assert_eq!(container["command"][0], "/bootlace/bin/launch", "{container}");
    }
    // Airflow adds a sidecar to the task of an operator that pushes to XCom.
    let airflow = inject(&crate::scheduler_pods::pod("airflow-operator-mapped-xcom.json"), Position::Last);
    assert!(airflow.pod["spec"]["containers"].as_array().unwrap().len() > 1);
    assert!(!warned(&airflow.warnings), "{:?}", airflow.warnings);
}
