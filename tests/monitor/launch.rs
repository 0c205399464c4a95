//! Pods that the controller fails, and pods that it must not change.

use bootlace_test_api_server::ApiServer;
use serde_json::{Value, json};
use tokio::time::{Duration, Instant};

use crate::support::{
    LONG, NODE, Replica, cluster, on_node, path, phase, pod, put, running, scheduled, set_node, until,
    waiting,
};

fn limited() -> Value {
    pod(&json!({"launch": {"scheduleSeconds": 60, "startSeconds": 120}}))
}

fn pulling() -> Value {
    let image = waiting("ImagePullBackOff", "Back-off pulling image \"nowhere\"");
    on_node(limited(), "10:00:00", &json!({"main": image}))
}

fn condition(pod: &Value, type_: &str) -> Value {
    let conditions = pod["status"]["conditions"].as_array().unwrap();
    conditions.iter().find(|condition| condition["type"] == type_).cloned().unwrap_or_default()
}

/// Runs a replica for a while, and returns the writes of pods.
async fn writes_after(cluster: &ApiServer, pods: &[&str], duration: Duration) -> usize {
    let replica = Replica::start(cluster, "a", Instant::now());
    tokio::time::sleep(duration).await;
    assert_eq!(replica.liveness.report(), [""; 0]);
    pods.iter().map(|pod| cluster.writes(&path(pod))).sum()
}

#[tokio::test(start_paused = true)]
async fn a_pod_that_does_not_start_in_time_fails_with_its_cause() {
    let cluster = cluster();
    put(&cluster, "load", pulling());
    let replica = Replica::start(&cluster, "a", Instant::now());
    let took = until("it does not fail", || phase(&cluster, "load") == "Failed").await;
    assert!((120..125).contains(&took.as_secs()), "{took:?}");
    let pod = cluster.get(&path("load")).unwrap();
    let launched = condition(&pod, "bootlace.dev/Launched");
    assert_eq!((&launched["status"], &launched["reason"]), (&json!("False"), &json!("StartTimeout")));
    let message = launched["message"].as_str().unwrap();
    assert!(
        message.contains("ImagePullBackOff: Back-off pulling image \"nowhere\"")
            && message.ends_with("[BL6402]")
    );
    assert_eq!(
        (&pod["status"]["reason"], &pod["status"]["message"]),
        (&json!("StartTimeout"), &json!(message))
    );
    // The other conditions and annotations are kept.
    assert_eq!(condition(&pod, "PodScheduled")["status"], "True");
    assert!(pod["metadata"]["annotations"]["bootlace.dev/injected"].is_string());
    let diagnosis = pod["metadata"]["annotations"]["bootlace.dev/diagnosis"].as_str().unwrap();
    let diagnosis: Value = serde_json::from_str(diagnosis).unwrap();
    assert_eq!(diagnosis["message"], message);

    let events = cluster.all("events");
    assert_eq!(events.len(), 1);
    assert_eq!((&events[0]["note"], &events[0]["reason"]), (&json!(message), &json!("StartTimeout")));
    assert_eq!(events[0]["regarding"]["uid"], pod["metadata"]["uid"]);
    let writes = cluster.writes(&path("load"));
    tokio::time::sleep(LONG).await;
    assert_eq!((cluster.writes(&path("load")), writes), (1, 1), "it was failed again");
    drop(replica);
}

#[tokio::test(start_paused = true)]
async fn a_pod_without_a_node_fails_with_the_reason_of_the_scheduler() {
    let cluster = cluster();
    let mut pod = limited();
    pod["status"]["conditions"] =
        json!([scheduled("False", "Unschedulable", "1 Insufficient cpu.", Some("10:00:00"))]);
    put(&cluster, "load", pod);
    let _replica = Replica::start(&cluster, "a", Instant::now());
    let took = until("it does not fail", || phase(&cluster, "load") == "Failed").await;
    assert!((60..65).contains(&took.as_secs()), "{took:?}");
    let message = cluster.get(&path("load")).unwrap()["status"]["message"].clone();
    assert!(message.as_str().unwrap().contains("1 Insufficient cpu. [BL6401]"), "{message}");
    assert!(!cluster.requests().iter().any(|request| request.contains(NODE)));
}

#[tokio::test(start_paused = true)]
async fn a_pod_that_was_gated_has_its_time_from_when_the_gate_is_gone() {
    let cluster = cluster();
    let mut pod = limited();
    pod["status"]["conditions"] = json!([scheduled("False", "SchedulingGated", "gated", None)]);
    pod["spec"]["schedulingGates"] = json!([{"name": "queue"}]);
    put(&cluster, "load", pod.clone());
    let _replica = Replica::start(&cluster, "a", Instant::now());
    tokio::time::sleep(LONG).await;
    assert_eq!(phase(&cluster, "load"), "Pending");
    pod["spec"].as_object_mut().unwrap().remove("schedulingGates");
    put(&cluster, "load", pod.clone());
    // The scheduler reports after a while, which does not restart the clock.
    tokio::time::sleep(Duration::from_secs(30)).await;
    pod["status"]["conditions"] = json!([scheduled("False", "Unschedulable", "no", None)]);
    put(&cluster, "load", pod);
    let took = until("it does not fail", || phase(&cluster, "load") == "Failed").await;
    assert!((29..33).contains(&took.as_secs()), "{took:?}");
}

#[tokio::test(start_paused = true)]
async fn a_running_pod_whose_sidecar_has_failed_fails() {
    let cluster = cluster();
    let proxy = json!({
        "state": {"waiting": {"reason": "CrashLoopBackOff", "message": "back-off 40s"}}, "restartCount": 4,
    });
    let settings = json!({"onSidecarFailure": "Fail"});
    let mut pod = on_node(pod(&settings), "10:00:00", &json!({"main": running()}));
    pod["status"]["phase"] = json!("Running");
    put(&cluster, "load", pod.clone());
    let _replica = Replica::start(&cluster, "a", Instant::now());
    tokio::time::sleep(LONG).await;
    assert_eq!(phase(&cluster, "load"), "Running");
    pod = on_node(pod, "10:00:00", &json!({"main": running(), "proxy": proxy}));
    put(&cluster, "load", pod);
    until("it does not fail", || phase(&cluster, "load") == "Failed").await;
    let pod = cluster.get(&path("load")).unwrap();
    assert_eq!(condition(&pod, "bootlace.dev/SidecarFailed")["status"], "True");
    assert_eq!(condition(&pod, "bootlace.dev/Launched"), Value::Null);
}

#[tokio::test(start_paused = true)]
async fn pods_that_start_end_or_have_no_limit_are_never_written() {
    let cluster = cluster();
    for name in ["started", "failed", "deleted", "gone"] {
        put(&cluster, name, pulling());
    }
    put(&cluster, "free", pod(&json!({})));
    put(&cluster, "broken", {
        let mut pod = pulling();
        pod["metadata"]["annotations"]["bootlace.dev/injected"] = json!("no JSON");
        pod
    });
    let mut other = pulling();
    other["metadata"]["labels"] = json!({});
    put(&cluster, "other", other);
    let replica = Replica::start(&cluster, "a", Instant::now());
    until("the pods are not listed", || replica.metrics.starting() == 4).await;
    tokio::time::sleep(Duration::from_mins(1)).await;
    let mut started = on_node(limited(), "10:00:00", &json!({"main": running()}));
    started["status"]["phase"] = json!("Running");
    put(&cluster, "started", started);
    let mut failed = pulling();
    failed["status"]["phase"] = json!("Failed");
    put(&cluster, "failed", failed);
    cluster.delete_with_grace(&path("deleted"));
    cluster.delete(&path("gone"));
    until("the pods are not forgotten", || replica.metrics.starting() == 0).await;
    tokio::time::sleep(LONG).await;
    for name in ["started", "failed", "deleted", "free", "broken", "other"] {
        assert_eq!(cluster.writes(&path(name)), 0, "{name}");
    }
    assert!(cluster.all("events").is_empty());
}

/// A pod that changes between the decision and the patch is not failed.
#[tokio::test(start_paused = true)]
async fn another_pod_of_the_same_name_is_not_failed() {
    let cluster = cluster();
    put(&cluster, "load", pulling());
    let _replica = Replica::start(&cluster, "a", Instant::now());
    tokio::time::sleep(Duration::from_secs(119)).await;
    let mut fresh = on_node(limited(), "10:01:59", &json!({}));
    fresh["metadata"]["uid"] = json!("other");
    cluster.delete(&path("load"));
    put(&cluster, "load", fresh);
    tokio::time::sleep(Duration::from_mins(1)).await;
    assert_eq!(phase(&cluster, "load"), "Pending");
    // It has its own time.
    until("it does not fail", || phase(&cluster, "load") == "Failed").await;
}

#[tokio::test(start_paused = true)]
async fn a_pod_whose_node_does_not_report_is_not_failed() {
    let cluster = cluster();
    put(&cluster, "load", pulling());
    set_node(&cluster, "Unknown");
    assert_eq!(writes_after(&cluster, &["load"], LONG).await, 0);
    cluster.delete(NODE);
    assert_eq!(writes_after(&cluster, &["load"], LONG).await, 0);
    set_node(&cluster, "False");
    assert_eq!(writes_after(&cluster, &["load"], LONG).await, 1);
}

#[tokio::test(start_paused = true)]
async fn a_pod_fails_although_its_event_cannot_be_created() {
    let cluster = cluster();
    cluster.refuse_create("/events/", 403, "exceeded quota");
    put(&cluster, "load", pulling());
    let _replica = Replica::start(&cluster, "a", Instant::now());
    until("it does not fail", || phase(&cluster, "load") == "Failed").await;
}
