//! `launch run --ending=publish`: what the launcher tells the sidecar about the end of the task.

use std::fs;
use std::process::{Child, Command, Stdio};

use bootlace_launch::handover::{Attempt, Cause, Ended, Ending, Folder};

use crate::support::{Boot, Lines, kill, stdout, until};

const PUBLISH: &[&str] = &["--ending=publish"];

/// The view of the sidecar.
fn attempt(boot: &Boot) -> Attempt {
    until("an attempt", || Attempt::newest(&Folder::open(&boot.handover()).ok()?).unwrap())
}

fn ended(attempt: &Attempt) -> Ended {
    until("the end of the task", || match attempt.ending().unwrap() {
        Some(Ending::Ended(ended)) => Some(ended),
        Some(Ending::Stopping { .. }) | None => None,
    })
}

/// A launcher whose task is a shell script that prints a line when it has started.
struct Running {
    launcher: Child,
    lines: Lines,
}

impl Running {
    fn new(boot: &Boot, script: &str) -> Self {
        let mut run = boot.run(PUBLISH);
        // A shell cannot trap a signal that it inherits as ignored.
        let mut launcher = Command::new("env")
            .args(["--default-signal", "--ignore-environment", "PATH=/usr/bin:/bin"])
            .arg(run.get_program())
            .args(run.get_args())
            .args(["sh", "-c", script])
            .current_dir(boot.path())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        run.stdin(Stdio::null());
        let lines = Lines::of(launcher.stdout.take().unwrap());
        Self { launcher, lines }
    }

    fn kill(&self, signal: &str) {
        kill(signal, &self.launcher.id().to_string());
    }

    fn exit(&mut self) -> Option<i32> {
        until("the launcher's end", || self.launcher.try_wait().unwrap()).code()
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.launcher.kill();
        let _ = self.launcher.wait();
    }
}

#[test]
fn a_task_that_exits_or_crashes_has_ended_by_itself() {
    for (script, exit, signal) in [("exit 0", 0, 0), ("exit 3", 3, 0), ("kill -SEGV $$", 139, 11)] {
        let boot = Boot::empty();
        let status = boot.run(PUBLISH).args(["sh", "-c", script]).status().unwrap();
        assert_eq!(status.code(), Some(i32::from(exit)));
        let attempt = attempt(&boot);
        let Ended { cause, exit: found, signal: killed, milliseconds } = ended(&attempt);
        assert_eq!((cause, found, killed), (Cause::Itself, exit, signal), "{script}");
        assert!(milliseconds < 30_000 && attempt.launcher_has_ended());
        assert_eq!(attempt.manifest().unwrap().unwrap().exit(), exit);
    }
}

#[test]
fn a_task_that_is_killed_has_been_ended_by_others() {
    for (script, exit, signal) in
        [("kill -KILL $$", 137, 9), ("kill -TERM $$", 143, 15), ("exit 137", 137, 0)]
    {
        let boot = Boot::empty();
        boot.run(PUBLISH).args(["sh", "-c", script]).status().unwrap();
        let Ended { cause, exit: found, signal: killed, .. } = ended(&attempt(&boot));
        assert_eq!((cause, found, killed), (Cause::Others, exit, signal), "{script}");
    }
}

#[test]
fn a_signal_to_stop_is_published_before_the_task_has_handled_it() {
    let boot = Boot::empty();
    // The handler waits for the test.
    let script = "trap 'read line; exit 0' TERM; echo ready; while :; do read line; done";
    let mut running = Running::new(&boot, script);
    assert_eq!(running.lines.next(), "ready");
    let attempt = attempt(&boot);
    assert_eq!(attempt.ending().unwrap(), None);
    running.kill("TERM");
    until("the signal", || {
        (attempt.ending().unwrap() == Some(Ending::Stopping { signal: 15 })).then_some(())
    });
    drop(running.launcher.stdin.take());
    assert_eq!(running.exit(), Some(0));
    assert_eq!((ended(&attempt).cause, ended(&attempt).exit), (Cause::Others, 0));
}

#[test]
fn another_signal_does_not_stop_a_task_unless_it_kills_it() {
    let boot = Boot::empty();
    let mut running = Running::new(&boot, "trap 'echo got' USR1; echo ready; while :; do read line; done");
    assert_eq!(running.lines.next(), "ready");
    running.kill("USR1");
    assert_eq!(running.lines.next(), "got");
    assert_eq!(attempt(&boot).ending().unwrap(), None);
    running.kill("USR2");
    assert_eq!(running.exit(), Some(140));
    assert_eq!(ended(&attempt(&boot)).cause, Cause::Others);
}

#[test]
fn a_launcher_that_is_killed_publishes_nothing_and_its_task_ends_with_it() {
    let boot = Boot::empty();
    let mut running = Running::new(&boot, "echo $$; while :; do read line; done");
    let task = running.lines.next();
    let attempt = attempt(&boot);
    assert!(!attempt.launcher_has_ended());
    running.kill("KILL");
    until("the end of the launcher", || attempt.launcher_has_ended().then_some(()));
    assert_eq!(attempt.ending().unwrap(), None);
    until("the end of the task", || fs::metadata(format!("/proc/{task}")).is_err().then_some(()));
    running.exit();
}

#[test]
fn the_task_leaves_what_its_abort_needs() {
    let boot = Boot::empty();
    let script = "printf %s \"$BOOTLACE_ABORT\"; umask 077; echo job-17 >\"$BOOTLACE_ABORT\"";
    let output = boot.run(PUBLISH).env("BOOTLACE_ABORT", "/of/the/pod").args(["sh", "-c", script]).output();
    let path = boot.handover().join("1/abort");
    assert_eq!(stdout(output.unwrap()), path.as_os_str().as_encoded_bytes());
    assert_eq!(attempt(&boot).abort_text().unwrap().as_deref(), Some("job-17"));
    // Each start of the container has its own.
    stdout(boot.run(PUBLISH).args(["true"]).output().unwrap());
    let second = attempt(&boot);
    assert_eq!((second.number(), second.abort_text().unwrap()), (2, None));
}

#[test]
fn a_task_that_cannot_be_executed_has_ended_by_itself() {
    let boot = Boot::empty();
    let status = boot.run(PUBLISH).args(["no-such-command"]).status().unwrap();
    assert_eq!(status.code(), Some(127));
    assert_eq!((ended(&attempt(&boot)).cause, ended(&attempt(&boot)).exit), (Cause::Itself, 127));
}

#[test]
fn without_the_flag_nothing_is_published() {
    let boot = Boot::empty();
    let run = boot
        .run(&["--optional-output=A:Secret:a"])
        .args(["sh", "-c", "echo ${BOOTLACE_ABORT-unset}"])
        .output();
    assert_eq!(stdout(run.unwrap()), b"unset\n");
    assert_eq!(attempt(&boot).ending().unwrap(), None);
    assert!(!boot.handover().join("1/abort").exists());
}
