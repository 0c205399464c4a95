//! Boot and the store: what is asked, how often, and what its answers mean.

use serde_json::{Value, json};

use super::server::{Asked, Reply, Server, ca, ok, status};
use crate::support::{Container, Outcome, inline, spec};

const SECRET: &str = "bootlace-env-0123456789abcdef0123456789abcdef";

/// Boots `env` with a store; where `secret`, the task takes its env from there.
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

/// A store that answers a `PUT` as it is told and takes every Event.
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
fn the_env_goes_to_the_store_and_an_event_tells_of_it_without_values() {
    let (container, server) = (Container::new(), store(|_| stored(true, false)));
    let log = boot(&container, &server, true, &json!({"TOKEN": "hunter2\n", "EMPTY": ""})).log();
    assert!(log.contains(&format!("env in Secret {SECRET}: created")), "{log}");
    assert_eq!(bodies(&server, "PUT /v1/env"), [json!({"env": {"TOKEN": "aHVudGVyMgo=", "EMPTY": ""}})]);
    let [event] = bodies(&server, "POST /v1/events").try_into().unwrap();
    assert_eq!(event["outcome"], "Booted");
    let note = event["note"].as_str().unwrap();
    assert!(
        note.starts_with("booted: 2 variables, 0 files") && note.contains("BootProfile \"default\""),
        "{note}"
    );
    assert!(!note.contains("hunter2") && !log.contains("hunter2") && !log.contains("the-token"));
    // The hook proves by this that it arrived.
    assert_eq!(container.env()["TOKEN"], b"hunter2\n");
}

#[test]
fn a_task_that_takes_its_env_otherwise_has_nothing_stored() {
    let (container, server) = (Container::new(), store(|_| stored(true, false)));
    boot(&container, &server, false, &json!({"A": "1"})).log();
    assert!(bodies(&server, "PUT /v1/env").is_empty());
    assert_eq!(bodies(&server, "POST /v1/events").len(), 1);
}

/// A replica that is killed in the middle of a request may have had the Secret made: the next one finds it.
#[test]
fn what_gets_no_answer_is_asked_again_and_found_there() {
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
        assert!(log.contains("made by an earlier attempt, whose values stay"), "{log}");
        let puts = bodies(&server, "PUT /v1/env");
        assert!(puts.len() == 2 && puts[0] == puts[1], "{puts:?}");
    }
}

#[test]
fn a_boot_that_runs_again_finds_what_it_had_stored() {
    let (container, server) = (Container::new(), store(|_| stored(false, true)));
    boot(&container, &server, true, &json!({"A": "1"})).log();
}

#[test]
fn a_secret_that_somebody_else_made_is_not_taken_for_ones_own() {
    let (container, server) = (Container::new(), store(|_| stored(false, false)));
    let (code, sentence) = boot(&container, &server, true, &json!({"A": "1"})).failure();
    assert_eq!(code, 69);
    assert!(sentence.contains("is there already, and this pod did not have it made"), "{sentence}");
    assert!(!container.at("env/environ").exists());
}

#[test]
fn a_refusal_is_final_and_the_failure_is_told() {
    let said = r#"{"reason":"Forbidden","message":"the pod's annotation names no Secret\nand more"}"#;
    let (container, server) = (Container::new(), store(move |_| status(403, &[], said)));
    let (code, sentence) = boot(&container, &server, true, &json!({"A": "hunter2"})).failure();
    assert_eq!(code, 69);
    assert!(
        sentence.contains("refused the request: the pod's annotation names no Secret and more"),
        "{sentence}"
    );
    assert_eq!(bodies(&server, "PUT /v1/env").len(), 1);
    let [event] = bodies(&server, "POST /v1/events").try_into().unwrap();
    assert_eq!(event["outcome"], "Failed");
    assert_eq!(event["note"].as_str().unwrap(), sentence.strip_prefix("bootlace: ").unwrap());
    assert!(!container.at("env/environ").exists());
}

#[test]
fn what_no_secret_can_hold_is_named_before_anybody_is_asked() {
    let long = "N".repeat(300);
    let big: serde_json::Map<_, _> = (0..11).map(|n| (format!("V{n}"), json!("x".repeat(100_000)))).collect();
    for (env, hint) in [
        (json!({&long: "hunter2"}), "has a name that no key of a Secret can have"),
        (Value::Object(big), "which holds 1048576 at most: give large values as files"),
    ] {
        let (container, server) = (Container::new(), store(|_| stored(true, false)));
        let (code, sentence) = boot(&container, &server, true, &env).failure();
        assert_eq!(code, 65);
        assert!(sentence.contains(hint) && !sentence.contains("hunter2"), "{sentence}");
        assert!(bodies(&server, "PUT /v1/env").is_empty());
    }
}

#[test]
fn bytes_that_are_no_text_are_named_with_their_source() {
    let (container, server) = (Container::new(), store(|_| stored(true, false)));
    std::fs::write(&container.args.store_token, "the-token").unwrap();
    let login = container.mount("login", [("PASSWORD", &b"hunter2\xff"[..])]);
    let mut spec = spec(&[crate::support::mounted("login", "Secret", &login, &json!({"into": "Env"}))]);
    spec["store"] = json!({"url": server.url(), "ca": ca()});
    spec["envSecret"] = json!(SECRET);
    let (code, sentence) = container.boot_spec(&spec).failure();
    assert_eq!(code, 65);
    assert!(sentence.contains("variable \"PASSWORD\" of source \"login\" is no text in UTF-8"), "{sentence}");
}

#[test]
fn a_store_that_is_not_to_be_trusted_gets_no_token_and_fails_no_boot() {
    let (container, server) = (Container::new(), Server::expired());
    let log = boot(&container, &server, false, &json!({"A": "1"})).log();
    assert!(log.contains("no Event tells of this boot: ") && log.contains("certificate"), "{log}");
    assert!(server.asked().is_empty());
}

#[test]
fn a_token_that_is_not_there_is_named() {
    let (container, server) = (Container::new(), store(|_| stored(true, false)));
    let mut spec = spec(&[]);
    spec["store"] = json!({"url": server.url(), "ca": ca()});
    spec["envSecret"] = json!(SECRET);
    let (code, sentence) = container.boot_spec(&spec).failure();
    assert_eq!(code, 69);
    assert!(sentence.contains("failed to read the token for the store from"), "{sentence}");
}
