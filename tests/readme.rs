//! Runs the commands of the README that need no cluster, and checks their output.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]

use std::process::Command;

const README: &str = include_str!("../README.md");

/// The arguments after `cargo run --` in the line of the README for `verb`, without the comment.
fn command(verb: &str) -> Vec<&'static str> {
    let start = format!("cargo run -- {verb} ");
    let mut lines = README.lines().filter(|line| line.starts_with(&start));
    let line = lines.next().unwrap_or_else(|| panic!("the README has no line {start:?}"));
    assert_eq!(lines.next(), None, "the README has two lines {start:?}");
    let line = line.split(" #").next().unwrap();
    // Splitting at spaces is only correct without quotes and other shell syntax.
    assert!(!line.contains(['"', '\'', '\\', '$', '|', '>']), "{line}");
    line.split_whitespace().skip(3).collect()
}

/// Runs the command in the folder of the README, and returns its output.
fn run(words: &[&str]) -> String {
    let mut bootlace = Command::new(env!("CARGO_BIN_EXE_bootlace"));
    for name in ["BOOTLACE_PROFILES", "BOOTLACE_BOOT_IMAGE"] {
        bootlace.env_remove(name);
    }
    let output = bootlace.args(words).current_dir(env!("BOOTLACE_ROOT")).output().unwrap();
    assert!(output.status.success(), "{words:?}: {}", String::from_utf8_lossy(&output.stderr));
    assert_eq!(String::from_utf8_lossy(&output.stderr), "", "{words:?}");
    String::from_utf8(output.stdout).unwrap()
}

#[test]
fn every_command_without_a_cluster_is_tried_here() {
    let verbs = README.lines().filter_map(|line| line.strip_prefix("cargo run -- ")?.split(' ').next());
    assert_eq!(verbs.collect::<Vec<_>>(), ["explain", "inject"]);
}

#[test]
fn explain_describes_the_reason_and_each_part() {
    let words = run(&command("explain"));
    for part in [
        "Job daily-report: spec.template is injected",
        "profile         etl",
        "settings: inline: env REPORT_DAYS, WAREHOUSE; files sql/report.sql",
        "tables: ConfigMap etl-tables: tables.csv as files",
        "login: Secret db-login: every key as env",
        "+ container report  runs the task:",
        "mounts the assets at /var/assets",
    ] {
        assert!(words.contains(part), "{part:?} is not in:\n{words}");
    }
}

#[test]
fn inject_prints_the_manifest_with_its_boot_process() {
    let manifest: serde_json::Value = serde_saphyr::from_str(&run(&command("inject"))).unwrap();
    let spec = manifest.pointer("/spec/template/spec").unwrap();
    assert_eq!(spec.pointer("/initContainers/0/name").unwrap(), "bootlace-boot");
    let command = spec.pointer("/containers/0/command").unwrap().as_array().unwrap();
    assert_eq!(command.first().unwrap(), "/bootlace/bin/launch");
    assert_eq!(command.get(command.len() - 2..).unwrap(), ["sh", "-c"]);
}
