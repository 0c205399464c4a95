//! What each task container finds beside the boot env.

use std::fs;

use serde_json::{Value, json};

use crate::support::{Container, inline, spec};

fn told(env: &Value, more: &Value) -> Value {
    let mut told = spec(&[inline("settings", env, &json!({}))]);
    for (field, value) in more.as_object().unwrap() {
        told[field] = value.clone();
    }
    told
}

#[test]
fn what_a_containers_own_sources_give_is_kept() {
    let container = Container::new();
    let told = told(&json!({"MODE": "1", "REGION": "2"}), &json!({"held": {"base": "BOOTLACE_HELD_0_"}}));
    let log = container
        .boot_env(&[
            ("BOOTLACE_SPEC", &told.to_string()),
            ("BOOTLACE_HELD_0_REGION", "hunter2"),
            ("BOOTLACE_HELD_0_ELSEWHERE", "hunter2"),
            ("BOOTLACE_HELD_1_MODE", "hunter2"),
        ])
        .log();
    assert_eq!(fs::read(container.at("env/keep/base")).unwrap(), b"MODE\0REGION\0with.dot\0");
    assert_eq!(fs::read(container.at("env/keep/other")).unwrap(), b"");
    let line =
        r#"container "base" gets the variable "REGION" from its own spec, which wins over the sources"#;
    assert!(log.lines().any(|said| said == line) && !log.contains("ELSEWHERE"), "{log}");
    assert!(!log.contains("hunter2"), "{log}");
}

#[test]
fn references_are_handed_on_as_they_stand() {
    let container = Container::new();
    let texts = json!({"base": [["variable:URL", "$(HOST)\n$$x"], ["argument:2", "$(URL)"]]});
    container.boot_spec(&told(&json!({}), &json!({"references": texts}))).log();
    let file = fs::read(container.at("env/references/base")).unwrap();
    assert_eq!(file, b"variable:URL=$(HOST)\n$$x\0argument:2=$(URL)\0");
    assert!(!container.at("env/references/other").exists());
}

#[test]
fn the_kubelets_file_leaves_out_what_the_container_sets_itself() {
    let container = Container::new();
    let env = json!({"MODE": "1", "A": "two\nlines", "REGION": "\"$x\""});
    let more =
        json!({"fileKeys": ["A", "MODE", "REGION", "NOT_GIVEN"], "held": {"other": "BOOTLACE_HELD_1_"}});
    let told = told(&env, &more).to_string();
    container.boot_env(&[("BOOTLACE_SPEC", &told), ("BOOTLACE_HELD_1_REGION", "")]).log();
    let file = |name: &str| fs::read_to_string(container.at("env/file").join(name)).unwrap();
    assert_eq!(file("base"), "A='two\nlines'\nREGION='\"$x\"'\n");
    assert_eq!(file("other"), "A='two\nlines'\nMODE='1'\n");
    // The hook proves by it.
    assert_eq!(container.env().len(), 3);
}

#[test]
fn the_kubelets_file_holds_what_the_container_builds_its_own_on() {
    let container = Container::new();
    let more = json!({
        "fileKeys": ["A", "MODE", "REGION"],
        "keep": {"base": ["MODE", "REGION", "A"], "other": ["MODE"]},
        "builtOn": {"base": ["MODE", "REGION"]},
        "held": {"base": "BOOTLACE_HELD_0_"},
    });
    let told = told(&json!({"A": "1", "MODE": "2", "REGION": "3"}), &more).to_string();
    // What the pod's `envFrom` gives is built on instead.
    container.boot_env(&[("BOOTLACE_SPEC", &told), ("BOOTLACE_HELD_0_REGION", "")]).log();
    let file = |name: &str| fs::read_to_string(container.at("env/file").join(name)).unwrap();
    assert_eq!(file("base"), "MODE='2'\n");
    assert_eq!(file("other"), "A='1'\nREGION='3'\n");
    // They stay the container's own.
    assert_eq!(fs::read(container.at("env/keep/base")).unwrap(), b"A\0MODE\0REGION\0");
}

#[test]
fn what_the_kubelet_would_not_hand_over_fails_the_boot() {
    for (env, keys, sentence) in [
        (
            json!({"A": "hunter2", "B": "hunter2"}),
            json!(["A"]),
            "source \"settings\" sets the variable \"B\", and the kubelet hands over only what env.file.keys of \
             BootProfile \"default\" lists: list it there",
        ),
        (
            json!({"A": "hunter2'"}),
            json!(["A"]),
            "source \"settings\" sets the variable \"A\", and its value cannot be handed over with env.mode File: it \
             holds a single quote, which ends a value in that file. Change the value, or set another env.mode in \
             BootProfile \"default\"",
        ),
        (json!({"A": ""}), json!(["A"]), "it is empty, which the kubelet takes for missing"),
        (json!({"A": "x".repeat(100_000)}), json!(["A"]), "a line of it takes 100005 bytes"),
    ] {
        let container = Container::new();
        let (code, said) = container.boot_spec(&told(&env, &json!({"fileKeys": keys}))).failure();
        assert_eq!(code, 65);
        assert!(said.contains(sentence) && !said.contains("hunter2"), "{said}");
        assert!(!container.at("env/environ").exists());
    }
}

#[test]
fn a_profile_may_allow_what_decides_which_code_runs() {
    let container = Container::new();
    let env = json!({"PATH": "/opt/bin", "PYTHONPATH": "/opt/lib"});
    container.boot_spec(&told(&env, &json!({"allow": ["PATH", "PYTHON*"]}))).log();
    assert_eq!(container.env()["PATH"], b"/opt/bin");
    let (code, said) = Container::new().boot_spec(&told(&env, &json!({"allow": ["PATH"]}))).failure();
    assert_eq!(code, 65);
    assert!(
        said.contains("variable \"PYTHONPATH\": this variable decides which modules Python loads"),
        "{said}"
    );
}
