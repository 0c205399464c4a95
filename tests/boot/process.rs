//! The real process: its env, its exit code, and what it leaves when it is killed.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::support::{Container, Entry, code, inline, mounted, spec};

/// `bootlace boot` in `container`.
pub(crate) fn boot(container: &Container, sources: &[Value]) -> Command {
    boot_spec(container, &spec(sources))
}

/// `bootlace boot` with a complete spec.
pub(crate) fn boot_spec(container: &Container, spec: &Value) -> Command {
    let spec = spec.to_string();
    // In two parts, as the webhook writes a long spec.
    let (first, second) = spec.split_at(spec.len() / 2);
    let mut command = Command::new(env!("CARGO_BIN_EXE_bootlace"));
    let args = &container.args;
    command
        .arg("boot")
        .args([Path::new("--root"), &args.root, Path::new("--launcher"), &args.launcher])
        .args([Path::new("--termination-log"), &args.termination_log])
        .env_clear()
        .env("BOOTLACE_SPEC", first)
        .env("BOOTLACE_SPEC_1", second)
        .stdin(Stdio::null());
    command
}

#[test]
fn the_process_reports_by_exit_code_log_and_message() {
    let container = Container::new();
    let output = boot(&container, &[inline("settings", &json!({"A": "1"}), &json!({}))]).output().unwrap();
    assert!(output.status.success());
    assert_eq!(container.env()["A"], b"1");
    assert_eq!(fs::read(&container.args.termination_log).unwrap(), b"");

    let output = boot(&container, &[inline("settings", &json!({"PATH": "/"}), &json!({}))]).output().unwrap();
    assert_eq!(output.status.code(), Some(65));
    assert_eq!(output.stdout, b"");
    let log = String::from_utf8(output.stderr).unwrap();
    let message = fs::read_to_string(&container.args.termination_log).unwrap();
    assert_eq!(log.lines().last(), Some(&*message));
    assert!(
        message.contains(r#"source "settings" (inline) of BootProfile "default": variable "PATH""#),
        "{message}"
    );
    assert_eq!(code(&message), "BL2305");
}

const FILES: usize = 400;

/// A source with many files, and the volume after a complete boot of it.
fn many_files(container: &Container) -> ([Value; 1], BTreeMap<PathBuf, Entry>) {
    let keys: Vec<_> = (0..FILES).map(|n| format!("file-{n:03}")).collect();
    let tables = container.mount("tables", keys.iter().map(|key| (key.as_str(), &[b'x'; 700][..])));
    let sources = [mounted("tables", "ConfigMap", &tables, &json!({"prefix": "sql/"}))];
    container.boot(&sources).log();
    (sources, container.tree())
}

/// Waits until `mark` is on the volume, or boot has exited, and kills it.
fn kill_at(container: &Container, mark: &str, mut boot: Child) -> ExitStatus {
    let deadline = Instant::now() + Duration::from_mins(1);
    while !container.at(mark).exists() && boot.try_wait().unwrap().is_none() {
        assert!(Instant::now() < deadline, "{mark} never appeared");
        std::thread::yield_now();
    }
    boot.kill().unwrap();
    boot.wait().unwrap()
}

/// Boot is killed when it has created certain files: early and late in the staging folder, early and late
/// among the assets, the launcher, and the last file of all.
#[test]
fn a_killed_boot_leaves_no_incomplete_result() {
    let container = Container::new();
    let (sources, whole) = many_files(&container);
    for mark in [
        ".staging",
        ".staging/0",
        ".staging/200",
        "bin/launch",
        "assets/sql/file-010",
        "assets/sql/file-390",
        "env/keep",
        "env/environ",
    ] {
        fs::remove_dir_all(&container.args.root).unwrap();
        fs::create_dir(&container.args.root).unwrap();
        kill_at(&container, mark, boot(&container, &sources).stderr(Stdio::null()).spawn().unwrap());

        let mut left = container.tree();
        left.retain(|path, _| !path.starts_with(".staging"));
        if container.at("env/environ").exists() {
            assert_eq!(left, whole, "{mark}");
        }
        for (path, entry) in left.iter().filter(|(_, entry)| entry.content.is_some()) {
            assert_eq!(whole.get(path), Some(entry), "{mark}: {}", path.display());
        }
        container.boot(&sources).log();
        assert_eq!(container.tree(), whole, "{mark}");
    }
}

/// A launcher that is a pipe blocks boot between the fetch and the write, so the kill always happens there.
#[test]
fn a_boot_that_is_killed_after_the_fetch_leaves_nothing_for_the_task() {
    let mut container = Container::new();
    let (sources, whole) = many_files(&container);
    let pipe = container.beside("pipe");
    let (kind, mode) = (rustix::fs::FileType::Fifo, rustix::fs::Mode::from_raw_mode(0o600));
    rustix::fs::mknodat(rustix::fs::CWD, &pipe, kind, mode, 0).unwrap();
    let launcher = std::mem::replace(&mut container.args.launcher, pipe);

    let last = format!(".staging/{}", FILES - 1);
    let ended = kill_at(&container, &last, boot(&container, &sources).stderr(Stdio::null()).spawn().unwrap());
    assert_eq!(ended.signal(), Some(9));
    assert!(container.assets().is_empty());
    assert!(!container.at("env/environ").exists() && !container.at("bin/launch").exists());

    container.args.launcher = launcher;
    container.boot(&sources).log();
    assert_eq!(container.tree(), whole);
}
