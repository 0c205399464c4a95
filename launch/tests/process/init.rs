//! `launch init`: the program of a boot image, and what becomes of the pod where it fails.

use std::fs;
use std::os::unix::fs::symlink;
use std::time::{Duration, Instant};

use crate::support::{Boot, failed, stderr, stdout};

/// The names in a folder.
fn names(folder: &std::path::Path) -> Vec<String> {
    let entries = fs::read_dir(folder).unwrap();
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
fn what_an_earlier_run_left_is_gone_and_links_are_not_followed() {
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
    for (script, code, sentence) in [
        ("echo no such job >&2; exit 3", 3, "its command ended with exit code 3"),
        ("exit 255", 255, "its command ended with exit code 255"),
        ("kill -KILL $$", 137, "its command was ended by signal 9"),
    ] {
        let boot = Boot::empty();
        let output = boot.init(30, script).output().unwrap();
        assert_eq!(output.status.code(), Some(code));
        let told = stderr(&output);
        let last = format!("bootlace: container base: its boot image failed: {sentence}");
        assert_eq!(told.lines().last(), Some(&*last), "{told}");
        assert_eq!(boot.termination_message(), "", "the kubelet then takes the end of the log");
        assert!(!boot.out().join(".done").exists());
    }
}

#[test]
fn a_program_that_hangs_is_ended_at_its_time() {
    let (boot, start) = (Boot::empty(), Instant::now());
    let output = boot.init(1, "exec sleep 60").output().unwrap();
    let told = failed(&boot, &output, 75);
    assert!(told.contains("had not ended after 1 s and was killed: raise `boot.timeoutSeconds`"), "{told}");
    assert!(start.elapsed() < Duration::from_secs(30));
    assert!(!boot.out().join(".done").exists());
}

#[test]
fn an_image_without_the_program_is_told_which_field_names_it() {
    let boot = Boot::empty();
    fs::create_dir(boot.out()).unwrap();
    let output = boot.init_of(30).args(["--", "/bootlace-init"]).output().unwrap();
    let told = failed(&boot, &output, 127);
    assert!(
        told.contains(
            "`boot.initImage.command` of the BootProfile names: command `/bootlace-init` was not found"
        ),
        "{told}"
    );
}

#[test]
fn a_folder_that_is_not_there_is_named() {
    let boot = Boot::empty();
    let output = boot.init_of(30).args(["--", "true"]).output().unwrap();
    let told = failed(&boot, &output, 74);
    assert!(told.contains("/out cannot be written: "), "{told}");
}
