//! The `optimus` source, with a server for the documented API and unusual content.

use serde_json::{Value, json};

use super::server::{Server, ok, status};
use super::{Client, MARK};
use crate::support::code;

fn source(client: &Client, server: &Server, more: &Value) -> Value {
    let mut request = json!({
        "host": server.url(),
        "project": "data platform",
        "job": "sales/daily",
        "scheduledAt": "2026-11-21T00:00:00Z",
        "instanceName": "bq2bq",
        "client": {"ca": {"configMap": "company-ca"}, "headersFromSecret": "api", "attempts": 1},
    });
    super::merge(&mut request, more);
    client.remote("optimus", &request)
}

#[test]
fn run_input_becomes_env_and_files() {
    let answer = json!({
        "envs": {
            "DSTART": "2026-11-20T00:00:00Z",
            "JOB_LABELS": "a=b,c=\"d e\"",
            "DOLLARS": "$HOME `id` $(id) 'quoted' \\n",
            "LINES": "first\nsecond\r\n\ttab",
            "EMPTY": "",
            "UNICODE": "é 漢 \u{1F4A7}",
        },
        "files": {"query.sql": format!("select '{MARK}'\n"), "sub/deep/macro.sql": "", ".hidden": "x"},
        "secrets": {"BQ_KEY": format!("{{\"key\": \"{MARK}\"}}")},
        "a_newer_field": {"x": 1},
    });
    let body = answer.to_string();
    let server = Server::tls(move |_, _| ok(body.clone()));
    let client = Client::new();
    let log = client.boot(&source(&client, &server, &json!({}))).log();
    assert!(
        log.contains(
            "source \"assets\" (Optimus job sales/daily of data platform): 7 variables (1 secret), 3 files"
        ),
        "{log}"
    );
    let env = client.container.env();
    for part in ["envs", "secrets"] {
        for (name, value) in answer[part].as_object().unwrap() {
            assert_eq!(env[name], value.as_str().unwrap().as_bytes(), "{name}");
        }
    }
    let assets = client.container.assets();
    assert_eq!(assets.keys().collect::<Vec<_>>(), [".hidden", "query.sql", "sub/deep/macro.sql"]);
    assert_eq!(assets["query.sql"], format!("select '{MARK}'\n").into_bytes());

    let asked = server.asked();
    assert_eq!(asked[0].line, "POST /api/v1beta1/project/data%20platform/job/sales%2Fdaily/run_input");
    let body: Value = serde_json::from_slice(&asked[0].body).unwrap();
    let input = json!({
        "scheduled_at": "2026-11-21T00:00:00Z",
        "instance_name": "bq2bq",
        "instance_type": "TYPE_TASK",
    });
    assert_eq!(body, input);
}

#[test]
fn a_hook_of_a_server_below_a_path() {
    let server = Server::plain(|_, _| ok(r#"{"envs": {"A": "1"}, "files": null}"#));
    let client = Client::new();
    let more = json!({"host": format!("{}/optimus/", server.url()), "job": "../x", "instanceType": "Hook"});
    client.boot(&source(&client, &server, &more)).log();
    let asked = server.asked();
    assert_eq!(asked[0].line, "POST /optimus/api/v1beta1/project/data%20platform/job/..%2Fx/run_input");
    assert!(String::from_utf8_lossy(&asked[0].body).contains("TYPE_HOOK"));
}

#[test]
fn names_that_would_change_the_address_are_refused() {
    for field in ["project", "job"] {
        let server = Server::plain(|_, _| ok(r#"{"envs": {"A": "1"}}"#));
        let client = Client::new();
        let (exit_code, message) = client.failure(&source(&client, &server, &json!({field: ".."})));
        assert_eq!((exit_code, code(&message)), (69, "BL2104"));
        assert!(server.asked().is_empty());
    }
}

#[test]
fn messages_of_grpc_are_shown_without_credentials() {
    for (answered, body, expected, part) in [
        (
            404,
            format!(
                r#"{{"code": 5, "message": "job sales/daily not found, key was {MARK}-key", "details": []}}"#
            ),
            (69, "BL2101"),
            r#"404 Not Found ("NOT_FOUND: job sales/daily not found, key was [redacted]")"#,
        ),
        (
            503,
            r#"{"code": 14, "message": "no\nway"}"#.to_owned(),
            (75, "BL2205"),
            r#"("UNAVAILABLE: no\nway")"#,
        ),
        (500, r#"{"code": 99, "message": "odd"}"#.to_owned(), (75, "BL2205"), ": odd"),
        (500, MARK.to_owned(), (75, "BL2205"), "500 Internal Server Error: "),
    ] {
        let server = Server::tls(move |_, _| status(answered, &[], &body));
        let client = Client::new();
        let (exit_code, message) = client.failure(&source(&client, &server, &json!({})));
        assert_eq!((exit_code, code(&message)), expected);
        assert!(message.contains(part) && message.contains("/job/sales/daily/run_input: "), "{message}");
    }
}

#[test]
fn undefined_template_variables_are_errors_or_warnings() {
    for (part, entry) in [("envs", "variable \"A\""), ("secrets", "variable \"A\""), ("files", "file \"A\"")]
    {
        let answer = json!({part: {"A": format!("{MARK} <no value>")}}).to_string();
        let server = Server::tls(move |_, _| ok(answer.clone()));
        let client = Client::new();
        let (exit_code, message) = client.failure(&source(&client, &server, &json!({})));
        assert_eq!((exit_code, code(&message)), (65, "BL2302"));
        assert!(message.contains(&format!("{entry} ")) && message.contains("optimus.noValue"), "{message}");

        let log = client.boot(&source(&client, &server, &json!({"noValue": "Warn"}))).log();
        let is_warning = |line: &str| line.contains("(Optimus job sales/daily of data platform): warning: ");
        assert!(log.lines().any(|line| is_warning(line) && line.contains(entry)), "{log}");
    }
}

#[test]
fn responses_that_are_not_from_optimus() {
    for (answer, expected, part) in [
        ("{}".to_owned(), "BL2302", "optimus.host"),
        (format!("<html>{MARK}"), "BL2302", "line 1 column 1"),
        (format!(r#"{{"envs": "{MARK}"}}"#), "BL2302", "line 1"),
        (format!(r#"{{"envs": {{"A": ["{MARK}"]}}}}"#), "BL2302", "\"A\""),
        (format!(r#"{{"files": {{"../a": "{MARK}"}}}}"#), "BL2306", "file \"../a\": "),
        (format!(r#"{{"files": {{"a": "", "a/b": "{MARK}"}}}}"#), "BL2307", "file \"a/b\": "),
        (format!(r#"{{"files": {{"a": "1", "a": "{MARK}"}}}}"#), "BL2307", "file \"a\": "),
        (format!(r#"{{"envs": {{"A": ""}}, "secrets": {{"A": "{MARK}"}}}}"#), "BL2307", "variable \"A\": "),
        (format!(r#"{{"secrets": {{"LD_PRELOAD": "{MARK}"}}}}"#), "BL2305", "variable \"LD_PRELOAD\": "),
        (format!("{{\"envs\": {{\"A\": \"{MARK}\\u0000\"}}}}"), "BL2305", "variable \"A\": "),
    ] {
        let server = Server::tls(move |_, _| ok(answer.clone()));
        let client = Client::new();
        let (exit_code, message) = client.failure(&source(&client, &server, &json!({})));
        assert_eq!((exit_code, code(&message)), (65, expected));
        assert!(message.contains(part), "{message}");
    }
}
