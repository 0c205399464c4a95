//! The requests of a sidecar with the progress of its task.

use std::sync::Arc;

use axum::body::Body;
use axum::http::Request;
use bootlace::store::api::StoreService;
use bootlace::store::metrics::StoreMetrics;
use bootlace::store::progress::ProgressWriter;
use bootlace::store::signing::VerificationKeys;
use bootlace_test_api_server::ApiServer;
use http_body_util::BodyExt as _;
use serde_json::{Value, json};
use tower::ServiceExt as _;

use crate::support::{keys, signed};

const POD: &str = "/api/v1/namespaces/etl/pods/task";

/// A cluster with a pod that reports progress, or does not.
fn cluster(reports: bool) -> ApiServer {
    let files = if reports { json!([{"folder": "/bootlace-progress", "name": "main"}]) } else { json!([]) };
    let config = json!({
        "task": {}, "profile": {"name": "default", "generation": 1}, "store": {"url": "", "ca": ""}, "outputs": [],
        "progress": files, "timeToLiveSeconds": 3600, "deadlineSeconds": 60, "graceSeconds": 20,
    });
    let env = json!([{"name": "BOOTLACE_PIPES", "value": config.to_string()}]);
    let sidecar = json!({"name": "bootlace-pipe", "restartPolicy": "Always", "env": env});
    let cluster = ApiServer::new();
    cluster.put(POD, signed("etl", "task", &json!([sidecar])));
    cluster
}

fn service(cluster: &ApiServer, is_allowed: bool) -> Arc<StoreService> {
    let metrics = Arc::<StoreMetrics>::default();
    let keys = VerificationKeys::with(keys());
    StoreService::new(cluster.client(), metrics, keys, ProgressWriter::new(is_allowed))
}

async fn put(service: &Arc<StoreService>, token: &str, body: &Value) -> (u16, Value) {
    let request = Request::put("/v1/progress").header("authorization", format!("Bearer {token}"));
    let request = request.body(Body::from(body.to_string())).unwrap();
    let response = Arc::clone(service).router().oneshot(request).await.unwrap();
    let status = response.status().as_u16();
    let body = response.into_body().collect().await.unwrap().to_bytes();
    (status, serde_json::from_slice(&body).unwrap_or_default())
}

fn progress(cluster: &ApiServer) -> Value {
    cluster.get(POD).unwrap()["metadata"]["annotations"]["bootlace.dev/progress"].clone()
}

#[tokio::test]
async fn the_line_becomes_an_annotation_of_the_pod() {
    let cluster = cluster(true);
    let service = service(&cluster, true);
    let (status, answer) = put(&service, "task", &json!({"line": " 40/100\n\u{1b}[31mparsing "})).await;
    assert_eq!((status, progress(&cluster)), (204, json!("40/100 [31mparsing")), "{answer}");
    let patched =
        cluster.requests().into_iter().filter(|request| request.starts_with("PATCH")).collect::<Vec<_>>();
    assert_eq!(patched.len(), 1, "{patched:?}");
    assert!(patched[0].starts_with(&format!("PATCH {POD}/status")), "{patched:?}");
    // The other annotations stay.
    assert_eq!(cluster.get(POD).unwrap()["metadata"]["annotations"]["bootlace.dev/injected"], "{}");
    let (status, _) = put(&service, "task", &json!({"line": "x".repeat(10_000)})).await;
    assert_eq!((status, progress(&cluster).as_str().unwrap().len()), (204, 256));
}

#[tokio::test]
async fn a_pod_in_deletion_reports_its_last_line() {
    let cluster = cluster(true);
    cluster.delete_with_grace(POD);
    let (status, _) = put(&service(&cluster, true), "task", &json!({"line": "3/3"})).await;
    assert_eq!((status, progress(&cluster)), (204, json!("3/3")));
}

#[tokio::test]
async fn a_pod_that_sends_many_lines_is_changed_seldom() {
    let cluster = cluster(true);
    let service = service(&cluster, true);
    for number in 0..20 {
        let (status, _) = put(&service, "task", &json!({"line": format!("{number}/20")})).await;
        assert_eq!(status, 204);
    }
    assert_eq!(cluster.writes(POD), 3);
    for line in ["", "\n\t", "\u{7}"] {
        assert_eq!(put(&service, "task", &json!({"line": line})).await.0, 204);
    }
    assert_eq!(progress(&cluster), "2/20");
}

#[tokio::test]
async fn who_may_not_report_progress_is_refused() {
    for (reports, is_allowed, hint) in
        [(false, true, "progress.enabled of its BootProfile"), (true, false, "progress.enabled=true")]
    {
        let cluster = cluster(reports);
        let (status, answer) = put(&service(&cluster, is_allowed), "task", &json!({"line": "1/2"})).await;
        assert_eq!((status, &answer["code"]), (403, &json!("BL5106")), "{answer}");
        assert!(answer["message"].as_str().unwrap().contains(hint), "{answer}");
        assert_eq!(cluster.writes(POD), 0);
    }
    let other = cluster(true);
    // Another pod of the same name.
    let token = other.token("task");
    other.recreate(POD);
    let (status, answer) = put(&service(&other, true), &token, &json!({"line": "1/2"})).await;
    assert_eq!(status, 403, "{answer}");
}
