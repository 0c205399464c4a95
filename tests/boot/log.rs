//! The log as JSON: the events and texts of the text log, with an object in each line.

use std::fs;

use serde_json::{Value, json};

use crate::support::{Container, Outcome, inline, mounted, spec};

fn boot(container: &Container, sources: &[Value]) -> Outcome {
    let mut spec = spec(sources);
    spec["logFormat"] = json!("Json");
    container.boot_spec(&spec)
}

fn lines(log: &str) -> Vec<Value> {
    log.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

#[test]
fn the_json_log_has_the_events_of_the_text_log() {
    let container = Container::new();
    let login = container.mount("login", [("USER", &b"etl"[..])]);
    let sources = [
        inline("settings", &json!({"USER": "none"}), &json!({"a.sql": "select"})),
        mounted("login", "Secret", &login, &json!({"into": "Env"})),
        mounted("absent", "ConfigMap", &container.beside("absent"), &json!({"optional": true})),
    ];
    let text = container.boot(&sources).log();
    let json = lines(&boot(&container, &sources).log());

    // Ignores the durations.
    let timeless = |line: &str| line.split(" in ").next().unwrap().to_owned();
    let messages: Vec<_> = json.iter().map(|line| timeless(line["message"].as_str().unwrap())).collect();
    assert_eq!(messages, text.lines().map(timeless).collect::<Vec<_>>());

    let event = |name: &str| json.iter().filter(|line| line["event"] == name).collect::<Vec<_>>();
    let begun = event("begun")[0];
    assert_eq!((&begun["task"]["run"], &begun["profile"]["name"]), (&json!("manual"), &json!("default")));
    assert_eq!(begun["version"], env!("CARGO_PKG_VERSION"));
    assert!(begun["timestamp"].as_str().unwrap().ends_with('Z') && begun["level"] == "INFO", "{begun}");
    let fetched = event("fetched").into_iter().find(|line| line["source"] == "login").unwrap();
    for (field, value) in [
        ("kind", json!("Secret the-login")),
        ("variables", json!(1)),
        ("secrets", json!(1)),
        ("files", json!(0)),
        ("bytes", json!(3)),
    ] {
        assert_eq!(fetched[field], value, "{fetched}");
    }
    assert!(fetched["milliseconds"].is_f64(), "{fetched}");
    let noted = event("noted")[0];
    assert_eq!((&noted["source"], &noted["level"]), (&json!("absent"), &json!("WARN")));
    let overridden = event("overridden")[0];
    assert_eq!(
        (&overridden["source"], &overridden["entry"], &overridden["name"], &overridden["earlier"]),
        (&json!("login"), &json!("variable"), &json!("USER"), &json!("settings"))
    );
    assert_eq!(json.last().unwrap()["event"], "booted");
}

/// The termination message is text, regardless of the format of the log.
#[test]
fn a_failure_is_json_in_the_log_and_text_in_the_message() {
    let container = Container::new();
    let outcome = boot(&container, &[inline("settings", &json!({"PATH": "/"}), &json!({}))]);
    let error = outcome.result.unwrap_err();
    let message = format!("bootlace: {error} [BL2305]");
    assert_eq!(outcome.message, message);
    assert_eq!(fs::read_to_string(&container.args.termination_log).unwrap(), message);
    let last = lines(&outcome.log).pop().unwrap();
    assert_eq!(
        (&last["message"], &last["event"], &last["level"]),
        (&json!(message), &json!("failed"), &json!("ERROR"))
    );
    assert_eq!((&last["exitCode"], &last["code"]), (&json!(error.exit_code()), &json!("BL2305")));
}
