//! The hooks of the profile in the container of the task: `preLaunch` of `exec` and `run`, and `prestop`.
//! `postLaunch` is among the tests of the hook.

use std::fs;
use std::process::{Command, Output, Stdio};
use std::time::{Duration, Instant};

use bootlace_launch::code::Code;

use crate::support::{Boot, LAUNCHER, Lines, PATH, failed, has_code, kill, stderr, stdout, until};

/// The flags of a hook that runs a shell script.
fn hook(name: &str, seconds: u32, on_failure: &str, script: &str) -> Vec<String> {
    vec![
        format!("--hook={name}:{seconds}:{on_failure}"),
        "--argument=sh".to_owned(),
        "--argument=-c".to_owned(),
        format!("--argument={script}"),
    ]
}

/// `launch exec`, or `launch run` with the protocol for hooks, with these hooks before the task.
fn launch(boot: &Boot, supervised: bool, hooks: &[String]) -> Command {
    let mut command = Command::new(LAUNCHER);
    command.env_clear().env("PATH", PATH).current_dir(boot.path()).stdin(Stdio::null());
    let model = if supervised { boot.run(&["--ending=publish"]) } else { boot.exec() };
    let mut words: Vec<_> = model.get_args().map(ToOwned::to_owned).collect();
    let dashes = words.pop();
    command.args(words).args(hooks).args(dashes);
    command
}

fn prestop(boot: &Boot, timeout: u32, grace: u32, hooks: &[String]) -> Command {
    let mut command = Command::new(LAUNCHER);
    command.env_clear().env("PATH", PATH).current_dir(boot.path()).arg("prestop");
    let model = boot.exec();
    let words: Vec<_> =
        model.get_args().skip(1).filter(|word| *word != "--").map(ToOwned::to_owned).collect();
    command.args(words).arg(format!("--timeout={timeout}")).arg(format!("--grace={grace}")).args(hooks);
    command
}

#[test]
fn hooks_run_in_order_with_the_boot_env_and_their_output_is_not_that_of_the_task() {
    for supervised in [false, true] {
        let boot = Boot::new(&[("WORD", b"hello")], &[]);
        let hooks = [hook("a", 9, "fail", "echo a $WORD"), hook("b", 9, "ignore", "echo b >&2")].concat();
        let output =
            launch(&boot, supervised, &hooks).args(["sh", "-c", "echo task $WORD"]).output().unwrap();
        assert_eq!(stderr(&output), "a hello\nb\n");
        assert_eq!(stdout(output), b"task hello\n");
    }
}

#[test]
fn a_hook_that_fails_keeps_the_task_from_starting() {
    for supervised in [false, true] {
        for (script, seconds, part) in [
            ("exit 3", 9, "exit code 3"),
            ("kill -KILL $$", 9, "killed by signal 9"),
            ("sleep 60", 1, "was killed after 1 s"),
        ] {
            let boot = Boot::empty();
            let hooks = [hook("a", seconds, "fail", script), hook("b", 9, "fail", "touch b")].concat();
            let output = launch(&boot, supervised, &hooks).args(["touch", "task"]).output().unwrap();
            let message = failed(&boot, &output, 69, Code::PreLaunchHookFailed);
            assert!(message.contains("preLaunch hook \"a\"") && message.contains(part), "{message}");
            assert!(!boot.path().join("b").exists() && !boot.path().join("task").exists());
        }
    }
}

#[test]
fn a_hook_whose_program_does_not_exist_fails() {
    let boot = Boot::empty();
    let hooks = ["--hook=a:9:fail".to_owned(), "--argument=no-such-program".to_owned()];
    let output = launch(&boot, false, &hooks).args(["touch", "task"]).output().unwrap();
    let message = failed(&boot, &output, 69, Code::PreLaunchHookFailed);
    assert!(message.contains("\"no-such-program\" not found"), "{message}");
}

#[test]
fn a_failure_that_is_ignored_is_a_warning_in_the_log() {
    let boot = Boot::empty();
    let hooks = hook("a", 1, "ignore", "sleep 60");
    let output = launch(&boot, false, &hooks).args(["echo", "task"]).output().unwrap();
    let message = stderr(&output);
    assert!(
        message.contains("warning: preLaunch hook \"a\"") && has_code(&message, Code::PreLaunchHookFailed)
    );
    assert_eq!(stdout(output), b"task\n");
    assert_eq!(boot.termination_message(), "");
}

#[test]
fn a_timeout_kills_the_processes_that_the_hook_started() {
    let boot = Boot::empty();
    let hooks = hook("a", 1, "ignore", "sleep 1000 & echo $! >child; wait");
    stdout(launch(&boot, false, &hooks).args(["true"]).output().unwrap());
    let child = fs::read_to_string(boot.path().join("child")).unwrap();
    until("the end of the child", || {
        let stat = fs::read_to_string(format!("/proc/{}/stat", child.trim())).ok();
        stat.is_none_or(|stat| stat.contains(") Z ")).then_some(())
    });
}

#[test]
fn a_signal_stops_the_hook_and_the_task_does_not_start() {
    for supervised in [false, true] {
        let boot = Boot::empty();
        let hooks = hook("a", 60, "ignore", "echo ready >&2; exec sleep 60");
        let mut command = launch(&boot, supervised, &hooks);
        let mut child =
            command.args(["touch", "task"]).stderr(Stdio::piped()).stdout(Stdio::null()).spawn().unwrap();
        let lines = Lines::of(child.stderr.take().unwrap());
        assert_eq!(lines.next(), "ready");
        kill("TERM", &child.id().to_string());
        assert_eq!(child.wait().unwrap().code(), Some(143));
        assert!(
            has_code(&boot.termination_message(), Code::TaskHookStopped),
            "{}",
            boot.termination_message()
        );
        assert!(!boot.path().join("task").exists());
    }
}

#[test]
fn the_task_after_a_hook_blocks_no_signals() {
    let boot = Boot::empty();
    let hooks = hook("a", 9, "fail", "true");
    let output =
        launch(&boot, false, &hooks).args(["grep", "-E", "^SigBlk", "/proc/self/status"]).output().unwrap();
    let line = String::from_utf8(stdout(output)).unwrap();
    assert_eq!(line.trim().rsplit_once('\t').unwrap().1, "0000000000000000");
}

fn said(boot: &Boot) -> String {
    fs::read_to_string(boot.path().join("said")).unwrap_or_default()
}

fn run(mut command: Command) -> (Output, Duration) {
    let begun = Instant::now();
    (command.output().unwrap(), begun.elapsed())
}

#[test]
fn prestop_runs_all_hooks_and_then_the_handler_of_the_pod() {
    let boot = Boot::new(&[("WORD", b"hello")], &[]);
    let hooks = [
        hook("a", 9, "fail", "echo a $WORD >>said; exit 3"),
        hook("b", 9, "ignore", "echo b >>said; exit 3"),
    ]
    .concat();
    let mut command = prestop(&boot, 10, 30, &hooks);
    command.args(["--", "sh", "-c", "echo handler $WORD >>said"]);
    let (output, _) = run(command);
    assert_eq!(output.status.code(), Some(1));
    assert_eq!(said(&boot), "a hello\nb\nhandler hello\n");
    let messages = stderr(&output);
    assert!(
        has_code(&messages, Code::PreKillHookFailed) && messages.contains("preKill hook \"a\""),
        "{messages}"
    );
    // The termination message is that of the task.
    assert_eq!(boot.termination_message(), "");
}

#[test]
fn the_handler_of_the_pod_is_reached_although_hooks_hang() {
    let boot = Boot::empty();
    let hooks = [hook("a", 60, "fail", "sleep 60"), hook("b", 60, "fail", "sleep 60")].concat();
    let mut command = prestop(&boot, 1, 30, &hooks);
    command.args(["--", "sh", "-c", "echo handler >>said"]);
    let (output, took) = run(command);
    assert!(output.status.code() == Some(1) && took < Duration::from_secs(20), "{took:?}");
    assert_eq!(said(&boot), "handler\n");
}

#[test]
fn a_handler_that_sleeps_keeps_its_time() {
    let boot = Boot::empty();
    let mut command = prestop(&boot, 1, 30, &hook("a", 1, "fail", "echo a >>said"));
    command.arg("--sleep=1");
    let (output, took) = run(command);
    assert!(output.status.success() && took >= Duration::from_secs(1), "{took:?}");
    assert_eq!(said(&boot), "a\n");
}

#[test]
fn the_handler_of_the_pod_runs_without_a_boot_env() {
    let boot = Boot::empty();
    fs::remove_file(boot.environ()).unwrap();
    let mut command = prestop(&boot, 1, 30, &[]);
    command.args(["--", "sh", "-c", "echo handler >>said; exit 4"]);
    let (output, _) = run(command);
    assert_eq!(output.status.code(), Some(1));
    assert!(has_code(&stderr(&output), Code::PreStopFailed), "{}", stderr(&output));
    assert_eq!(said(&boot), "handler\n");
}
