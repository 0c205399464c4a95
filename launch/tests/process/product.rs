//! What only the shipped, static binary shows.

use std::fs;
use std::process::{Command, Stdio};
use std::sync::LazyLock;

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
fn it_runs_where_there_is_nothing_but_itself() {
    // As in a scratch image: no libraries, no shell, no /proc.
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
    failed(&boot, &run("exit 0"), 74);
}

#[test]
fn it_does_not_hand_to_a_shell_what_the_kernel_refuses() {
    // glibc would run such a file with /bin/sh; a container runtime does not, and neither does the static
    // binary.
    let boot = Boot::new(&[("A", b"1")], &[]);
    let script = boot.file("script", "echo ran\n", 0o755);
    let output = boot.exec_by(&LAUNCHER).arg(&script).output().unwrap();
    assert!(output.stdout.is_empty());
    let told = failed(&boot, &output, 126);
    assert!(told.contains("built for another architecture, or it is a script that does not begin with `#!`"));
}

#[test]
fn it_execs_with_the_boot_env() {
    let boot = Boot::new(&[("A", b"\xff\n")], &[]);
    let output = boot.exec_by(&LAUNCHER).args(["sh", "-c", "printf %s \"$A\""]).output().unwrap();
    assert_eq!(stdout(output), b"\xff\n");
}
