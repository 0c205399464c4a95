//! The records of aborts: who may write them, what they contain, and when they are removed.

use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use axum::http::Request;
use bootlace::server::lease::LeaderLease;
use bootlace::server::liveness::Liveness;
use bootlace::store::garbage_collector::Collector;

use bootlace::store::metrics::StoreMetrics;
use bootlace_test_api_server::ApiServer;
use http_body_util::BodyExt as _;
use serde_json::{Value, json};
use tower::ServiceExt as _;

use crate::support::{NAMESPACE, service, signed};

/// A cluster with a pod whose container `main` has hooks.
fn cluster() -> ApiServer {
    let cluster = ApiServer::new();
    let config = json!({
        "task": {"scheduler": "airflow", "workflow": "etl", "run": "r1", "task": "load", "scheduledTime": "2026-11-21T00:00:00Z"},
        "profile": {"name": "spark", "generation": 4}, "store": {"url": "", "ca": ""}, "outputs": [],
        "timeToLiveSeconds": 3600, "deadlineSeconds": 60, "graceSeconds": 20, "supervised": ["main"],
    });
    let env = json!([{"name": "BOOTLACE_PIPES", "value": config.to_string()}]);
    let sidecar = json!({"name": "bootlace-pipe", "restartPolicy": "Always", "env": env});
    let pod = signed(NAMESPACE, "task", &json!([sidecar]));
    cluster.put(&format!("/api/v1/namespaces/{NAMESPACE}/pods/task"), pod);
    cluster
}

async fn ask(cluster: &ApiServer, method: &str, path: &str, body: &Value) -> (u16, Value) {
    let request = Request::builder().method(method).uri(path).header("authorization", "Bearer task");
    let request = request.body(Body::from(body.to_string())).unwrap();
    let response = service(cluster).router().oneshot(request).await.unwrap();
    let status = response.status().as_u16();
    let body = response.into_body().collect().await.unwrap().to_bytes();
    (status, serde_json::from_slice(&body).unwrap_or_default())
}

async fn put(cluster: &ApiServer, container: &str, body: &Value) -> (u16, Value) {
    ask(cluster, "PUT", &format!("/v1/aborts/{container}"), body).await
}

#[tokio::test]
async fn an_abort_contains_the_signed_identity_and_the_text() {
    let cluster = cluster();
    assert_eq!(put(&cluster, "main", &json!({"start": 1, "text": "job-17"})).await.0, 204);
    let aborts = cluster.all("aborts");
    assert_eq!(aborts.len(), 1);
    let uid = cluster.all("pods")[0]["metadata"]["uid"].clone();
    assert_eq!(aborts[0]["metadata"]["name"], format!("{}.main", uid.as_str().unwrap()));
    assert!(aborts[0]["metadata"]["ownerReferences"].is_null(), "it outlives the pod");
    assert_eq!(
        aborts[0]["spec"],
        json!({
            "pod": "task", "podUid": uid, "container": "main", "start": 1, "text": "job-17",
            "profile": {"name": "spark", "generation": 4},
            "task": {
                "scheduler": "airflow", "workflow": "etl", "run": "r1", "task": "load",
                "scheduledTime": "2026-11-21T00:00:00Z",
            },
        })
    );
    // The next start of the container replaces it.
    assert_eq!(put(&cluster, "main", &json!({"start": 2, "more": true})).await.0, 204);
    let aborts = cluster.all("aborts");
    assert_eq!((&aborts[0]["spec"]["start"], &aborts[0]["spec"]["text"]), (&json!(2), &Value::Null));
}

#[tokio::test]
async fn it_is_removed_when_the_task_has_ended_and_a_pod_in_deletion_may_do_so() {
    let cluster = cluster();
    let mut pod = cluster.all("pods")[0].clone();
    pod["metadata"]["deletionTimestamp"] = json!("2026-11-21T10:00:00Z");
    cluster.put(&format!("/api/v1/namespaces/{NAMESPACE}/pods/task"), pod);
    assert_eq!(put(&cluster, "main", &json!({"start": 1, "text": "job-17"})).await.0, 204);
    for _ in 0..2 {
        assert_eq!(ask(&cluster, "DELETE", "/v1/aborts/main", &json!(null)).await.0, 204);
        assert!(cluster.all("aborts").is_empty());
    }
    let event = |outcome: &str| json!({"outcome": outcome, "note": "container main: the task was stopped"});
    assert_eq!(ask(&cluster, "POST", "/v1/events", &event("Aborted")).await.0, 204);
    assert_eq!(ask(&cluster, "POST", "/v1/events", &event("OutputsNotStored")).await.0, 403);
    let events = cluster.all("events");
    assert_eq!((events.len(), &events[0]["reason"]), (1, &json!("Aborted")));
}

#[tokio::test]
async fn other_containers_and_large_texts_are_refused() {
    let cluster = cluster();
    for (container, body, status, code) in [
        ("other", json!({"start": 1}), 403, "BL5106"),
        ("main", json!({"start": 1, "text": "x".repeat(1025)}), 413, "BL5204"),
        ("main", json!({"text": "x"}), 400, "BL5201"),
    ] {
        let (found, error) = put(&cluster, container, &body).await;
        assert_eq!((found, &error["code"]), (status, &json!(code)), "{error}");
    }
    assert_eq!(ask(&cluster, "DELETE", "/v1/aborts/other", &json!(null)).await.0, 403);
    assert!(cluster.all("aborts").is_empty());
}

fn collector<'m>(cluster: &ApiServer, metrics: &'m StoreMetrics) -> Collector<'m> {
    let client = cluster.client();
    let every = Duration::from_mins(1);
    let (name, holder) = ("bootlace-store".to_owned(), "a".to_owned());
    Collector {
        lease: LeaderLease::new(client.clone(), "bootlace", name, holder, every * 2),
        client,
        interval: every,
        grace_period: Duration::from_mins(5),
        metrics,
        heartbeat: Arc::<Liveness>::default().expect("Pipes"),
    }
}

#[tokio::test]
async fn what_is_left_is_removed_a_day_after_the_pod_is_gone() {
    let (cluster, metrics) = (cluster(), StoreMetrics::default());
    put(&cluster, "main", &json!({"start": 1, "text": "job-17"})).await;
    let mut collector = collector(&cluster, &metrics);
    let hours = |hours: i64| {
        let after = k8s_openapi::jiff::SignedDuration::from_hours(hours);
        k8s_openapi::jiff::Timestamp::now().checked_add(after).unwrap()
    };
    // The pod exists, however long the task runs.
    assert_eq!(collector.sweep_aborts(hours(1000)).await.unwrap(), 0);
    assert!(cluster.all("aborts")[0]["status"].is_null());
    let pod = format!("/api/v1/namespaces/{NAMESPACE}/pods/task");
    let mut other = cluster.all("pods")[0].clone();
    // Another pod has the same name.
    other["metadata"] = json!({"name": "task"});
    cluster.delete(&pod);
    cluster.put(&pod, other);
    assert_eq!(collector.sweep_aborts(hours(1)).await.unwrap(), 0);
    assert_eq!(cluster.all("aborts")[0]["status"]["phase"], "Left");
    assert_eq!(collector.sweep_aborts(hours(24)).await.unwrap(), 0);
    assert_eq!(collector.sweep_aborts(hours(26)).await.unwrap(), 1);
    assert!(cluster.all("aborts").is_empty());
}
