//! What is refused, and with which code.

use std::fs;

use serde_json::{Value, json};

use crate::support::{Container, code, inline, mounted};

/// Boots in a new container and expects a failure.
fn failure(sources: &[Value]) -> (u8, String) {
    let container = Container::new();
    let failure = container.boot(sources).failure();
    assert!(!container.at("env/environ").exists(), "{failure:?}");
    failure
}

#[test]
fn a_path_that_no_file_can_have() {
    let long = "x".repeat(300);
    for path in ["/etc/passwd", "../escape", "a/../../escape", "a//b", "a/", "", "nul\0byte", &long] {
        let (exit_code, message) = failure(&[inline("settings", &json!({}), &json!({path: "x"}))]);
        assert_eq!((exit_code, code(&message)), (65, "BL2306"), "{message}");
        let start =
            format!(r#"bootlace: source "settings" (inline) of BootProfile "default": file {path:?}: "#);
        assert!(message.starts_with(&start), "{message}");
    }
}

#[test]
fn content_beyond_the_memory_limit_is_not_written() {
    let container = Container::new();
    let object = container.mount("object", [("model", &vec![b'x'; 8 << 20][..])]);
    container.limit_memory(12 << 20, 5 << 20);
    let (exit_code, message) =
        container.boot(&[mounted("files", "ConfigMap", &object, &json!({}))]).failure();
    assert_eq!((exit_code, code(&message)), (74, "BL2503"), "{message}");
    for part in ["source \"files\"", "12.0 MiB", "5.0 MiB", "limits.memory"] {
        assert!(message.contains(part), "{part:?} is not in {message}");
    }

    // Content that fits is written.
    let container = Container::new();
    container.limit_memory(12 << 20, 5 << 20);
    let object = container.mount("object", [("model", &vec![b'x'; 1 << 20][..])]);
    container.boot(&[mounted("files", "ConfigMap", &object, &json!({}))]).result.unwrap();
}

#[test]
fn invalid_keys_are_named_with_their_source() {
    let container = Container::new();
    let object = container.mount("object", [("db-user", &b"x"[..]), ("binary", b"a\0b")]);
    for (more, entry, expected) in [
        (
            json!({"into": "Env", "items": [{"key": "db-user", "as": "Benutzer-ä"}]}),
            "key \"db-user\": variable \"Benutzer-ä\": ",
            "BL2305",
        ),
        (
            json!({"into": "Env", "items": [{"key": "binary", "as": "BINARY"}]}),
            "key \"binary\": variable \"BINARY\": ",
            "BL2305",
        ),
        (
            json!({"into": "Env", "items": [{"key": "db-user", "as": "LD_PRELOAD"}]}),
            "key \"db-user\": variable \"LD_PRELOAD\": ",
            "BL2305",
        ),
        (json!({"prefix": "../"}), "key \"binary\": file \"../binary\": ", "BL2306"),
        (
            json!({"items": [{"key": "binary", "as": "a"}, {"key": "db-user", "as": "a"}]}),
            "key \"db-user\": file \"a\": ",
            "BL2307",
        ),
        (
            json!({"items": [{"key": "binary", "as": "a/b"}, {"key": "db-user", "as": "a"}]}),
            "key \"db-user\": file \"a\": ",
            "BL2307",
        ),
    ] {
        let (exit_code, message) = failure(&[mounted("login", "Secret", &object, &more)]);
        assert_eq!((exit_code, code(&message)), (65, expected), "{message}");
        let start = "bootlace: source \"login\" (Secret the-login) of BootProfile \"default\": ";
        assert!(message.strip_prefix(start).is_some_and(|rest| rest.starts_with(entry)), "{message}");
    }
}

/// The remedy for a name depends on the kind of source.
#[test]
fn a_remedy_fits_the_kind_of_source() {
    let container = Container::new();
    let object = container.mount("object", [("\u{c4}", &b"x"[..])]);
    let (_, in_profile) = failure(&[inline("settings", &json!({"\u{c4}": "x"}), &json!({}))]);
    let (_, in_object) = failure(&[mounted("login", "Secret", &object, &json!({"into": "Env"}))]);
    assert_eq!((code(&in_profile), code(&in_object)), ("BL2305", "BL2305"));
    let remedy = |message: &str| message.rsplit(": ").next().unwrap().to_owned();
    assert_ne!(remedy(&in_profile), remedy(&in_object));
}

#[test]
fn a_variable_that_is_too_long_to_exec_with() {
    let (exit_code, message) =
        failure(&[inline("settings", &json!({"BIG": "x".repeat(131_072 - 4)}), &json!({}))]);
    assert_eq!((exit_code, code(&message)), (65, "BL2305"));
    assert!(message.contains("variable \"BIG\": ") && message.contains("131073 bytes"), "{message}");
}

#[test]
fn a_file_of_one_source_where_another_needs_a_folder() {
    for (earlier, later) in [("a", "a/b"), ("a/b", "a")] {
        let (exit_code, message) = failure(&[
            inline("first", &json!({}), &json!({earlier: "x"})),
            inline("second", &json!({}), &json!({later: "x"})),
        ]);
        assert_eq!((exit_code, code(&message)), (65, "BL2307"));
        for part in ["source \"second\"", "source \"first\"", &format!("{later:?}"), &format!("{earlier:?}")]
        {
            assert!(message.contains(part), "{part} is not in {message}");
        }
    }
}

#[test]
fn an_object_or_a_key_that_does_not_exist() {
    let container = Container::new();
    let empty = container.mount("empty", []);
    let login = container.mount("login", [("user", &b"x"[..]), ("token", b"y")]);
    let source = |path, more: Value| mounted("login", "Secret", path, &more);
    for (source, part) in [
        (source(&container.beside("nowhere"), json!({})), "the Secret "),
        (source(&empty, json!({"items": [{"key": "user", "as": "USER"}]})), "the Secret "),
        (
            source(&login, json!({"into": "Env", "items": [{"key": "password", "as": "PASSWORD"}]})),
            "key \"password\" ",
        ),
    ] {
        let (exit_code, message) = failure(&[source]);
        assert_eq!((exit_code, code(&message)), (69, "BL2101"));
        let start = "bootlace: source \"login\" (Secret the-login) of BootProfile \"default\": ";
        assert!(message.starts_with(&format!("{start}{part}")), "{message}");
    }
}

#[test]
fn a_spec_that_is_missing_or_invalid() {
    let container = Container::new();
    let (exit_code, message) = container.boot_env(&[]).failure();
    assert_eq!((exit_code, code(&message)), (64, "BL2001"), "{message}");

    let head = r#"{"task":{},"profile":{"name":"p","generation":1},"timeoutSeconds":"#;
    for (tail, reason) in [
        ("", "line 1"),
        (r#""soon"}"#, "column "),
        (r#"1,"sources":[{"name":"a","from":{"ftp":{}}}]}"#, "unknown variant `ftp`"),
        // A later version of the webhook may add fields, but boot must know every field of a source.
        (r#"1,"retries":3}"#, "missing field `keep`"),
        (r#"1,"sources":[{"name":"a","from":{"inline":{"retries":3}}}]}"#, "unknown field `retries`"),
    ] {
        // In two parts, as the webhook writes a long one.
        let (exit_code, message) =
            container.boot_env(&[("BOOTLACE_SPEC", head), ("BOOTLACE_SPEC_1", tail)]).failure();
        assert_eq!((exit_code, code(&message)), (64, "BL2002"));
        assert!(message.contains(reason), "{message}");
    }
}

#[test]
fn a_container_whose_name_is_a_path() {
    let container = Container::new();
    let (exit_code, message) = container
        .boot_spec(&json!({
            "task": {}, "profile": {"name": "default", "generation": 3}, "timeoutSeconds": 1,
            "keep": {"../environ": ["A"]},
        }))
        .failure();
    assert_eq!((exit_code, code(&message)), (64, "BL2002"));
    assert!(message.contains(r#"keep["../environ"]"#), "{message}");
    assert!(!container.at("env/environ").exists());
}

#[test]
fn an_image_without_the_launcher() {
    let container = Container::new();
    fs::remove_file(&container.args.launcher).unwrap();
    let (exit_code, message) = container.boot(&[]).failure();
    assert_eq!((exit_code, code(&message)), (64, "BL2003"), "{message}");
}

#[test]
fn a_volume_that_is_not_mounted() {
    let container = Container::new();
    fs::remove_dir(&container.args.root).unwrap();
    let (exit_code, message) = container.boot(&[]).failure();
    assert_eq!((exit_code, code(&message)), (74, "BL2501"), "{message}");
}

#[test]
fn a_long_message_is_shortened_and_keeps_its_code() {
    let container = Container::new();
    let path = "x".repeat(5000);
    let outcome = container.boot(&[inline("settings", &json!({}), &json!({path.as_str(): "x"}))]);
    assert_eq!(outcome.message.len(), 4096);
    assert_eq!(code(&outcome.message), "BL2306");
    let line = outcome.log.lines().last().unwrap();
    assert!(line.len() > 5000 && code(line) == "BL2306", "{line}");
}
