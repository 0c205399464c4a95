//! Boots with the recorded responses of Vault, and with servers that fail.

use std::time::{Duration, Instant};

use serde_json::{Value, json};

use super::recorded::{answer, serving, vault};
use super::{Target, boot, certificate, secret, shared};
use crate::http::server::{Asked, Reply, Server, ok, status};
use crate::support::{code, spec};

#[test]
fn each_engine_becomes_env_and_files() {
    shared::each_engine_becomes_env_and_files(&vault().1);
}

#[test]
fn a_key_that_is_null_is_left_out() {
    shared::a_key_that_is_null_is_left_out(&vault().1);
}

#[test]
fn an_error_names_what_to_change() {
    shared::an_error_names_what_to_change(&vault().1);
}

#[test]
fn a_lease_that_ends_before_the_task_is_a_warning() {
    shared::a_lease_that_ends_before_the_task_is_a_warning(&vault().1);
}

const LOGIN: &str = "POST /v1/auth/jwt/login";
const READ: &str = "GET /v1/secret/data/etl/warehouse";
const ISSUE: &str = "POST /v1/pki/issue/tasks";
const REVOKE: &str = "POST /v1/auth/token/revoke-self";

fn warehouse() -> Value {
    secret("etl/warehouse", &json!({}))
}

fn lines(server: &Server) -> Vec<String> {
    server.asked().into_iter().map(|asked| asked.line).collect()
}

#[test]
fn the_token_is_revoked_unless_a_lease_was_granted_with_it() {
    let (server, target) = vault();
    target.boot(&target.container(), &[warehouse()], &json!({}));
    assert_eq!(lines(&server), [LOGIN, READ, REVOKE]);

    let (server, target) = vault();
    target.boot(&target.container(), &[certificate("load.example.com"), warehouse()], &json!({}));
    assert_eq!(lines(&server), [LOGIN, ISSUE, READ]);

    // The task does not start, so it needs no lease.
    let (server, target) = vault();
    target.failure(&[certificate("load.example.com"), secret("denied", &json!({}))], &json!({}));
    assert_eq!(lines(&server), [LOGIN, ISSUE, "GET /v1/secret/data/denied", REVOKE]);
}

#[test]
fn a_token_that_cannot_be_revoked_does_not_fail_the_task() {
    let refuse = |asked: &Asked| {
        (asked.line == REVOKE).then(|| status(403, &[], r#"{"errors":["permission denied"]}"#))
    };
    let (_server, target) = serving(move |asked, _| refuse(asked).unwrap_or_else(|| answer(asked)));
    let log = target.boot(&target.container(), &[warehouse()], &json!({}));
    let parts = [
        "warning: failed to revoke the token of the login: ",
        "403 Forbidden (\"permission denied\"): let a policy of the role allow update of auth/token/revoke-self",
    ];
    assert!(parts.iter().all(|part| log.contains(part)), "{log}");

    // A batch token has no entry in the storage of Vault.
    let batch = json!({"auth": {"client_token": "hvs.batch", "token_type": "batch", "lease_duration": 60}});
    let (server, target) =
        serving(move |asked, _| if asked.line == LOGIN { ok(batch.to_string()) } else { answer(asked) });
    let log = target.boot(&target.container(), &[warehouse()], &json!({}));
    assert_eq!(lines(&server), [LOGIN, READ]);
    assert!(!log.contains("warning"), "{log}");
}

/// A lease ends with the token, which boot cannot renew after its end.
#[test]
fn a_token_that_ends_before_its_lease_is_a_warning() {
    let short = json!({"auth": {"client_token": "hvs.short", "token_type": "service", "lease_duration": 90}});
    let (_server, target) =
        serving(move |asked, _| if asked.line == LOGIN { ok(short.to_string()) } else { answer(asked) });
    let log = target.boot(&target.container(), &[certificate("load.example.com")], &json!({}));
    let part = "the lease of pki/issue/tasks ends after 90 s, with the token of the login, but the task can need it for 3600 s";
    assert!(log.contains(part) && log.contains("raise token_ttl of the role in Vault"), "{log}");
}

#[test]
fn namespace_and_token_are_headers_and_the_login_is_json() {
    let (server, target) = vault();
    let more = json!({"namespace": "teams/etl"});
    target.boot(&target.container(), &[warehouse()], &more);
    for asked in server.asked() {
        assert!(asked.headers.contains(&"x-vault-namespace: teams/etl".to_owned()), "{asked:?}");
    }
    let login = &server.asked()[0];
    let body: Value = serde_json::from_slice(&login.body).unwrap();
    assert_eq!(body, json!({"role": "etl", "jwt": target.jwt}));
    assert!(!login.headers.iter().any(|line| line.starts_with("authorization")), "{login:?}");
}

#[test]
fn temporary_errors_are_retried() {
    for (first, what) in [
        ((|| status(503, &[], r#"{"errors":["Vault is sealed"]}"#)) as fn() -> Reply, "sealed"),
        (|| status(412, &[], r#"{"errors":["required index state not present"]}"#), "not yet replicated"),
        (|| status(429, &["Retry-After: 0"], r#"{"errors":["rate limit"]}"#), "a rate limit"),
        (|| status(500, &[], "no JSON"), "an error"),
        (|| Reply::Cut(b"{".to_vec()), "half a response"),
    ] {
        // The first request and the third fail once: the login and the read.
        let (server, target) =
            serving(move |asked, before| if before % 2 == 0 { first() } else { answer(asked) });
        let client = json!({"client": {"ca": {"configMap": "company-ca"}, "attempts": 2}});
        target.boot(&target.container(), &[warehouse()], &client);
        assert_eq!(lines(&server), [LOGIN, LOGIN, READ, READ, REVOKE, REVOKE], "{what}");
    }
}

#[test]
fn errors_that_stay_have_their_own_codes() {
    let sealed = || status(503, &[], r#"{"errors":["Vault is sealed"]}"#);
    let stale = || status(412, &[], r#"{"errors":["required index state not present"]}"#);
    for (reply, exit_code, expected, part) in [
        (
            sealed as fn() -> Reply,
            75,
            "BL2205",
            "503 Service Unavailable (\"Vault is sealed\"): unseal Vault, or check that it has an active node (2 attempts)",
        ),
        (stale, 75, "BL2205", "412 Precondition Failed (\"required index state not present\")"),
        (|| ok("<html>"), 65, "BL2302", "the response is not JSON"),
        (|| ok(r#"{"auth":null}"#), 65, "BL2302", "the response to the login contains no token"),
    ] {
        let (_server, target) = serving(move |_, _| reply());
        let client = json!({"client": {"ca": {"configMap": "company-ca"}, "attempts": 2}});
        let (found, message) = target.failure(&[warehouse()], &client);
        assert_eq!((found, code(&message)), (exit_code, expected), "{message}");
        assert!(message.contains(part), "{message}");
    }
}

/// A standby node that cannot forward a request redirects to the address of the active one.
#[test]
fn a_redirect_gets_no_token() {
    let active = Server::tls(|_, _| ok("{}"));
    for step in [LOGIN, READ] {
        let location = format!("Location: {}/v1/anything", active.url());
        let (server, target) =
            serving(
                move |asked, _| {
                    if asked.line == step { status(307, &[&location], "") } else { answer(asked) }
                },
            );
        let (exit_code, message) = target.failure(&[warehouse()], &json!({}));
        assert_eq!((exit_code, code(&message)), (69, "BL2206"), "{message}");
        let part = format!(
            "redirect to {} refused: boot sends its token only to the address in the profile",
            active.url()
        );
        assert!(
            message.contains(&part) && message.contains("set vault.address to the active node"),
            "{message}"
        );
        assert!(lines(&server).contains(&step.to_owned()));
    }
    assert!(active.asked().is_empty(), "{:?}", active.asked());
}

#[test]
fn a_server_that_does_not_respond_times_out() {
    let (_server, target) = serving(|asked, _| if asked.line == READ { Reply::Never } else { answer(asked) });
    let client = json!({"client": {"ca": {"configMap": "company-ca"}, "timeoutSeconds": 1}});
    let start = Instant::now();
    let (exit_code, message) = target.failure(&[warehouse()], &client);
    assert_eq!((exit_code, code(&message)), (75, "BL2103"), "{message}");
    assert!(message.contains("waiting for a response from https://127.0.0.1:"), "{message}");
    assert!(start.elapsed() < Duration::from_secs(20));
}

#[test]
fn a_secret_over_the_limit_is_refused() {
    let big = json!({"data": {"data": {"a": "x".repeat(1 << 20)}}}).to_string();
    let (_server, target) =
        serving(move |asked, _| if asked.line == READ { ok(big.clone()) } else { answer(asked) });
    let (exit_code, message) = target.failure(&[warehouse()], &json!({}));
    assert_eq!((exit_code, code(&message)), (65, "BL2304"), "{message}");
}

#[test]
fn an_optional_source_that_is_refused_is_skipped() {
    for unavailable in [secret("denied", &json!({})), secret("etl/gone", &json!({}))] {
        let (_server, target) = vault();
        let container = target.container();
        let mut source = target.source(&container, &[warehouse(), unavailable], &json!({}));
        source["optional"] = json!(true);
        let log = boot(&container, &source).log();
        assert!(log.contains("skipped because it is optional: https://127.0.0.1:"), "{log}");
        assert!(container.assets().is_empty());
    }
}

#[test]
fn a_certificate_of_an_unknown_ca_and_a_missing_token_are_errors() {
    let (_server, target) = vault();
    let (exit_code, message) = target.failure(&[warehouse()], &json!({"client": {"attempts": 1}}));
    assert_eq!((exit_code, code(&message)), (69, "BL2203"), "{message}");

    let container = target.container();
    std::fs::remove_dir_all(container.beside("vault/token")).unwrap();
    let (exit_code, message) =
        boot(&container, &target.source(&container, &[warehouse()], &json!({}))).failure();
    assert_eq!((exit_code, code(&message)), (69, "BL2102"), "{message}");
}

/// The Event of the boot has the warning too, because no one reads the log of a boot that succeeds.
#[test]
fn the_event_contains_the_warning() {
    let store = Server::tls(|_, _| status(204, &[], ""));
    let (_server, target): (_, Target) = vault();
    let container = target.container();
    std::fs::write(&container.args.store_token, "the-token\n").unwrap();
    let mut spec = spec(&[target.source(&container, &[certificate("load.example.com")], &json!({}))]);
    spec["store"] = json!({"url": store.url(), "ca": crate::http::server::ca()});
    container.boot_spec(&spec).log();
    let event: Value = serde_json::from_slice(&store.asked()[0].body).unwrap();
    let note = event["note"].as_str().unwrap();
    assert!(note.starts_with("booted: 0 variables, 2 files"), "{note}");
    let part = ", with BootProfile \"default\", generation 3; source \"vault\": warning: the lease of pki/issue/tasks ends";
    assert!(note.contains(part) && note.ends_with("[BL2207]"), "{note}");
}
