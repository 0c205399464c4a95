//! The files of each task container in addition to the boot env.

use std::fs;

use serde_json::{Value, json};

use crate::support::{Container, code, inline, mounted, spec};

fn spec_with(env: &Value, more: &Value) -> Value {
    let mut spec = spec(&[inline("settings", env, &json!({}))]);
    for (field, value) in more.as_object().unwrap() {
        spec[field] = value.clone();
    }
    spec
}

#[test]
fn variables_from_the_sources_of_a_container_are_kept() {
    let container = Container::new();
    let spec =
        spec_with(&json!({"MODE": "1", "REGION": "2"}), &json!({"held": {"base": "BOOTLACE_HELD_0_"}}));
    let log = container
        .boot_env(&[
            ("BOOTLACE_SPEC", &spec.to_string()),
            ("BOOTLACE_HELD_0_REGION", "hunter2"),
            ("BOOTLACE_HELD_0_ELSEWHERE", "hunter2"),
            ("BOOTLACE_HELD_1_MODE", "hunter2"),
        ])
        .log();
    assert_eq!(fs::read(container.at("env/keep/base")).unwrap(), b"MODE\0REGION\0with.dot\0");
    assert_eq!(fs::read(container.at("env/keep/other")).unwrap(), b"");
    let is_logged = |line: &str| line.starts_with("container \"base\" ") && line.contains("\"REGION\"");
    assert!(log.lines().any(is_logged) && !log.contains("ELSEWHERE"), "{log}");
    assert!(!log.contains("hunter2"), "{log}");
}

#[test]
fn references_are_passed_unchanged() {
    let container = Container::new();
    let texts = json!({"base": [["variable:URL", "$(HOST)\n$$x"], ["argument:2", "$(URL)"]]});
    container.boot_spec(&spec_with(&json!({}), &json!({"references": texts}))).log();
    let file = fs::read(container.at("env/references/base")).unwrap();
    assert_eq!(file, b"variable:URL=$(HOST)\n$$x\0argument:2=$(URL)\0");
    assert!(!container.at("env/references/other").exists());
}

#[test]
fn the_env_file_omits_variables_that_the_container_sets() {
    let container = Container::new();
    let env = json!({"MODE": "1", "A": "two\nlines", "REGION": "\"$x\""});
    let more =
        json!({"fileKeys": ["A", "MODE", "REGION", "NOT_GIVEN"], "held": {"other": "BOOTLACE_HELD_1_"}});
    let spec = spec_with(&env, &more).to_string();
    container.boot_env(&[("BOOTLACE_SPEC", &spec), ("BOOTLACE_HELD_1_REGION", "")]).log();
    let file = |name: &str| fs::read_to_string(container.at("env/file").join(name)).unwrap();
    assert_eq!(file("base"), "A='two\nlines'\nREGION='\"$x\"'\n");
    assert_eq!(file("other"), "A='two\nlines'\nMODE='1'\n");
    // The hook verifies the env with this file.
    assert_eq!(container.env().len(), 3);
}

#[test]
fn the_env_file_contains_variables_that_the_container_refers_to() {
    let container = Container::new();
    let more = json!({
        "fileKeys": ["A", "MODE", "REGION"],
        "keep": {"base": ["MODE", "REGION", "A"], "other": ["MODE"]},
        "builtOn": {"base": ["MODE", "REGION"]},
        "held": {"base": "BOOTLACE_HELD_0_"},
    });
    let spec = spec_with(&json!({"A": "1", "MODE": "2", "REGION": "3"}), &more).to_string();
    // The reference resolves to the value from the pod's `envFrom` instead.
    container.boot_env(&[("BOOTLACE_SPEC", &spec), ("BOOTLACE_HELD_0_REGION", "")]).log();
    let file = |name: &str| fs::read_to_string(container.at("env/file").join(name)).unwrap();
    assert_eq!(file("base"), "MODE='2'\n");
    assert_eq!(file("other"), "A='1'\nREGION='3'\n");
    // The variables of the container still take precedence.
    assert_eq!(fs::read(container.at("env/keep/base")).unwrap(), b"A\0MODE\0REGION\0");
}

#[test]
fn variables_that_the_kubelet_cannot_deliver_fail_the_boot() {
    for (env, keys, expected, name) in [
        (json!({"A": "hunter2", "B": "hunter2"}), json!(["A"]), "BL2401", "B"),
        (json!({"A": "hunter2'"}), json!(["A"]), "BL2402", "A"),
        (json!({"A": ""}), json!(["A"]), "BL2402", "A"),
        (json!({"A": "x".repeat(100_000)}), json!(["A"]), "BL2402", "A"),
        (json!({"#A": "x"}), json!(["#A"]), "BL2402", "#A"),
    ] {
        let container = Container::new();
        let (exit_code, message) =
            container.boot_spec(&spec_with(&env, &json!({"fileKeys": keys}))).failure();
        assert_eq!((exit_code, code(&message)), (65, expected));
        assert!(message.contains(&format!("source \"settings\" sets the variable {name:?}")), "{message}");
        assert!(!message.contains("hunter2"), "{message}");
        assert!(!container.at("env/environ").exists());
    }
}

/// Kubernetes accepts these names in a pod, so both the launcher and the kubelet's file deliver them.
#[test]
fn names_that_are_invalid_in_shells_are_delivered_to_processes() {
    let object = Container::new();
    let keys = ["connectionString.standard", "spring.datasource.url", "db-user", "2fa", "PLAIN"];
    let mount = object.mount("login", keys.map(|key| (key, &b"hunter2"[..])));
    let source = |more: &Value| mounted("login", "Secret", &mount, more);
    let names = |container: &Container| container.env().into_keys().collect::<Vec<_>>();

    let container = Container::new();
    container.boot(&[source(&json!({"into": "Env"}))]).log();
    let mut sorted = keys;
    sorted.sort_unstable();
    assert_eq!(names(&container), sorted);

    let container = Container::new();
    let mut spec = spec(&[source(&json!({"into": "Env"}))]);
    spec["fileKeys"] = json!(keys);
    container.boot_spec(&spec).log();
    let file = fs::read_to_string(container.at("env/file/other")).unwrap();
    for key in keys {
        assert!(file.lines().any(|line| line == format!("{key}='hunter2'")), "{key} is not in {file}");
    }
}

#[test]
fn excluded_keys_are_logged() {
    let object = Container::new();
    let keys = ["connectionString.standard", "connectionString.private", "password", "ca.crt"];
    let mount = object.mount("login", keys.map(|key| (key, &b"hunter2"[..])));
    for (into, exclude, left) in [
        ("Env", json!(["connectionString.*", "ca.crt"]), &["password"][..]),
        ("Env", json!(["*"]), &[]),
        (
            "Env",
            json!(["connectionString", "gone"]),
            &["ca.crt", "connectionString.private", "connectionString.standard", "password"],
        ),
    ] {
        let container = Container::new();
        let source = mounted("login", "Secret", &mount, &json!({"into": into, "exclude": exclude}));
        let log = container.boot(&[source]).log();
        assert_eq!(container.env().into_keys().collect::<Vec<_>>(), left, "{exclude}");
        assert!(!log.contains("hunter2"), "{log}");
        assert_eq!(log.contains("excluded: "), left.len() < 4, "{log}");
    }
    let container = Container::new();
    let source = mounted("login", "Secret", &mount, &json!({"exclude": ["*.*"], "prefix": "a/"}));
    let log = container.boot(&[source]).log();
    assert_eq!(container.assets().into_keys().collect::<Vec<_>>(), ["a/password"]);
    let line = "excluded: \"ca.crt\", \"connectionString.private\", \"connectionString.standard\"";
    assert!(log.contains(line), "{log}");
}

#[test]
fn names_that_a_shell_cannot_assign_fail_the_boot() {
    for (name, fails) in
        [("spring.datasource.url", true), ("UID", true), ("2FA", true), ("PLAIN", false), ("with.dot", true)]
    {
        let spec = spec_with(&json!({name: "hunter2"}), &json!({"byShell": true}));
        let outcome = Container::new().boot_spec(&spec);
        if !fails {
            outcome.log();
            continue;
        }
        let (exit_code, message) = outcome.failure();
        assert_eq!((exit_code, code(&message)), (65, "BL2402"));
        assert!(message.contains(&format!("source \"settings\" sets the variable {name:?}")), "{message}");
        // A variable that the pod sets is not written there.
        let mut kept = spec;
        kept["keep"] = json!({"base": [name]});
        Container::new().boot_spec(&kept).log();
    }
}

#[test]
fn a_profile_can_allow_variables_that_decide_which_code_runs() {
    let container = Container::new();
    let env = json!({"PATH": "/opt/bin", "PYTHONPATH": "/opt/lib"});
    container.boot_spec(&spec_with(&env, &json!({"allow": ["PATH", "PYTHON*"]}))).log();
    assert_eq!(container.env()["PATH"], b"/opt/bin");
    let (exit_code, message) =
        Container::new().boot_spec(&spec_with(&env, &json!({"allow": ["PATH"]}))).failure();
    assert_eq!((exit_code, code(&message)), (65, "BL2305"));
    assert!(message.contains("variable \"PYTHONPATH\": "), "{message}");
}
