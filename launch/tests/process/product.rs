//! Tests of the static binary in the image.

use std::fs;
use std::process::{Command, Stdio};
use std::sync::LazyLock;

use bootlace_launch::code::Code;
use bootlace_launch::handover::StoreResult;

use crate::shipped;
use crate::support::{Boot, failed, stdout};

static LAUNCHER: LazyLock<std::path::PathBuf> = LazyLock::new(shipped::launcher);

#[test]
fn it_is_under_half_a_megabyte() {
    let size = fs::metadata(&*LAUNCHER).unwrap().len();
    assert!(size < 500_000, "{size} bytes");
}

#[test]
fn it_runs_in_an_empty_root_directory() {
    // As in a scratch image: without libraries, shell and /proc.
    let root = tempfile::tempdir().unwrap();
    fs::copy(&*LAUNCHER, root.path().join("launch")).unwrap();
    fs::create_dir_all(root.path().join("bootlace/env/keep")).unwrap();
    fs::write(root.path().join("bootlace/env/environ"), "A=1\0").unwrap();
    fs::write(root.path().join("bootlace/env/keep/base"), "").unwrap();
    let run = ["run", "--container=base", "--handover=/run", "--deadline=1", "--optional-output=A:Secret:a"];
    for verb in [&["exec", "--container=base"][..], &run] {
        let output = Command::new("unshare")
            .args(["--user", "--map-root-user", "chroot"])
            .arg(root.path())
            .arg("/launch")
            .args(verb)
            .args(["--", "/launch", "--version"])
            .stdin(Stdio::null())
            .output()
            .unwrap();
        assert_eq!(stdout(output), concat!("bootlace-launch ", env!("CARGO_PKG_VERSION"), "\n").as_bytes());
    }
}

#[test]
fn it_supervises() {
    let boot = Boot::new(&[("A", b"\xff\n")], &[]);
    let sidecar = boot.sidecar(StoreResult::Stored);
    let mut run = boot.run_by(&LAUNCHER, &["--output=Report:Secret:report.*"]);
    stdout(run.args(["sh", "-c", "printf %s \"$A\" >report.txt"]).output().unwrap());
    assert_eq!(
        sidecar.join().unwrap().files(),
        [("Report:Secret:report.txt".to_owned(), b"\xff\n".to_vec())]
    );
    let run = |script| {
        boot.run_by(&LAUNCHER, &["--output=A:Secret:a"]).args(["sh", "-c", script]).output().unwrap()
    };
    assert_eq!(run("exit 3").status.code(), Some(3));
    assert_eq!(run("kill -34 $$").status.code(), Some(162));
    failed(&boot, &run("exit 0"), 74, Code::TaskOutputMissing);
}

#[test]
fn it_does_not_execute_scripts_without_an_interpreter() {
    // glibc would execute such a file with /bin/sh. A container runtime does not, and neither does the static
    // binary.
    let boot = Boot::new(&[("A", b"1")], &[]);
    let script = boot.file("script", "echo ran\n", 0o755);
    let output = boot.exec_by(&LAUNCHER).arg(&script).output().unwrap();
    assert!(output.stdout.is_empty());
    failed(&boot, &output, 126, Code::TaskCommandFormat);
}

#[test]
fn it_execs_with_the_boot_env() {
    let boot = Boot::new(&[("A", b"\xff\n")], &[]);
    let output = boot.exec_by(&LAUNCHER).args(["sh", "-c", "printf %s \"$A\""]).output().unwrap();
    assert_eq!(stdout(output), b"\xff\n");
}
