//! Outputs that pods wait for: the name, the time, and which pods may query them.

use axum::body::Body;
use axum::http::Request;
use bootlace_core::code::Code;
use bootlace_core::input::AwaitedOutput;
use bootlace_core::output::ObjectKind;
use bootlace_test_api_server::ApiServer;
use http_body_util::BodyExt as _;
use serde_json::{Value, json};
use tower::ServiceExt as _;

use crate::support::{Attempt, consistent, service, signed, stored_once};

fn awaits() -> AwaitedOutput {
    let from = json!({"scheduler": "airflow", "workflow": "etl", "run": "r1", "task": "load"});
    AwaitedOutput::new("Cert", ObjectKind::Secret, serde_json::from_value(from).unwrap(), 60)
}

/// A pod that waits, and one that does not.
fn with_pods() -> ApiServer {
    let cluster = ApiServer::new();
    waiting(&cluster, "waits", &awaits());
    pod(&cluster, "other", &json!([]));
    cluster
}

/// A pod that waits for this.
pub(crate) fn waiting(cluster: &ApiServer, name: &str, awaits: &AwaitedOutput) {
    let config = json!({
        "profile": {"name": "default", "generation": 1}, "store": {"url": "", "ca": ""}, "awaits": [awaits],
    });
    pod(
        cluster,
        name,
        &json!([{"name": "bootlace-wait", "env": [{"name": "BOOTLACE_WAIT", "value": config.to_string()}]}]),
    );
}

fn pod(cluster: &ApiServer, name: &str, init: &Value) {
    cluster.put(&format!("/api/v1/namespaces/etl/pods/{name}"), signed("etl", name, init));
}

pub(crate) async fn ask(cluster: &ApiServer, token: &str, object: &str) -> (u16, Value) {
    let service = service(cluster);
    let request = Request::get(format!("/v1/awaited/{object}"));
    let request = request.header("authorization", format!("Bearer {token}")).body(Body::empty());
    let response = service.router().oneshot(request.unwrap()).await.unwrap();
    let status = response.status().as_u16();
    let body = response.into_body().collect().await.unwrap().to_bytes();
    (status, serde_json::from_slice(&body).unwrap())
}

fn attempt(number: &'static str, content: &'static str, awaited: bool) -> Attempt {
    Attempt { number, content, awaited, ..Attempt::default() }
}

#[tokio::test]
async fn a_pod_that_waits_gets_the_state_and_not_the_content() {
    let (cluster, object) = (with_pods(), awaits().object);
    assert_eq!(ask(&cluster, "waits", &object).await, (200, json!({"state": "NotYet", "soFar": []})));
    let other = Attempt { key: "Log", content: "hunter2", ..Attempt::default() };
    other.store(cluster.client(), "10:00:00").await.unwrap();
    assert_eq!(ask(&cluster, "waits", &object).await.1, json!({"state": "NotYet", "soFar": ["Log"]}));
    attempt("1", "hunter2", true).store(cluster.client(), "10:00:01").await.unwrap();
    assert_eq!(ask(&cluster, "waits", &object).await, (200, json!({"state": "Stored", "files": ["file"]})));
    consistent(&cluster);
    let secrets = cluster.all("secrets");
    let named = secrets.iter().find(|secret| secret["metadata"]["name"] == object.as_str()).unwrap();
    assert_eq!((&named["data"]["file"], &named["immutable"]), (&json!("aHVudGVyMg=="), &json!(true)));
}

#[tokio::test]
async fn a_pod_may_only_query_the_outputs_that_it_waits_for() {
    let (cluster, object) = (with_pods(), awaits().object);
    attempt("1", "hunter2", true).store(cluster.client(), "10:00:00").await.unwrap();
    for (token, object, status, code, detail) in [
        ("stranger", &*object, 401, Code::CallerNotAuthenticated, ""),
        // The pod has no container that waits.
        ("other", &object, 403, Code::RequestNotAllowed, "container \"bootlace-wait\""),
        ("waits", "db-login", 403, Code::RequestNotAllowed, "\"db-login\""),
        ("waits", "..%2Fsecrets", 403, Code::RequestNotAllowed, "\"../secrets\""),
    ] {
        let (given, answer) = ask(&cluster, token, object).await;
        assert!(
            given == status
                && answer["code"] == code.as_str()
                && answer["message"].as_str().unwrap().contains(detail),
            "not {status} {code} {detail}, but {given} {answer}"
        );
    }
}

#[tokio::test]
async fn the_content_of_a_later_attempt_is_not_available_under_the_name_of_the_first() {
    let (cluster, object) = (with_pods(), awaits().object);
    attempt("1", "A", true).store(cluster.client(), "10:00:00").await.unwrap();
    attempt("2", "B", true).store(cluster.client(), "10:01:00").await.unwrap();
    consistent(&cluster);
    let (_, answer) = ask(&cluster, "waits", &object).await;
    assert!(answer["state"] == "Never" && answer["why"].as_str().unwrap().contains(&object), "{answer}");
    // The content of the first attempt again: the name has the newest content.
    attempt("3", "A", true).store(cluster.client(), "10:02:00").await.unwrap();
    assert_eq!(ask(&cluster, "waits", &object).await.1["state"], "Stored");
}

#[tokio::test]
async fn an_older_crd_is_reported_instead_of_dropping_a_field() {
    let cluster = with_pods();
    cluster.drop_field("awaited");
    let denial = attempt("1", "A", true).store(cluster.client(), "10:00:00").await.unwrap_err();
    assert!(denial.is_final() && denial.code == Code::PipeCrdOutdated, "{denial}");
    attempt("1", "A", false).store(cluster.client(), "10:00:01").await.unwrap();
}

#[tokio::test]
async fn a_stored_output_gets_the_name_when_it_is_declared_as_awaited() {
    let (cluster, object) = (with_pods(), awaits().object);
    attempt("1", "A", false).store(cluster.client(), "10:00:00").await.unwrap();
    let (_, answer) = ask(&cluster, "waits", &object).await;
    assert!(answer["why"].as_str().unwrap().contains("`awaited: true`"), "{answer}");
    let held = cluster.all("secrets");
    assert!(!attempt("2", "A", true).store(cluster.client(), "10:01:00").await.unwrap());
    stored_once(&cluster);
    assert!(cluster.all("secrets").contains(&held[0]), "pods may use the first object");
    assert_eq!(ask(&cluster, "waits", &object).await.1["state"], "Stored");

    // An object of another client is not used, and the Pipe is kept, because pods may use it.
    let cluster = with_pods();
    attempt("1", "A", false).store(cluster.client(), "10:00:00").await.unwrap();
    cluster.put(&format!("/api/v1/namespaces/etl/secrets/{object}"), json!({"metadata": {"name": object}}));
    assert!(!attempt("2", "A", true).store(cluster.client(), "10:01:00").await.unwrap());
    assert_eq!(cluster.all("pipes")[0]["status"]["awaited"], "Taken");
    assert_eq!(ask(&cluster, "waits", &object).await.1["state"], "Never");
}
