//! Polling the store until the output is stored.

use std::process::Command;

use serde_json::json;

use crate::container::{Container, Ended, OBJECT, config, events, not_yet, store, stored};
use crate::server::{Reply, ok, status};

/// Fails with this exit code, this code and a message that contains `part`, in the log and in the termination
/// message.
#[track_caller]
fn failed(ended: &Ended, exit_code: i32, code: &str, part: &str) {
    let Ended { status, log, message } = ended;
    assert!(status.code() == Some(exit_code) && message.contains(part), "{status}: {message}\n{log}");
    assert!(message.ends_with(&format!(" [{code}]")), "{message}");
    assert!(message.starts_with("bootlace: ") && log.lines().last() == Some(&**message), "{log}");
}

#[test]
fn the_store_is_polled_until_the_output_is_stored() {
    let server = store(|number| match number {
        0 => status(503, &[], r#"{"reason":"Unavailable","message":"try again"}"#),
        1 => Reply::Cut(b"{".to_vec()),
        2 | 3 => not_yet(),
        _ => stored(&["tls.crt"]),
    });
    let ended = Container::new().run(Some(&config(&server, 60, &json!({"files": ["tls.crt"]}))), false);
    assert!(ended.status.success() && ended.message.is_empty(), "{}", ended.log);
    assert!(ended.log.contains("pipe Cert by task gencert of shop, run r1"), "{}", ended.log);
    assert!(events(&server).is_empty());
    for asked in server.asked() {
        assert!(asked.headers.contains(&"authorization: Bearer the-token".to_owned()), "{asked:?}");
        assert!(asked.line == format!("GET /v1/awaited/{OBJECT}") && asked.body.is_empty(), "{asked:?}");
    }
}

#[test]
fn a_timeout_names_the_pipe_and_the_task() {
    let server = store(|_| not_yet());
    let ended = Container::new().run(Some(&config(&server, 1, &json!({}))), false);
    let part = "pipe Cert by task gencert of shop, run r1 was not stored within 1 s (stored so far: Log)";
    failed(&ended, 75, "BL3101", part);
    let note = ended.message.strip_prefix("bootlace: ").unwrap();
    assert_eq!(events(&server), [json!({"outcome": "WaitFailed", "note": note})]);
}

#[test]
fn an_output_that_is_never_stored_fails_the_wait_immediately() {
    let server = store(|_| ok(r#"{"state":"Never","why":"add awaited: true to its entry"}"#));
    let ended = Container::new().run(Some(&config(&server, 3600, &json!({}))), false);
    failed(&ended, 69, "BL3102", "pipe Cert by task gencert of shop, run r1: add awaited: true to its entry");
    assert_eq!(events(&server).len(), 1);
    let server =
        store(|_| status(403, &[], r#"{"reason":"Forbidden","message":"the pod does not wait for it"}"#));
    failed(
        &Container::new().run(Some(&config(&server, 3600, &json!({}))), false),
        69,
        "BL5005",
        "the pod does not wait for it",
    );
    // The kubelet would wait forever for the file.
    let server = store(|_| stored(&["tls.crt", "tls.key"]));
    let ended =
        Container::new().run(Some(&config(&server, 3600, &json!({"files": ["tls.crt", "ca.crt"]}))), false);
    failed(&ended, 69, "BL3103", "\"ca.crt\", only tls.crt, tls.key");
}

#[test]
fn a_missing_or_invalid_configuration_fails_the_wait() {
    let container = Container::new();
    failed(&container.run(None, false), 64, "BL3001", "BOOTLACE_WAIT");
    let server = store(|_| stored(&["a"]));
    let unreadable = config(&server, 9, &json!({"seconds": "soon"}));
    failed(&container.run(Some(&unreadable), false), 64, "BL3002", "a value of the wrong type");
    assert!(server.asked().is_empty());
    // A later version of the webhook may add fields.
    let later = config(&server, 9, &json!({"newer": 1}));
    assert_eq!(Container::new().run(Some(&later), false).status.code(), Some(0));
}

#[test]
fn a_pod_that_is_deleted_stops_waiting() {
    let container = Container::new();
    let server = store(|_| not_yet());
    let child = container.start(Some(&config(&server, 3600, &json!({}))), false);
    // The signal handler is installed before the first request.
    while server.asked().is_empty() {
        std::thread::yield_now();
    }
    assert!(Command::new("kill").arg(child.id().to_string()).status().unwrap().success());
    failed(&container.end(child), 75, "BL3004", "");
}
