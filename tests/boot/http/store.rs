//! Boot and the store: requests, retries, and the meaning of responses.

use serde_json::{Value, json};

use super::server::{Asked, Reply, Server, ca, ok, status};
use crate::support::{Container, Outcome, code, inline, spec};

const SECRET: &str = "bootlace-env-0123456789abcdef0123456789abcdef";

/// Boots `env` with a store; with `secret`, the task reads its env from a Secret.
fn boot(container: &Container, server: &Server, secret: bool, env: &Value) -> Outcome {
    std::fs::write(&container.args.store_token, "the-token\n").unwrap();
    let mut spec = spec(&[inline("settings", env, &json!({}))]);
    spec["store"] = json!({"url": server.url(), "ca": ca()});
    if secret {
        spec["envSecret"] = json!(SECRET);
    }
    container.boot_spec(&spec)
}

fn stored(created: bool, booted_before: bool) -> Reply {
    ok(json!({"secret": SECRET, "created": created, "bootedBefore": booted_before}).to_string())
}

/// A store that responds to a `PUT` with `put`, and accepts every Event.
fn store(put: impl Fn(usize) -> Reply + Send + Sync + 'static) -> Server {
    let puts = std::sync::atomic::AtomicUsize::new(0);
    Server::tls(move |asked, _| {
        if asked.line == "PUT /v1/env" {
            return put(puts.fetch_add(1, std::sync::atomic::Ordering::SeqCst));
        }
        status(204, &[], "")
    })
}

fn bodies(server: &Server, line: &str) -> Vec<Value> {
    let asked: Vec<Asked> = server.asked().into_iter().filter(|asked| asked.line == line).collect();
    for asked in &asked {
        assert!(asked.headers.contains(&"authorization: Bearer the-token".to_owned()), "{asked:?}");
    }
    asked.iter().map(|asked| serde_json::from_slice(&asked.body).unwrap()).collect()
}

#[test]
fn the_env_is_stored_and_reported_without_values() {
    let (container, server) = (Container::new(), store(|_| stored(true, false)));
    let log = boot(&container, &server, true, &json!({"TOKEN": "hunter2\n", "EMPTY": ""})).log();
    assert!(log.contains(&format!("{SECRET}: created")), "{log}");
    assert_eq!(bodies(&server, "PUT /v1/env"), [json!({"env": {"TOKEN": "aHVudGVyMgo=", "EMPTY": ""}})]);
    let [event] = bodies(&server, "POST /v1/events").try_into().unwrap();
    assert_eq!(event["outcome"], "Booted");
    let note = event["note"].as_str().unwrap();
    assert!(
        note.starts_with("booted: 2 variables, 0 files") && note.contains("BootProfile \"default\""),
        "{note}"
    );
    assert!(!note.contains("hunter2") && !log.contains("hunter2") && !log.contains("the-token"));
    // The hook verifies the env with it.
    assert_eq!(container.env()["TOKEN"], b"hunter2\n");
}

#[test]
fn the_env_is_only_stored_for_env_mode_secret() {
    let (container, server) = (Container::new(), store(|_| stored(true, false)));
    boot(&container, &server, false, &json!({"A": "1"})).log();
    assert!(bodies(&server, "PUT /v1/env").is_empty());
    assert_eq!(bodies(&server, "POST /v1/events").len(), 1);
}

/// A replica that is killed during a request may have created the Secret already; the next one finds it.
#[test]
fn lost_responses_are_retried_and_find_the_secret() {
    for first in [
        (|| Reply::Cut(b"{\"secret\":".to_vec())) as fn() -> Reply,
        || status(503, &["retry-after: 1"], r#"{"reason":"Unavailable","message":"try again"}"#),
        || status(500, &[], "no JSON"),
        || status(429, &[], ""),
        || status(408, &[], ""),
    ] {
        let server = store(move |before| if before == 0 { first() } else { stored(false, false) });
        let container = Container::new();
        let log = boot(&container, &server, true, &json!({"A": "1"})).log();
        assert!(log.contains("an earlier attempt"), "{log}");
        let puts = bodies(&server, "PUT /v1/env");
        assert!(puts.len() == 2 && puts[0] == puts[1], "{puts:?}");
    }
}

#[test]
fn a_repeated_boot_finds_its_secret() {
    let (container, server) = (Container::new(), store(|_| stored(false, true)));
    boot(&container, &server, true, &json!({"A": "1"})).log();
}

#[test]
fn a_secret_of_another_pod_is_not_used() {
    let (container, server) = (Container::new(), store(|_| stored(false, false)));
    let (exit_code, message) = boot(&container, &server, true, &json!({"A": "1"})).failure();
    assert_eq!((exit_code, code(&message)), (69, "BL2404"), "{message}");
    assert!(!container.at("env/environ").exists());
}

#[test]
fn a_refusal_is_final_and_reported() {
    let refusal = r#"{"reason":"Forbidden","message":"the pod's annotation names no Secret\nand more"}"#;
    let (container, server) = (Container::new(), store(move |_| status(403, &[], refusal)));
    let (exit_code, message) = boot(&container, &server, true, &json!({"A": "hunter2"})).failure();
    assert_eq!((exit_code, code(&message)), (69, "BL5005"));
    assert!(message.contains("the pod's annotation names no Secret and more"), "{message}");
    assert_eq!(bodies(&server, "PUT /v1/env").len(), 1);
    let [event] = bodies(&server, "POST /v1/events").try_into().unwrap();
    assert_eq!(event["outcome"], "Failed");
    assert_eq!(event["note"].as_str().unwrap(), message.strip_prefix("bootlace: ").unwrap());
    assert!(!container.at("env/environ").exists());
}

#[test]
fn invalid_content_of_a_secret_is_refused_before_any_request() {
    let long = "N".repeat(300);
    let big: serde_json::Map<_, _> = (0..11).map(|n| (format!("V{n}"), json!("x".repeat(100_000)))).collect();
    for (env, expected) in [(json!({&long: "hunter2"}), "BL2402"), (Value::Object(big), "BL2403")] {
        let (container, server) = (Container::new(), store(|_| stored(true, false)));
        let (exit_code, message) = boot(&container, &server, true, &env).failure();
        assert_eq!((exit_code, code(&message)), (65, expected));
        assert!(!message.contains("hunter2"), "{message}");
        assert!(bodies(&server, "PUT /v1/env").is_empty());
    }
}

#[test]
fn values_that_are_not_utf8_are_reported_with_their_source() {
    let (container, server) = (Container::new(), store(|_| stored(true, false)));
    std::fs::write(&container.args.store_token, "the-token").unwrap();
    let login = container.mount("login", [("PASSWORD", &b"hunter2\xff"[..])]);
    let mut spec = spec(&[crate::support::mounted("login", "Secret", &login, &json!({"into": "Env"}))]);
    spec["store"] = json!({"url": server.url(), "ca": ca()});
    spec["envSecret"] = json!(SECRET);
    let (exit_code, message) = container.boot_spec(&spec).failure();
    assert_eq!((exit_code, code(&message)), (65, "BL2402"));
    assert!(message.contains("variable \"PASSWORD\" of source \"login\" "), "{message}");
}

#[test]
fn an_untrusted_store_gets_no_token_and_does_not_fail_the_boot() {
    let (container, server) = (Container::new(), Server::expired());
    let log = boot(&container, &server, false, &json!({"A": "1"})).log();
    assert!(log.contains("Event: ") && log.contains("certificate"), "{log}");
    assert!(server.asked().is_empty());
}

#[test]
fn a_missing_token_is_named() {
    let (container, server) = (Container::new(), store(|_| stored(true, false)));
    let mut spec = spec(&[]);
    spec["store"] = json!({"url": server.url(), "ca": ca()});
    spec["envSecret"] = json!(SECRET);
    let (exit_code, message) = container.boot_spec(&spec).failure();
    assert_eq!((exit_code, code(&message)), (69, "BL5002"));
    assert!(message.contains("store-token"), "{message}");
}
