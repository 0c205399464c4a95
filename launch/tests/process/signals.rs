//! `launch run`: forwards signals of the container runtime to the task, and reaps processes that the task
//! left.

use std::fs;
use std::process::{Child, Command, ExitStatus, Stdio};

use bootlace_launch::handover::StoreResult;

use crate::support::{Boot, LAUNCHER, Lines, PATH, kill, stderr, stdout, until};

const OUTPUT: &str = "--optional-output=Report:ConfigMap:report.txt";

/// A launcher whose task is a shell script. The script first prints its PID.
struct Running {
    launcher: Child,
    lines: Lines,
    task: String,
}

impl Running {
    fn new(boot: &Boot, script: &str) -> Self {
        // A shell that reads handles a signal at once. One that waits for a child process handles it
        // afterwards.
        let script = format!("{script}\necho $$\nwhile :; do read line; done");
        let run = boot.run(&[OUTPUT]);
        let mut launcher = Command::new("env")
            // A shell cannot trap a signal that it inherits as ignored, as background processes do.
            .args(["--default-signal", "--ignore-environment", &format!("PATH={PATH}"), LAUNCHER])
            .args(run.get_args())
            .args(["sh", "-c", &script])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let lines = Lines::of(launcher.stdout.take().unwrap());
        let task = lines.next();
        Self { launcher, lines, task }
    }

    /// Sends the launcher a signal.
    fn kill(&self, signal: &str) {
        kill(signal, &self.launcher.id().to_string());
    }

    fn ended(&mut self) -> ExitStatus {
        until("the launcher's end", || self.launcher.try_wait().unwrap())
    }
}

/// Kills the launcher, and so the task, if a test fails.
impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.launcher.kill();
        let _ = self.launcher.wait();
    }
}

/// The state of a process, as one letter. `None` after its end.
fn state(process: &str) -> Option<char> {
    let stat = fs::read_to_string(format!("/proc/{process}/stat")).ok()?;
    stat.rsplit_once(") ")?.1.chars().next()
}

#[test]
fn signals_reach_the_task() {
    let signals = [
        "HUP", "INT", "QUIT", "USR1", "USR2", "PIPE", "ALRM", "TERM", "CONT", "TSTP", "TTIN", "TTOU", "URG",
        "WINCH", "IO",
    ];
    let boot = Boot::empty();
    let traps: Vec<_> = signals.iter().map(|signal| format!("trap 'echo {signal}' {signal}")).collect();
    let mut running = Running::new(&boot, &traps.join("\n"));
    for signal in signals {
        running.kill(signal);
        assert_eq!(running.lines.next(), signal);
    }
    running.kill("TERM");
    assert_eq!(running.lines.next(), "TERM");
    kill("KILL", &running.task.clone());
    assert_eq!(running.ended().code(), Some(137));
}

#[test]
fn a_signal_that_the_task_does_not_handle_ends_it() {
    for (signal, code) in [("TERM", 143), ("INT", 130), ("HUP", 129), ("USR1", 138)] {
        let boot = Boot::empty();
        let mut running = Running::new(&boot, "");
        running.kill(signal);
        assert_eq!(running.ended().code(), Some(code), "{signal}");
        assert_eq!(boot.termination_message(), "");
    }
}

#[test]
fn a_task_that_ends_with_0_on_a_signal_has_succeeded() {
    let boot = Boot::empty();
    let mut running = Running::new(&boot, "trap 'exit 0' TERM");
    running.kill("TERM");
    assert_eq!(running.ended().code(), Some(0));
}

#[test]
fn a_stopped_task_continues_after_sigcont() {
    let boot = Boot::empty();
    let mut running = Running::new(&boot, "trap 'echo went on' CONT");
    kill("STOP", &running.task.clone());
    until("the stop", || (state(&running.task) == Some('T')).then_some(()));
    assert_eq!(running.launcher.try_wait().unwrap(), None);
    running.kill("CONT");
    assert_eq!(running.lines.next(), "went on");
    running.kill("TERM");
    assert_eq!(running.ended().code(), Some(143));
}

#[test]
fn signals_while_waiting_for_the_result_are_ignored() {
    let boot = Boot::empty();
    let output = "--output=Report:ConfigMap:report.txt";
    let mut child = boot.run(&[output]).args(["touch", "report.txt"]).spawn().unwrap();
    let handed = boot.handed_over();
    for signal in ["TERM", "INT", "HUP", "USR1", "PIPE"] {
        kill(signal, &child.id().to_string());
    }
    assert_eq!(child.try_wait().unwrap(), None);
    handed.attempt.write_result(&StoreResult::Stored).unwrap();
    assert_eq!(child.wait().unwrap().code(), Some(0));
}

#[test]
fn the_task_ends_with_a_launcher_that_is_killed() {
    let boot = Boot::empty();
    let mut running = Running::new(&boot, "trap '' TERM HUP INT");
    running.kill("KILL");
    assert_eq!(running.ended().code(), None);
    until("the task's end", || matches!(state(&running.task), None | Some('Z')).then_some(()));
}

#[test]
fn as_the_first_process_it_forwards_signals_from_its_container() {
    let boot = Boot::empty();
    let output = boot.namespace(&format!("exec $launch_run {OUTPUT} -- sh -c 'kill -TERM 1; sleep 60'"));
    assert_eq!(output.status.code(), Some(143), "{}", stderr(&output));
}

#[test]
fn as_the_first_process_it_reaps_orphans() {
    let boot = Boot::empty();
    let script = r#"
        sh -c 'sh -c "echo \$\$; read x <$fifo" >orphan & until [ -s orphan ]; do :; done'
        orphan=$(cat orphan)
        [ "$(cut -d" " -f4 /proc/$orphan/stat)" = 1 ] || exit 3
        echo >"$fifo"
        while [ -e /proc/$orphan ]; do :; done
        echo reaped"#;
    let task = boot.file("task", &format!("#!/bin/sh\n{script}\n"), 0o755);
    let output = boot.namespace(&format!(
        "cd {}; exec $launch_run {OUTPUT} -- {}",
        boot.path().display(),
        task.display()
    ));
    assert_eq!(stdout(output), b"reaped\n");
}

#[test]
fn as_the_first_process_it_kills_other_processes_before_it_reads_the_outputs() {
    let boot = Boot::empty();
    let task = boot.file(
        "task",
        "#!/bin/sh\n(trap '' TERM HUP; while :; do echo line; done >report.txt) &\nuntil [ -s report.txt ]; do :; done\n",
        0o755,
    );
    let sidecar = boot.sidecar(StoreResult::Stored);
    let output = boot.namespace(&format!(
        "cd {}; ulimit -f 1000; exec $launch_run --output=Report:ConfigMap:report.txt -- {}",
        boot.path().display(),
        task.display()
    ));
    stdout(output);
    let (_, report) = sidecar.join().unwrap().files().remove(0);
    assert_eq!(report, fs::read(boot.path().join("report.txt")).unwrap());
}
