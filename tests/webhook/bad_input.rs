//! Every request gets a well-formed response, with the UID if there is one, and with a remedy.

use bootlace::server::listener::Limits;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use crate::client::post;
use crate::harness::{REVIEW, UID, Webhook, response, within};

fn review() -> Value {
    serde_json::from_str(REVIEW).unwrap()
}

/// The review with a changed value.
fn with(pointer: &str, value: Value) -> Vec<u8> {
    let mut review = review();
    *review.pointer_mut(pointer).unwrap() = value;
    serde_json::to_vec(&review).unwrap()
}

fn with_annotations(annotations: Value) -> Vec<u8> {
    with("/request/object/metadata/annotations", annotations)
}

fn without(object: &str, field: &str) -> Vec<u8> {
    let mut review = review();
    review.pointer_mut(object).unwrap().as_object_mut().unwrap().remove(field).unwrap();
    serde_json::to_vec(&review).unwrap()
}

#[tokio::test]
async fn a_valid_review_gets_a_patch() {
    let webhook = Webhook::start().await;
    let response = response(&webhook.connect().await.review(REVIEW.as_bytes()).await.unwrap());
    assert_eq!((&response["uid"], &response["allowed"]), (&json!(UID), &json!(true)));
    assert_eq!(response["patchType"], "JSONPatch");
    assert!(webhook.metric(r#"bootlace_reviews_total{outcome="injected",reason=""}"#) == 1.0);
    assert!(webhook.metric(r#"bootlace_profile_reviews_total{profile="default",outcome="injected"}"#) == 1.0);
}

/// All on one connection, which none of them may close.
#[tokio::test]
async fn every_bad_body_gets_a_message() {
    let webhook = Webhook::start().await;
    let mut connection = webhook.connect().await;
    let deep = "/request/object/spec/containers/0/env/3/name";
    let five_mebibytes =
        with("/request/object/metadata/annotations", json!({"a": "x".repeat(5 * 1024 * 1024)}));
    let cut = REVIEW.find("\"containers\"").unwrap();
    let cases: Vec<(&str, Vec<u8>, &str, &str)> = vec![
        ("an empty body", vec![], "", "body is empty"),
        ("no JSON", b"\xff\xfe nonsense".to_vec(), "", "send valid JSON"),
        ("no uid", without("/request", "uid"), "", "request.uid"),
        ("a truncated object", REVIEW.as_bytes()[..cut].to_vec(), UID, "send valid JSON"),
        ("a pod that is a list", with("/request/object", json!([1])), UID, "must be an object"),
        ("a wrong type deep inside", with(deep, json!({"a": [1]})), UID, "spec.containers[0].env[3].name"),
        (
            "containers that are text",
            with("/request/object/spec/containers", json!("base")),
            UID,
            "spec.containers",
        ),
        ("5 MiB", five_mebibytes, UID, "4 MiB"),
        ("annotations that are a list", with_annotations(json!(["a"])), UID, "metadata.annotations"),
        (
            "an annotation that is a number",
            with_annotations(json!({"bootlace.dev/containers": 1})),
            UID,
            "metadata.annotations",
        ),
        (
            "an annotation that names nobody",
            with_annotations(json!({"bootlace.dev/containers": "nobody"})),
            UID,
            "nobody",
        ),
        (
            "a profile that is not there",
            with("/request/object/metadata/labels", json!({"bootlace.dev/task": "other"})),
            UID,
            "\"default\"",
        ),
    ];
    for (what, body, uid, hint) in cases {
        let reply =
            within(what, connection.review(&body)).await.unwrap_or_else(|error| panic!("{what}: {error}"));
        assert!(!reply.closes(), "{what} cost the connection");
        let response = response(&reply);
        let message = response["status"]["message"].as_str().unwrap_or_default();
        assert_eq!(
            (&response["uid"], &response["allowed"]),
            (&json!(uid), &json!(false)),
            "{what}: {message}"
        );
        assert!(message.contains(hint), "{what}: {message}");
    }
    assert!(webhook.metric("bootlace_reviews_in_flight") == 0.0);
}

#[tokio::test]
async fn other_requests_are_allowed_with_a_warning() {
    let webhook = Webhook::start().await;
    let mut connection = webhook.connect().await;
    for (pointer, value) in [
        ("/request/kind", json!({"group": "batch", "version": "v1", "kind": "Job"})),
        ("/request/operation", json!("UPDATE")),
    ] {
        let response = response(&connection.review(&with(pointer, value)).await.unwrap());
        assert_eq!((&response["uid"], &response["allowed"]), (&json!(UID), &json!(true)));
        assert!(
            response["warnings"][0].as_str().unwrap().contains("MutatingWebhookConfiguration"),
            "{response}"
        );
    }
}

#[tokio::test]
async fn a_body_in_chunks_is_read_like_any_other() {
    let webhook = Webhook::start().await;
    let mut connection = webhook.connect().await;
    connection
        .send(b"POST /mutate HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n")
        .await
        .unwrap();
    for chunk in REVIEW.as_bytes().chunks(700) {
        connection
            .send(&[format!("{:x}\r\n", chunk.len()).as_bytes(), chunk, b"\r\n"].concat())
            .await
            .unwrap();
    }
    connection.send(b"0\r\n\r\n").await.unwrap();
    assert_eq!(response(&within("the answer", connection.reply()).await.unwrap())["patchType"], "JSONPatch");
}

#[tokio::test]
async fn other_methods_and_paths_get_a_hint() {
    let webhook = Webhook::start().await;
    let mut connection = webhook.connect().await;
    for (request, status, hint) in [
        ("GET /mutate", 405, "POST"),
        ("DELETE /mutate", 405, "POST"),
        ("GET /", 404, "/mutate"),
        ("POST /validate", 404, "/mutate"),
    ] {
        let request = format!("{request} HTTP/1.1\r\nHost: localhost\r\nContent-Length: 0\r\n\r\n");
        connection.send(request.as_bytes()).await.unwrap();
        let reply = within("the answer", connection.reply()).await.unwrap();
        assert_eq!(reply.status, status, "{request}");
        assert!(String::from_utf8_lossy(&reply.body).contains(hint), "{request}");
    }
}

#[tokio::test]
async fn plain_http_gets_a_hint() {
    let webhook = Webhook::start().await;
    let mut stream = TcpStream::connect(webhook.address).await.unwrap();
    stream.write_all(&post(REVIEW.as_bytes())).await.unwrap();
    let mut reply = String::new();
    within("the answer", stream.read_to_string(&mut reply)).await.unwrap();
    assert!(reply.starts_with("HTTP/1.1 400 ") && reply.contains("https://"), "{reply}");
    drop(stream);
    crate::harness::until("the failure to be counted", async || {
        webhook.metric(r#"bootlace_handshake_failures_total{reason="plaintext"}"#) == 1.0
    })
    .await;
}

#[tokio::test]
async fn before_the_first_list_the_api_server_is_asked_to_retry() {
    let webhook = Webhook::start_without_profiles(Limits::default()).await;
    let reply = webhook.connect().await.review(REVIEW.as_bytes()).await.unwrap();
    assert_eq!(reply.status, 503);
    assert!(reply.head.to_ascii_lowercase().contains("\r\nretry-after: 1\r\n"), "{}", reply.head);
}
