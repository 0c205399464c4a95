//! The layout of Optimus: the boot env a second time, in two files that a shell sources.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use crate::support::{Container, Outcome, code, inline, mounted, spec};

/// Boots from `sources` with the layout of Optimus.
fn boot(container: &Container, sources: &[Value]) -> Outcome {
    let mut spec = spec(sources);
    spec["layout"] = json!("Optimus");
    container.boot_spec(&spec)
}

fn text(assets: &BTreeMap<String, Vec<u8>>, file: &str) -> String {
    String::from_utf8(assets[file].clone()).unwrap()
}

#[test]
fn env_and_secrets_are_in_separate_files() {
    let container = Container::new();
    let login = container.mount("login", [("PASSWORD", &b"it's\n$HOME"[..]), ("USER", b"etl")]);
    let sources = [
        inline(
            "settings",
            &json!({"DAY": "2026-01-01", "EMPTY": "", "PASSWORD": "old"}),
            &json!({"query.sql": "select 1"}),
        ),
        mounted("login", "Secret", &login, &json!({"into": "Env"})),
        inline("last", &json!({"USER": "report"}), &json!({})),
    ];
    let log = boot(&container, &sources).log();
    let assets = container.assets();
    assert_eq!(assets.keys().collect::<Vec<_>>(), [".env", ".secret", "query.sql"]);
    assert_eq!(text(&assets, ".env"), "DAY='2026-01-01'\nEMPTY=''\nUSER='report'\n");
    assert_eq!(text(&assets, ".secret"), "PASSWORD='it'\\''s\n$HOME'\n");
    assert_eq!(container.env()["PASSWORD"], b"it's\n$HOME");
    assert!(log.contains("booted: 4 variables (1 secret), 1 file, "), "{log}");

    // A second boot, and one without env: the files always exist for an entrypoint that sources them.
    let whole = container.tree();
    boot(&container, &sources).log();
    assert_eq!(container.tree(), whole);
    boot(&container, &[]).log();
    assert_eq!(
        (text(&container.assets(), ".env"), text(&container.assets(), ".secret")),
        (String::new(), String::new())
    );
}

/// A shell that sources the file would override the variables of the pod.
#[test]
fn variables_of_the_pod_spec_are_omitted() {
    let container = Container::new();
    boot(&container, &[inline("settings", &json!({"MODE": "boot", "DAY": "1"}), &json!({}))]).log();
    assert_eq!(text(&container.assets(), ".env"), "DAY='1'\n");
    assert_eq!(container.env()["MODE"], b"boot");
}

#[test]
fn content_that_conflicts_with_the_layout_is_refused() {
    for (env, files, expected, part) in [
        (json!({}), json!({".env": "x"}), "BL2307", "the file \".env\""),
        (json!({}), json!({".secret/a": "x"}), "BL2307", "the file \".secret/a\""),
        (json!({"UID": "hunter2"}), json!({}), "BL2402", "the variable \"UID\""),
        (
            json!({"spring.datasource.url": "hunter2"}),
            json!({}),
            "BL2402",
            "the variable \"spring.datasource.url\"",
        ),
    ] {
        let container = Container::new();
        let sources = [inline("settings", &env, &files)];
        let (exit_code, message) = boot(&container, &sources).failure();
        assert_eq!((exit_code, code(&message)), (65, expected));
        assert!(message.contains("source \"settings\" ") && message.contains(part), "{message}");
        assert!(!message.contains("hunter2"), "{message}");
        // The layout of Bootlace has no such files, and accepts these.
        container.boot(&sources).log();
    }
}
