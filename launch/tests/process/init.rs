//! `launch init`: runs the command of a boot image, and fails if the command fails.

use std::fs;
use std::os::unix::fs::symlink;
use std::process::Stdio;
use std::time::{Duration, Instant};

use bootlace_launch::code::Code;

use crate::support::{Boot, Lines, failed, has_code, kill, stderr, stdout, until};

/// The names in a directory.
fn names(directory: &std::path::Path) -> Vec<String> {
    let entries = fs::read_dir(directory).unwrap();
    let mut names: Vec<_> = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

#[test]
fn the_program_finds_its_folders_and_is_marked_as_done() {
    let boot = Boot::empty();
    let output = boot.init(30, "printf %s value > $out/env/NAME; echo said; echo told >&2").output().unwrap();
    assert_eq!(output.stderr, b"told\n");
    assert_eq!(stdout(output), b"said\n");
    assert_eq!(fs::read(boot.out().join("env/NAME")).unwrap(), b"value");
    assert_eq!(names(&boot.out()), [".done", "env", "files", "tmp"]);
    assert_eq!(boot.termination_message(), "");
}

#[test]
fn files_of_an_earlier_run_are_removed_and_links_are_not_followed() {
    let boot = Boot::empty();
    boot.file("elsewhere/kept", "", 0o644);
    boot.file("out/files/old/deep", "", 0o644);
    boot.file("out/.done", "", 0o644);
    symlink(boot.path().join("elsewhere"), boot.out().join("env")).unwrap();
    let output = boot.init(30, "test ! -e $out/.done").output().unwrap();
    stdout(output);
    assert!(names(&boot.out().join("files")).is_empty() && names(&boot.out().join("env")).is_empty());
    assert_eq!(names(&boot.path().join("elsewhere")), ["kept"]);
}

#[test]
fn a_program_that_fails_keeps_its_code_and_its_own_message() {
    for (script, exit, reason) in [
        ("echo no such job >&2; exit 3", 3, "exit code 3"),
        ("exit 255", 255, "exit code 255"),
        ("kill -KILL $$", 137, "killed by signal 9"),
    ] {
        let boot = Boot::empty();
        let output = boot.init(30, script).output().unwrap();
        assert_eq!(output.status.code(), Some(exit));
        let log = stderr(&output);
        assert!(has_code(&log, Code::BootImageFailed) && log.contains(reason), "{log}");
        assert_eq!(boot.termination_message(), "", "the kubelet then uses the end of the log");
        assert!(!boot.out().join(".done").exists());
    }
}

#[test]
fn a_program_that_hangs_is_killed_at_the_timeout() {
    let (boot, start) = (Boot::empty(), Instant::now());
    let output = boot.init(1, "exec sleep 60").output().unwrap();
    failed(&boot, &output, 75, Code::BootImageTimeout);
    assert!(start.elapsed() < Duration::from_secs(30));
    assert!(!boot.out().join(".done").exists());
}

#[test]
fn an_image_without_the_program_fails_with_the_name_of_the_field() {
    let boot = Boot::empty();
    fs::create_dir(boot.out()).unwrap();
    let output = boot.init_of(30).args(["--", "/bootlace-init"]).output().unwrap();
    let message = failed(&boot, &output, 127, Code::BootImageNotStarted);
    assert!(
        message.contains("\"/bootlace-init\"") && message.contains("boot.initImage.command"),
        "{message}"
    );
}

#[test]
fn a_missing_directory_is_reported() {
    let boot = Boot::empty();
    let output = boot.init_of(30).args(["--", "true"]).output().unwrap();
    let message = failed(&boot, &output, 74, Code::BootImageDirectory);
    assert!(message.contains("/out\""), "{message}");
}

/// Without this, the deletion of a pod would wait for the whole grace period while the image runs.
#[test]
fn signals_of_the_runtime_reach_the_program() {
    let boot = Boot::empty();
    let script = "trap 'exit 9' TERM; trap '' HUP; echo ready; while :; do read line; done";
    let mut launcher = boot.init(60, script).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    let lines = Lines::of(launcher.stdout.take().unwrap());
    assert_eq!(lines.next(), "ready");
    kill("HUP", &launcher.id().to_string());
    kill("TERM", &launcher.id().to_string());
    let ended = until("the launcher's end", || launcher.try_wait().unwrap());
    assert_eq!(ended.code(), Some(9));
}
