//! What is refused, with which code and in which words.

use std::fs;

use serde_json::{Value, json};

use crate::support::{Container, inline, mounted};

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
    for (path, why) in [
        ("/etc/passwd", "the path is absolute"),
        ("../escape", "the path contains \".\" or \"..\""),
        ("a/../../escape", "the path contains \".\" or \"..\""),
        ("a//b", "the path contains an empty name"),
        ("a/", "the path contains an empty name"),
        ("", "the path is empty"),
        ("nul\0byte", "the path contains a NUL byte"),
        (&long, "300 bytes, the limit of Linux is 255"),
    ] {
        let (code, sentence) = failure(&[inline("settings", &json!({}), &json!({path: "x"}))]);
        assert_eq!(code, 65);
        let start =
            format!(r#"bootlace: source "settings" (inline) of BootProfile "default": file {path:?}: "#);
        assert!(sentence.starts_with(&start) && sentence.contains(why), "{sentence}");
    }
}

#[test]
fn what_the_memory_limit_does_not_hold_is_not_written() {
    let container = Container::new();
    let object = container.mount("object", [("model", &vec![b'x'; 8 << 20][..])]);
    container.limit_memory(12 << 20, 5 << 20);
    let (code, sentence) = container.boot(&[mounted("files", "ConfigMap", &object, &json!({}))]).failure();
    assert_eq!(code, 74);
    for part in
        ["source \"files\"", "boot may use 12.0 MiB of memory, 5.0 MiB of it are used", "limits.memory"]
    {
        assert!(sentence.contains(part), "{part:?} is not in {sentence}");
    }

    // What does fit is written.
    let container = Container::new();
    container.limit_memory(12 << 20, 5 << 20);
    let object = container.mount("object", [("model", &vec![b'x'; 1 << 20][..])]);
    container.boot(&[mounted("files", "ConfigMap", &object, &json!({}))]).result.unwrap();
}

#[test]
fn a_key_that_is_no_path_or_no_variable_is_named_with_its_source() {
    let container = Container::new();
    let object = container.mount("object", [("db-user", &b"x"[..]), ("binary", b"a\0b")]);
    for (more, start) in [
        (
            json!({"into": "Env", "items": [{"key": "db-user", "as": "Benutzer-ä"}]}),
            "key \"db-user\": variable \"Benutzer-ä\": ",
        ),
        (
            json!({"into": "Env", "items": [{"key": "binary", "as": "BINARY"}]}),
            "key \"binary\": variable \"BINARY\": ",
        ),
        (
            json!({"into": "Env", "items": [{"key": "db-user", "as": "LD_PRELOAD"}]}),
            "key \"db-user\": variable \"LD_PRELOAD\": ",
        ),
        (json!({"prefix": "../"}), "key \"binary\": file \"../binary\": "),
        (
            json!({"items": [{"key": "binary", "as": "a"}, {"key": "db-user", "as": "a"}]}),
            "key \"db-user\": file \"a\": ",
        ),
        (
            json!({"items": [{"key": "binary", "as": "a/b"}, {"key": "db-user", "as": "a"}]}),
            "key \"db-user\": file \"a\": ",
        ),
    ] {
        let (code, said) = failure(&[mounted("login", "Secret", &object, &more)]);
        assert_eq!(code, 65);
        let start =
            format!("bootlace: source \"login\" (Secret the-login) of BootProfile \"default\": {start}");
        assert!(said.starts_with(&start), "{said}");
    }
}

/// What to do about a name depends on where it is written.
#[test]
fn a_remedy_fits_the_kind_of_source() {
    let name = "Ä";
    let (_, said) = failure(&[inline("settings", &json!({name: "x"}), &json!({}))]);
    assert!(said.contains(": use another name in the profile"), "{said}");
    let (_, said) = failure(&[inline("settings", &json!({"BASH_FUNC_ls%%": "() { id; }"}), &json!({}))]);
    assert!(said.contains(" or use another name in the profile"), "{said}");
}

#[test]
fn a_variable_that_is_too_long_to_exec_with() {
    let (code, sentence) =
        failure(&[inline("settings", &json!({"BIG": "x".repeat(131_072 - 4)}), &json!({}))]);
    assert_eq!(code, 65);
    assert!(sentence.contains("variable \"BIG\": ") && sentence.contains("131073 bytes"), "{sentence}");
}

#[test]
fn a_file_of_one_source_where_another_needs_a_folder() {
    for (earlier, later) in [("a", "a/b"), ("a/b", "a")] {
        let (code, sentence) = failure(&[
            inline("first", &json!({}), &json!({earlier: "x"})),
            inline("second", &json!({}), &json!({later: "x"})),
        ]);
        assert_eq!(code, 65);
        assert_eq!(
            sentence,
            format!(
                "bootlace: source \"second\" gives the file {later:?} and source \"first\" gives the file {earlier:?}, and \
                 a path cannot be both a file and a folder: rename one of them"
            )
        );
    }
}

#[test]
fn an_object_or_a_key_that_is_not_there() {
    let container = Container::new();
    let empty = container.mount("empty", []);
    let login = container.mount("login", [("user", &b"x"[..]), ("token", b"y")]);
    let missing = "does not exist in the pod's namespace, or it has no keys (mounted, both look the same): create it \
                   with its keys, or set optional: true on the source";
    let source = |path, more: Value| mounted("login", "Secret", path, &more);
    for (source, sentence) in [
        (source(&container.beside("nowhere"), json!({})), format!("the Secret {missing}")),
        (source(&empty, json!({"items": [{"key": "user", "as": "USER"}]})), format!("the Secret {missing}")),
        (
            source(&login, json!({"into": "Env", "items": [{"key": "password", "as": "PASSWORD"}]})),
            "it has no key \"password\", its keys are token, user: correct items[].key, add the key to the Secret, or \
             set optional: true on the source"
                .to_owned(),
        ),
    ] {
        let (code, said) = failure(&[source]);
        assert_eq!(code, 69);
        assert_eq!(said, format!("bootlace: source \"login\" (Secret the-login) of BootProfile \"default\": {sentence}"));
    }
}

#[test]
fn a_spec_that_is_absent_or_not_understood() {
    let container = Container::new();
    let (code, sentence) = container.boot_env(&[]).failure();
    assert_eq!(code, 64);
    assert!(sentence.starts_with("bootlace: BOOTLACE_SPEC is not set"), "{sentence}");

    let head = r#"{"task":{},"profile":{"name":"p","generation":1},"timeoutSeconds":"#;
    for (tail, why) in [
        ("", "not JSON at line 1"),
        (r#""soon"}"#, "a value of the wrong type"),
        (r#"1,"sources":[{"name":"a","from":{"ftp":{}}}]}"#, "unknown variant `ftp`"),
        // A webhook of a later version may say more; what a source fetches must be understood.
        (r#"1,"retries":3}"#, "missing field `keep`"),
        (r#"1,"sources":[{"name":"a","from":{"inline":{"retries":3}}}]}"#, "unknown field `retries`"),
    ] {
        // In two parts, as the webhook writes a long one.
        let (code, sentence) =
            container.boot_env(&[("BOOTLACE_SPEC", head), ("BOOTLACE_SPEC_1", tail)]).failure();
        assert_eq!(code, 64);
        assert!(
            sentence.contains(why) && sentence.contains("Use a boot image of the webhook's own"),
            "{sentence}"
        );
    }
}

#[test]
fn a_container_whose_name_is_a_path() {
    let container = Container::new();
    let (code, sentence) = container
        .boot_spec(&json!({
            "task": {}, "profile": {"name": "default", "generation": 3}, "timeoutSeconds": 1,
            "keep": {"../environ": ["A"]},
        }))
        .failure();
    assert_eq!(code, 64);
    assert!(sentence.contains(r#"keep["../environ"]"#), "{sentence}");
    assert!(!container.at("env/environ").exists());
}

#[test]
fn an_image_without_the_launcher() {
    let container = Container::new();
    fs::remove_file(&container.args.launcher).unwrap();
    let (code, sentence) = container.boot(&[]).failure();
    assert_eq!(code, 64);
    assert!(
        sentence.contains("the launcher") && sentence.contains("take it from Bootlace's image"),
        "{sentence}"
    );
}

#[test]
fn a_volume_that_is_not_there() {
    let container = Container::new();
    fs::remove_dir(&container.args.root).unwrap();
    let (code, sentence) = container.boot(&[]).failure();
    assert_eq!(code, 74);
    assert!(sentence.contains(r#"mount the volume "bootlace" there"#), "{sentence}");
}

#[test]
fn a_long_sentence_is_cut_in_the_termination_message_only() {
    let container = Container::new();
    let path = "x".repeat(5000);
    let outcome = container.boot(&[inline("settings", &json!({}), &json!({path.as_str(): "x"}))]);
    assert_eq!(outcome.message.len(), 4096);
    assert!(outcome.log.lines().last().unwrap().contains("the limit is 3841"));
}
