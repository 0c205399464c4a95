//! The HTTP requests of a sidecar: the store refuses outputs that its configuration does not declare.

use axum::body::Body;
use axum::http::Request;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bootlace_test_api_server::ApiServer;
use http_body_util::BodyExt as _;
use serde_json::{Value, json};
use tower::ServiceExt as _;

use crate::support::{service, signed, stored_once};

/// A value that no response may contain.
const VALUE: &str = "zq7Xv0hunter2";

pub(crate) fn pod(cluster: &ApiServer, name: &str, outputs: &Value) {
    pod_in(cluster, "etl", name, outputs);
}

pub(crate) fn pod_in(cluster: &ApiServer, namespace: &str, name: &str, outputs: &Value) {
    let path = format!("/api/v1/namespaces/{namespace}/pods/{name}");
    cluster.put(&path, signed(namespace, name, &json!([sidecar(outputs)])));
}

fn sidecar(outputs: &Value) -> Value {
    let config = json!({
        "task": {"scheduler": "airflow", "workflow": "etl", "run": "r1", "task": "load"},
        "profile": {"name": "default", "generation": 1}, "store": {"url": "", "ca": ""}, "outputs": outputs,
        "timeToLiveSeconds": 3600, "deadlineSeconds": 60, "graceSeconds": 20, "quota": {"perRun": 5},
    });
    let env = json!([{"name": "BOOTLACE_PIPES", "value": config.to_string()}]);
    json!({"name": "bootlace-pipe", "restartPolicy": "Always", "env": env})
}

/// A cluster with two pods that declare outputs, one of them of two containers.
fn cluster() -> ApiServer {
    let cluster = ApiServer::new();
    let outputs = json!([
        {"key": "Cert", "kind": "Secret", "container": "main"},
        {"key": "Log", "kind": "ConfigMap", "container": "other"},
    ]);
    pod(&cluster, "task", &outputs);
    pod(&cluster, "other", &json!([{"key": "Theirs", "kind": "Secret", "container": "main"}]));
    cluster
}

async fn put(cluster: &ApiServer, token: &str, key: &str, body: &Value) -> (u16, Value) {
    ask(cluster, token, "PUT", &format!("/v1/pipes/{key}"), body).await
}

async fn ask(cluster: &ApiServer, token: &str, method: &str, path: &str, body: &Value) -> (u16, Value) {
    let service = service(cluster);
    let request = Request::builder().method(method).uri(path);
    let request =
        request.header("authorization", format!("Bearer {token}")).body(Body::from(body.to_string()));
    let response = service.router().oneshot(request.unwrap()).await.unwrap();
    let status = response.status().as_u16();
    let body = response.into_body().collect().await.unwrap().to_bytes();
    (status, serde_json::from_slice(&body).unwrap())
}

pub(crate) fn body(container: &str, kind: &str, name: &str, content: &[u8]) -> Value {
    json!({"container": container, "kind": kind, "files": {name: STANDARD.encode(content)}})
}

#[tokio::test]
async fn a_declared_output_is_stored() {
    let cluster = cluster();
    let good = body("main", "Secret", "tls.key", VALUE.as_bytes());
    let (status, answer) = put(&cluster, "task", "Cert", &good).await;
    assert_eq!((status, &answer["created"]), (200, &json!(true)), "{answer}");
    let (status, again) = put(&cluster, "task", "Cert", &good).await;
    assert_eq!((status, &again["created"], &again["pipe"]), (200, &json!(false), &answer["pipe"]));
    stored_once(&cluster);
    let pipe = &cluster.all("pipes")[0];
    assert_eq!((&pipe["spec"]["producer"]["pod"], &pipe["spec"]["size"]), (&json!("task"), &json!(20)));
    assert_eq!(cluster.all("secrets")[0]["data"], json!({"tls.key": STANDARD.encode(VALUE)}));
}

#[tokio::test]
async fn a_pod_that_is_being_deleted_can_only_store_its_outputs() {
    let cluster = cluster();
    cluster.delete_with_grace("/api/v1/namespaces/etl/pods/task");
    let good = body("main", "Secret", "tls.key", VALUE.as_bytes());
    let env = json!({"env": {}});
    let report = json!({"outcome": "Booted", "note": ""});
    for (method, path, body) in
        [("PUT", "/v1/env", &env), ("GET", "/v1/awaited/cert", &Value::Null), ("POST", "/v1/events", &report)]
    {
        let (status, answer) = ask(&cluster, "task", method, path, body).await;
        assert!(status == 403 && answer["code"] == "BL5102", "{method} {path}: {status} {answer}");
    }
    assert!(cluster.all("secrets").is_empty());
    let (status, answer) = put(&cluster, "task", "Cert", &good).await;
    assert_eq!((status, &answer["created"]), (200, &json!(true)), "{answer}");
    stored_once(&cluster);

    // Another pod with that name is not the pod of the token.
    let token = cluster.token("task");
    pod(&cluster, "other", &json!([]));
    cluster.recreate("/api/v1/namespaces/etl/pods/task");
    let (status, answer) = put(&cluster, &token, "Cert", &good).await;
    assert!(status == 403 && answer["code"] == "BL5102", "{answer}");
}

#[tokio::test]
async fn undeclared_outputs_and_invalid_content_are_refused_and_leave_nothing() {
    let cluster = cluster();
    let good = body("main", "Secret", "tls.key", VALUE.as_bytes());
    let secret = |name: &str, content: &[u8]| body("main", "Secret", name, content);
    for (token, key, body, status, code, detail) in [
        ("stranger", "Cert", good.clone(), 401, "BL5101", ""),
        ("task", "Theirs", good.clone(), 403, "BL5106", "\"Theirs\""),
        ("task", "cert", good.clone(), 403, "BL5106", "\"cert\""),
        ("task", "..%2FCert", good.clone(), 403, "BL5106", "\"../Cert\""),
        ("other", "Cert", good.clone(), 403, "BL5106", "\"Cert\""),
        ("task", "Cert", body("main", "ConfigMap", "a", VALUE.as_bytes()), 403, "BL5106", "ConfigMap"),
        ("task", "Cert", body("other", "Secret", "a", VALUE.as_bytes()), 403, "BL5106", "\"other\""),
        ("task", "Log", body("main", "ConfigMap", "a", VALUE.as_bytes()), 403, "BL5106", "\"main\""),
        ("task", "Cert", json!({"container": "main", "kind": "Pod", "files": {}}), 400, "BL5201", "`Pod`"),
        ("task", "Cert", json!({"container": "main", "kind": "Secret", "files": {}}), 422, "BL5205", ""),
        ("task", "Cert", secret("../a", VALUE.as_bytes()), 422, "BL5205", "\"../a\""),
        ("task", "Cert", secret("a", &vec![b'x'; 1 << 20]), 413, "BL5204", "1048577"),
        ("task", "Cert", secret("a", &vec![b'x'; 2 << 20]), 413, "BL5204", "2097152"),
    ] {
        let (given, answer) = put(&cluster, token, key, &body).await;
        let message = answer["message"].as_str().unwrap();
        assert!(
            given == status && answer["code"] == code && message.contains(detail),
            "not {status} {code} {detail:?}, but {given} {answer}"
        );
        assert!(!message.contains(VALUE), "{answer}");
    }
    assert!(cluster.all("pipes").is_empty() && cluster.all("secrets").is_empty());
}

#[tokio::test]
async fn unknown_fields_of_a_newer_sidecar_are_ignored() {
    let cluster = cluster();
    let mut newer = body("main", "Secret", "tls.key", VALUE.as_bytes());
    for field in ["namespace", "run", "object", "unknown"] {
        newer[field] = json!("kube-system");
    }
    let (status, answer) = put(&cluster, "task", "Cert", &newer).await;
    assert_eq!(status, 200, "{answer}");
    let pipe = &cluster.all("pipes")[0];
    assert_eq!(
        (&pipe["metadata"]["namespace"], &pipe["spec"]["producer"]["run"]),
        (&json!("etl"), &json!("r1"))
    );
    stored_once(&cluster);
}

#[tokio::test]
async fn configuration_that_the_webhook_did_not_sign_for_this_pod_is_refused() {
    let outputs = json!([{"key": "Cert", "kind": "Secret", "container": "main"}]);
    let good = signed("etl", "forged", &json!([sidecar(&outputs)]));
    let config = good["spec"]["initContainers"][0]["env"][0]["value"].as_str().unwrap().to_owned();
    let tampered = |from: &str, to: &str| {
        let mut pod = good.clone();
        assert!(config.contains(from), "{from} is not in {config}");
        pod["spec"]["initContainers"][0]["env"][0]["value"] = json!(config.replace(from, to));
        pod
    };
    let mut unsigned = good.clone();
    unsigned["spec"]["initContainers"][1]["env"].as_array_mut().unwrap().pop();
    let mut junk = good.clone();
    junk["spec"]["initContainers"][1]["env"][1]["value"] = json!("1700000000 AAAA etl/forged");
    let mut old_key = good.clone();
    let signature = good["spec"]["initContainers"][1]["env"][1]["value"].as_str().unwrap();
    old_key["spec"]["initContainers"][1]["env"][1]["value"] =
        json!(signature.replace("1700000000", "1600000000"));
    let mut copied = signed("etl", "another", &json!([sidecar(&outputs)]));
    copied["metadata"]["name"] = json!("forged");
    let mut second = good.clone();
    second["spec"]["initContainers"].as_array_mut().unwrap().insert(0, sidecar(&json!([])));
    for (name, pod) in [
        ("quota", tampered("\"quota\":{\"perRun\":5}", "\"quota\":{}")),
        ("time to live", tampered("\"timeToLiveSeconds\":3600", "\"timeToLiveSeconds\":99999999")),
        ("run", tampered("\"run\":\"r1\"", "\"run\":\"someone-elses\"")),
        ("task", tampered("\"task\":\"load\"", "\"task\":\"pay\"")),
        ("output", tampered("\"key\":\"Cert\"", "\"key\":\"Key\"")),
        ("a second sidecar", second),
        ("no signature", unsigned),
        ("an invalid signature", junk),
        ("a removed key", old_key),
        ("the signature of another pod", copied),
        ("another namespace", signed("other", "forged", &json!([sidecar(&outputs)]))),
    ] {
        let cluster = ApiServer::new();
        cluster.put("/api/v1/namespaces/etl/pods/forged", pod);
        for (method, path, body) in [
            ("PUT", "/v1/pipes/Cert", body("main", "Secret", "a", b"x")),
            ("PUT", "/v1/env", json!({"env": {}})),
            ("GET", "/v1/awaited/a", Value::Null),
            ("POST", "/v1/events", json!({"outcome": "Booted", "note": "x"})),
        ] {
            let (status, answer) = ask(&cluster, "forged", method, path, &body).await;
            assert!(status == 403 && answer["code"] == "BL5103", "{name}, {path}: {status} {answer}");
        }
        assert!(cluster.all("pipes").is_empty() && cluster.all("secrets").is_empty(), "{name}");
    }
    let cluster = ApiServer::new();
    cluster.put("/api/v1/namespaces/etl/pods/forged", good);
    assert_eq!(put(&cluster, "forged", "Cert", &body("main", "Secret", "a", b"x")).await.0, 200);
}
