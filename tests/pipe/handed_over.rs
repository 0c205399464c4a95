//! Outputs that launchers copy to the handover folder.

use bootlace_launch::handover::{Attempt, StoreResult};
use serde_json::json;

use crate::server::{Reply, Server, ok, status};
use crate::sidecar::{Container, bodies, hand_over, result, store, stored, until};

fn declared() -> serde_json::Value {
    json!([{"key": "Cert", "kind": "Secret", "container": "base"}])
}

/// The message of the result, which is a failure with this code.
#[track_caller]
fn failure(attempt: &Attempt, code: &str) -> String {
    let StoreResult::Failed(message) = result(attempt) else { panic!("it is stored") };
    assert!(message.as_str().ends_with(&format!(" [{code}]")), "{message}");
    message.to_string()
}

#[test]
fn an_output_is_stored_byte_for_byte_and_the_launcher_gets_the_result() {
    let (container, server) = (Container::new(), store(|_, _| stored()));
    let sidecar = container.start(Some(&Container::config(&server, &declared()).to_string()));
    let attempt = container.begin("base");
    hand_over(&attempt, "Cert", "tls.key", b"hunter2\n\xff\0");
    assert_eq!(result(&attempt), StoreResult::Stored);
    let asked = server.asked();
    assert_eq!(asked[0].line, "PUT /v1/pipes/Cert");
    let expected = json!({"container": "base", "kind": "Secret", "files": {"tls.key": "aHVudGVyMgr/AA=="}});
    assert_eq!(bodies(&server, "PUT"), [expected]);
    let (status, log) = sidecar.end();
    assert_eq!(status.code(), Some(0));
    assert!(log.contains("stored") && !log.contains("hunter2") && !log.contains("the-token"), "{log}");
}

#[test]
fn a_refusal_is_the_result_for_the_launcher_and_an_event_and_the_sidecar_exits_with_0() {
    let body = r#"{"reason":"QuotaExceeded","message":"this run already has 2 Pipes","code":"BL5303"}"#;
    let (container, server) = (Container::new(), store(move |_, _| status(403, &[], body)));
    let sidecar = container.start(Some(&Container::config(&server, &declared()).to_string()));
    let attempt = container.begin("base");
    hand_over(&attempt, "Cert", "tls.key", b"hunter2");
    let message = failure(&attempt, "BL5303");
    assert!(
        message.starts_with("output \"Cert\": ") && message.contains("this run already has 2 Pipes"),
        "{message}"
    );
    let event = until("there is no Event", || bodies(&server, "POST /v1/events").pop());
    assert_eq!(event, json!({"outcome": "OutputsNotStored", "note": format!("container base: {message}")}));
    assert_eq!(bodies(&server, "PUT").len(), 1);
    assert_eq!(sidecar.end().0.code(), Some(0));
}

#[test]
fn a_temporary_failure_of_the_store_is_retried() {
    let server = store(|_, before| match before {
        0 => Reply::Cut(b"{\"pipe\":".to_vec()),
        1 => status(503, &[], r#"{"reason":"Unavailable","message":"try again"}"#),
        _ => stored(),
    });
    let container = Container::new();
    let sidecar = container.start(Some(&Container::config(&server, &declared()).to_string()));
    let attempt = container.begin("base");
    hand_over(&attempt, "Cert", "tls.key", b"x");
    assert_eq!(result(&attempt), StoreResult::Stored);
    let bodies = bodies(&server, "PUT");
    assert!(bodies.len() == 3 && bodies.iter().all(|body| *body == bodies[0]), "{bodies:?}");
    drop(sidecar);
}

#[test]
fn a_store_that_does_not_respond_is_an_error_at_the_deadline() {
    let (container, server) = (Container::new(), store(|_, _| Reply::Never));
    let mut config = Container::config(&server, &declared());
    config["deadlineSeconds"] = json!(1);
    let sidecar = container.start(Some(&config.to_string()));
    let attempt = container.begin("base");
    hand_over(&attempt, "Cert", "tls.key", b"x");
    assert!(failure(&attempt, "BL5003").contains(" 1 s "));
    assert_eq!(sidecar.end().0.code(), Some(0));
}

#[test]
fn a_store_that_stays_unavailable_is_an_error_with_its_code_at_the_deadline() {
    let body = r#"{"reason":"Unavailable","message":"the key is unknown","code":"BL5104"}"#;
    let (container, server) = (Container::new(), store(move |_, _| status(503, &[], body)));
    let mut config = Container::config(&server, &declared());
    config["deadlineSeconds"] = json!(1);
    let sidecar = container.start(Some(&config.to_string()));
    let attempt = container.begin("base");
    hand_over(&attempt, "Cert", "tls.key", b"x");
    assert!(failure(&attempt, "BL5104").contains("the key is unknown"));
    drop(sidecar);
}

#[test]
fn an_output_from_before_the_signal_is_stored_after_it() {
    let (container, server) = (Container::new(), store(|_, _| stored()));
    let attempt = container.begin("base");
    let sidecar = container.start(Some(&Container::config(&server, &declared()).to_string()));
    hand_over(&attempt, "Cert", "tls.key", b"x");
    assert_eq!(sidecar.end().0.code(), Some(0));
    assert_eq!(attempt.result().unwrap(), Some(StoreResult::Stored));
}

#[test]
fn a_store_with_an_untrusted_certificate_gets_no_request() {
    let (container, server) = (Container::new(), Server::expired());
    let mut config = Container::config(&server, &declared());
    config["deadlineSeconds"] = json!(1);
    let sidecar = container.start(Some(&config.to_string()));
    let attempt = container.begin("base");
    hand_over(&attempt, "Cert", "tls.key", b"x");
    assert!(failure(&attempt, "BL5003").contains("certificate"));
    assert!(server.asked().is_empty());
    drop(sidecar);
}

#[test]
fn a_sidecar_with_an_invalid_configuration_reports_it_and_continues_to_run() {
    let (container, server) = (Container::new(), store(|_, _| ok("")));
    let mut config = Container::config(&server, &declared());
    config["store"]["ca"] = json!("-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n");
    let sidecar = container.start(Some(&config.to_string()));
    let attempt = container.begin("base");
    hand_over(&attempt, "Cert", "tls.key", b"x");
    failure(&attempt, "BL5001");
    assert_eq!(sidecar.end().0.code(), Some(0));

    // Without a valid configuration there is no launcher to report to, so only the log has the error.
    for config in [None, Some(r#"{"newer":1}"#)] {
        let mut sidecar = container.start(config);
        let begun = std::time::Instant::now();
        until("it does not run on", || {
            assert!(!sidecar.has_ended());
            (begun.elapsed() > std::time::Duration::from_millis(300)).then_some(())
        });
        let (status, log) = sidecar.end();
        assert_eq!(status.code(), Some(0));
        assert!(log.contains("BOOTLACE_PIPES") && log.trim_end().ends_with("[BL4001]"), "{log}");
    }
}

#[test]
fn the_largest_output_needs_little_memory() {
    let (container, server) = (Container::new(), store(|_, _| stored()));
    let sidecar = container.start(Some(&Container::config(&server, &declared()).to_string()));
    let attempt = container.begin("base");
    hand_over(&attempt, "Cert", "file", &vec![b'x'; (1 << 20) - 4]);
    assert_eq!(result(&attempt), StoreResult::Stored);
    // The mapped binary is not counted, because this is not the released one.
    let anonymous = sidecar.memory();
    assert!(anonymous < 8 * 1024, "{anonymous} KiB");

    let attempt = container.begin("base");
    hand_over(&attempt, "Cert", "file", &vec![b'x'; (1 << 20) - 3]);
    assert!(failure(&attempt, "BL4104").contains("1048577"));
    assert_eq!(bodies(&server, "PUT").len(), 1);
}
