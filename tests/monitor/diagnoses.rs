//! What is kept about failed pods, for how long, and how large it can be.

use std::time::Duration;

use bootlace::monitor::launch::diagnosis::{Diagnosis, MAX_BYTES};
use bootlace::monitor::launch::kept::Kept;
use bootlace::monitor::launch::settings::Settings;
use bootlace::monitor::launch::verdict::Failure;
use bootlace_test_api_server::ApiServer;
use k8s_openapi::api::core::v1::Event;
use serde_json::{Value, json};
use tokio::time::Instant;

use crate::support::{NODE, Replica, cluster, on_node, parsed, path, phase, pod, put, time, until, waiting};

fn events(count: usize, message: &str) -> Vec<Event> {
    let event = |number: usize| {
        json!({
            "metadata": {}, "involvedObject": {}, "type": "Warning", "reason": "Failed",
            "message": format!("{number} {message}"), "lastTimestamp": format!("2026-11-21T10:{:02}:00Z", number % 60),
        })
    };
    (0..count).map(|number| serde_json::from_value(event(number)).unwrap()).collect()
}

fn diagnosis(pod: &Value, events: &[Event]) -> Value {
    let pod = parsed(pod);
    let settings = Settings::of(&pod).unwrap();
    let failure = Failure::Start { seconds: 120 };
    let about = Diagnosis::new((&pod, &settings, None), (&failure, "why"), events, time("10:02:00"));
    let text = about.to_json();
    assert!(text.len() <= MAX_BYTES, "{} bytes", text.len());
    serde_json::from_str(&text).unwrap()
}

#[test]
fn a_diagnosis_holds_the_states_and_the_newest_events() {
    let mut states = json!({"main": waiting("ErrImagePull", "not found")});
    states["bootlace-boot"] = json!({
        "state": {"running": {"startedAt": "2026-11-21T10:01:00Z"}},
        "lastState": {"terminated": {"exitCode": 7, "reason": "Error", "message": "password=hunter2"}},
        "restartCount": 1,
    });
    let found = diagnosis(&on_node(pod(&json!({})), "10:00:01", &states), &events(50, "a"));
    assert_eq!((&found["reason"], &found["pod"]), (&json!("StartTimeout"), &json!("load")));
    let container = |name: &str| {
        let containers = found["containers"].as_array().unwrap();
        containers.iter().find(|container| container["name"] == name).unwrap().clone()
    };
    assert_eq!(
        container("main")["state"],
        json!({"state": "waiting", "reason": "ErrImagePull", "message": "not found"})
    );
    assert_eq!(container("bootlace-boot")["lastState"]["exitCode"], 7);
    assert!(!found.to_string().contains("hunter2"), "{found}");
    let events = found["events"].as_array().unwrap();
    assert_eq!((events.len(), &events[19]["message"]), (20, &json!("49 a")));
}

#[test]
fn a_diagnosis_is_never_too_large() {
    let long = "ü".repeat(10_000);
    let mut large = on_node(pod(&json!({})), "10:00:01", &json!({"main": waiting(&long, &long)}));
    let conditions: Vec<_> = (0..200)
        .map(|number| json!({"type": format!("{number}{long}"), "status": long, "message": long}))
        .collect();
    large["status"]["conditions"] = conditions.into();
    let containers: Vec<_> = (0..200).map(|number| json!({"name": format!("c{number}")})).collect();
    large["spec"]["containers"] = containers.into();
    diagnosis(&large, &events(100, &long));
    diagnosis(&large, &[]);
}

#[tokio::test(start_paused = true)]
async fn a_diagnosis_outlives_its_pod_for_the_time_in_the_profile() {
    let cluster = cluster();
    for (name, seconds) in [("short", 60), ("long", 7200), ("none", 0)] {
        let settings = json!({"launch": {"startSeconds": 120, "diagnosisSeconds": seconds}});
        let image = waiting("ErrImagePull", "not found");
        put(&cluster, name, on_node(pod(&settings), "10:00:00", &json!({"main": image})));
    }
    let _replica = Replica::start(&cluster, "a", Instant::now());
    for name in ["short", "long", "none"] {
        until("it does not fail", || phase(&cluster, name) == "Failed").await;
        let pod = cluster.get(&path(name)).unwrap();
        assert!(pod["metadata"]["annotations"]["bootlace.dev/diagnosis"].is_string());
        cluster.delete(&path(name));
    }
    let kept = || cluster.all("configmaps");
    assert_eq!(kept().len(), 2);
    let object = &kept()[0];
    assert_eq!(object["metadata"]["namespace"], "bootlace");
    assert_eq!(object["metadata"]["labels"]["bootlace.dev/diagnosis"], "etl");
    let content: Value = serde_json::from_str(object["data"]["diagnosis.json"].as_str().unwrap()).unwrap();
    assert_eq!(content["node"]["conditions"][0]["type"], "Ready");
    let took = until("the first one does not expire", || kept().len() == 1).await;
    assert!(took < Duration::from_mins(7), "{took:?}");
    let half = Duration::from_hours(1);
    tokio::time::sleep(half).await;
    assert_eq!(kept().len(), 1, "the second one has expired");
    tokio::time::sleep(half).await;
    until("the second one does not expire", || kept().is_empty()).await;
}

#[tokio::test]
async fn objects_of_others_and_unexpired_ones_are_not_deleted() {
    let cluster = ApiServer::new();
    let put = |name: &str, label: Option<&str>, expires: &str| {
        let labels = label.map_or(json!({}), |label| json!({"bootlace.dev/diagnosis": label}));
        let annotations = json!({"bootlace.dev/expires": expires});
        let metadata = json!({"name": name, "labels": labels, "annotations": annotations});
        cluster.put(&format!("/api/v1/namespaces/bootlace/configmaps/{name}"), json!({"metadata": metadata}));
    };
    for number in 0..1200 {
        put(&format!("old-{number:04}"), Some("etl"), "2026-11-21T09:00:00Z");
    }
    put("young", Some("etl"), "2026-11-21T11:00:00Z");
    put("strange", Some("etl"), "tomorrow");
    put("other", None, "2026-11-21T09:00:00Z");
    let kept = Kept::new(cluster.client(), "bootlace");
    assert_eq!(kept.sweep(time("10:00:00")).await.unwrap(), 1200);
    let names: Vec<_> =
        cluster.all("configmaps").iter().map(|object| object["metadata"]["name"].clone()).collect();
    assert_eq!(names, ["other", "strange", "young"]);
    assert!(cluster.get(NODE).is_none());
}

/// A disaster does not fill the API server with diagnoses.
#[tokio::test]
async fn the_number_of_diagnoses_is_limited() {
    let cluster = ApiServer::new();
    let kept = Kept::new(cluster.client(), "bootlace");
    for number in 0..1100 {
        let mut pod = parsed(&pod(&json!({})));
        pod.metadata.uid = Some(format!("u-{number}"));
        kept.keep(&pod, "{}", 60, time("10:00:00")).await.unwrap();
    }
    assert_eq!(cluster.all("configmaps").len(), 1000);
    assert_eq!(kept.sweep(time("10:02:00")).await.unwrap(), 1000);
    kept.keep(&parsed(&pod(&json!({}))), "{}", 60, time("10:02:00")).await.unwrap();
    assert_eq!(cluster.all("configmaps").len(), 1);
}
