//! The `optimus` source, against a server that speaks the documented API, with answers of awkward content.

use serde_json::{Value, json};

use super::server::{Server, ok, status};
use super::{Client, MARK};

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
fn a_hook_below_a_path_is_asked_for_as_one() {
    let server = Server::plain(|_, _| ok(r#"{"envs": {"A": "1"}, "files": null}"#));
    let client = Client::new();
    let more = json!({"host": format!("{}/optimus/", server.url()), "job": "../x", "instanceType": "Hook"});
    client.boot(&source(&client, &server, &more)).log();
    let asked = server.asked();
    assert_eq!(asked[0].line, "POST /optimus/api/v1beta1/project/data%20platform/job/..%2Fx/run_input");
    assert!(String::from_utf8_lossy(&asked[0].body).contains("TYPE_HOOK"));
}

#[test]
fn a_name_that_a_url_cannot_hold_asks_no_other_address() {
    for field in ["project", "job"] {
        let server = Server::plain(|_, _| ok(r#"{"envs": {"A": "1"}}"#));
        let client = Client::new();
        let (code, said) = client.failure(&source(&client, &server, &json!({field: ".."})));
        assert_eq!(code, 69);
        assert!(said.contains("project and job cannot be . or ..: correct them in the profile"), "{said}");
        assert!(server.asked().is_empty());
    }
}

#[test]
fn a_status_of_grpc_becomes_a_sentence_without_credentials() {
    for (http, body, exit, sentence) in [
        (
            404,
            format!(
                r#"{{"code": 5, "message": "job sales/daily not found, key was {MARK}-key", "details": []}}"#
            ),
            69,
            r#"it answered 404 Not Found and says "NOT_FOUND: job sales/daily not found, key was [redacted]": correct"#,
        ),
        (
            503,
            r#"{"code": 14, "message": "no\nway"}"#.to_owned(),
            75,
            r#"and says "UNAVAILABLE: no\nway": look"#,
        ),
        (500, r#"{"code": 99, "message": "odd"}"#.to_owned(), 75, "a code that gRPC does not have: odd"),
        (500, MARK.to_owned(), 75, "it answered 500 Internal Server Error: look at the server's own log"),
    ] {
        let server = Server::tls(move |_, _| status(http, &[], &body));
        let client = Client::new();
        let (code, said) = client.failure(&source(&client, &server, &json!({})));
        assert_eq!(code, exit);
        assert!(said.contains(sentence), "{said}");
        assert!(said.contains("/job/sales%2Fdaily/run_input: "), "{said}");
    }
}

#[test]
fn a_value_that_the_template_did_not_find_is_an_error_or_a_warning() {
    for (part, entry) in [("envs", "variable \"A\""), ("secrets", "variable \"A\""), ("files", "file \"A\"")]
    {
        let answer = json!({part: {"A": format!("{MARK} <no value>")}}).to_string();
        let server = Server::tls(move |_, _| ok(answer.clone()));
        let client = Client::new();
        let what =
            format!("the {entry} holds <no value>, which Optimus writes for what its template does not find");
        let (code, said) = client.failure(&source(&client, &server, &json!({})));
        assert_eq!(code, 65);
        assert!(
            said.ends_with(&format!("{what}: define it for the job, or set optimus.noValue to Warn")),
            "{said}"
        );

        let log = client.boot(&source(&client, &server, &json!({"noValue": "Warn"}))).log();
        assert!(
            log.contains(&format!("(Optimus job sales/daily of data platform): warning: {what}\n")),
            "{log}"
        );
    }
}

#[test]
fn an_answer_that_is_not_optimus_own() {
    for (answer, sentence) in [
        ("{}".to_owned(), "holds neither envs, nor files, nor secrets: is optimus.host an Optimus server?"),
        (format!("<html>{MARK}"), "the answer is no JSON, at line 1 column 1"),
        (format!(r#"{{"envs": "{MARK}"}}"#), "the answer is JSON of another shape"),
        (format!(r#"{{"envs": {{"A": ["{MARK}"]}}}}"#), "the value of \"A\" is null, a list or an object"),
        (format!(r#"{{"files": {{"../a": "{MARK}"}}}}"#), "file \"../a\": the path contains \".\" or \"..\""),
        (
            format!(r#"{{"files": {{"a": "", "a/b": "{MARK}"}}}}"#),
            "file \"a/b\": the source also gives the file \"a\"",
        ),
        (format!(r#"{{"files": {{"a": "1", "a": "{MARK}"}}}}"#), "file \"a\": the source gives it twice"),
        (
            format!(r#"{{"envs": {{"A": ""}}, "secrets": {{"A": "{MARK}"}}}}"#),
            "variable \"A\": the source gives it twice",
        ),
        (format!(r#"{{"secrets": {{"LD_PRELOAD": "{MARK}"}}}}"#), "variable \"LD_PRELOAD\": "),
        (format!("{{\"envs\": {{\"A\": \"{MARK}\\u0000\"}}}}"), "the value holds a NUL byte"),
    ] {
        let server = Server::tls(move |_, _| ok(answer.clone()));
        let client = Client::new();
        let (code, said) = client.failure(&source(&client, &server, &json!({})));
        assert_eq!(code, 65);
        assert!(said.contains(sentence), "{said}");
    }
}
