//! `launch hook` with the pod's own postStart handler, `sleep` or `exec`. There is no boot env here, so there
//! is nothing to prove first.

use std::time::{Duration, Instant};

use bootlace_launch::code::Code;

use crate::support::{Boot, failed, stdout};

#[test]
fn without_a_handler_the_hook_only_verifies() {
    assert_eq!(stdout(Boot::empty().hook(1).output().unwrap()), b"");
}

#[test]
fn sleep_waits() {
    let start = Instant::now();
    stdout(Boot::empty().hook(30).arg("--sleep=1").output().unwrap());
    assert!(start.elapsed() >= Duration::from_secs(1));
}

#[test]
fn a_sleep_over_the_limit_fails_at_once() {
    let (boot, start) = (Boot::empty(), Instant::now());
    let output = boot.hook(30).arg("--sleep=3600").output().unwrap();
    let message = failed(&boot, &output, 1, Code::PostStartFailed);
    assert!(message.contains("3600 s") && message.contains("30 s"), "{message}");
    assert!(start.elapsed() < Duration::from_secs(20));
}

#[test]
fn the_output_of_a_command_is_where_the_kubelet_reads_it() {
    let output =
        Boot::empty().hook(30).args(["--", "sh", "-c", "echo out; echo err >&2", ""]).output().unwrap();
    assert_eq!(output.stderr, b"err\n");
    assert_eq!(stdout(output), b"out\n");
}

#[test]
fn commands_inherit_no_blocked_or_ignored_signals() {
    let script = "exec grep -E ^Sig[BI] /proc/self/status";
    let boot = Boot::empty();
    let mut hook = boot.hook(30);
    hook.args(["--hook=a:9:fail", "--argument=sh", "--argument=-c", &format!("--argument={script}")]);
    hook.args(["--", "sh", "-c", script]);
    let output = hook.output().unwrap();
    // The output of a hook is in the log.
    let masks = String::from_utf8([output.stdout, output.stderr].concat()).unwrap();
    assert_eq!(masks.lines().count(), 4, "{masks}");
    for line in masks.lines() {
        let (name, mask) = line.split_once(":\t").unwrap();
        let mask = u64::from_str_radix(mask, 16).unwrap();
        // What the test itself was started with may ignore others.
        let sigpipe = 1 << 12;
        assert_eq!(if name == "SigBlk" { mask } else { mask & sigpipe }, 0, "{line}");
    }
}

#[test]
fn the_hook_has_no_threads() {
    let script = "ls /proc/$PPID/task | wc -l";
    let output = Boot::empty().hook(30).args(["--", "sh", "-c", script]).output().unwrap();
    assert_eq!(stdout(output).trim_ascii(), b"1");
}

#[test]
fn a_command_that_fails_fails_the_hook_without_its_output() {
    for (script, reason) in [("echo hunter2; exit 3", "exit code 3"), ("kill -KILL $$", "killed by signal 9")]
    {
        let boot = Boot::empty();
        let output = boot.hook(30).args(["--", "sh", "-c", script]).output().unwrap();
        let message = failed(&boot, &output, 1, Code::PostStartFailed);
        assert!(message.contains(reason), "{message}");
        assert!(!message.contains("hunter2"), "{message}");
    }
}

#[test]
fn a_command_that_is_not_there_fails_the_hook() {
    let boot = Boot::empty();
    let output = boot.hook(30).args(["--", "absent", "hunter2"]).output().unwrap();
    let message = failed(&boot, &output, 1, Code::PostStartFailed);
    assert!(message.contains("\"absent\"") && !message.contains("hunter2"), "{message}");
}

#[test]
fn a_command_over_the_limit_is_killed() {
    let (boot, start) = (Boot::empty(), Instant::now());
    // The command's own process waits; a child of it would keep the test's pipes open.
    let output = boot.hook(1).args(["--", "sleep", "60"]).output().unwrap();
    let message = failed(&boot, &output, 1, Code::PostStartFailed);
    assert!(message.contains("was killed at the hook timeout of 1 s"), "{message}");
    assert!(start.elapsed() < Duration::from_secs(30));
}

#[test]
fn a_request_needs_the_launcher_with_tls() {
    let boot = Boot::empty();
    let output = boot.hook(30).arg("--http=http://127.0.0.1:1/").output().unwrap();
    failed(&boot, &output, 1, Code::PostStartFailed);
}
