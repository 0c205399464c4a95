//! `launch run`: the task runs and exits as with `launch exec`, unless its outputs cannot be stored.

use std::fs;
use std::io::Write;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::CommandExt;
use std::process::{Command, Stdio};

use bootlace_launch::code::Code;
use bootlace_launch::handover::{OneLine, StoreResult};

use crate::support::{Boot, LAUNCHER, PATH, failed, stderr, stdout};

const OUTPUT: &str = "--output=Report:ConfigMap:report.txt";

/// Captures standard output and standard error.
fn piped(command: &mut Command) -> &mut Command {
    command.stdout(Stdio::piped()).stderr(Stdio::piped())
}

#[test]
fn a_task_has_succeeded_only_once_its_outputs_are_stored() {
    let boot = Boot::new(&[("WORD", b"\xffhello")], &[]);
    let script = "printf out; printf err >&2; printf %s \"$WORD\" >report.txt";
    let mut child = piped(&mut boot.run(&[OUTPUT])).args(["sh", "-c", script]).spawn().unwrap();

    let handed = boot.handed_over();
    assert_eq!(handed.manifest.exit(), 0);
    assert_eq!(handed.files(), [("Report:ConfigMap:report.txt".to_owned(), b"\xffhello".to_vec())]);
    assert_eq!(child.try_wait().unwrap(), None, "it waits for the sidecar");
    handed.attempt.write_result(&StoreResult::Stored).unwrap();

    let output = child.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(0));
    assert_eq!((&output.stdout[..], &output.stderr[..]), (&b"out"[..], &b"err"[..]));
    assert_eq!(boot.termination_message(), "");
}

#[test]
fn a_task_whose_outputs_cannot_be_stored_fails_with_the_message_of_the_sidecar() {
    let boot = Boot::empty();
    let sidecar = boot.sidecar(StoreResult::Failed(OneLine::new("the store cannot be reached")));
    let output = boot.run(&[OUTPUT]).args(["touch", "report.txt"]).output().unwrap();
    let message = failed(&boot, &output, 74, Code::TaskOutputsNotStored);
    assert!(message.contains(": the store cannot be reached ["), "{message}");
    sidecar.join().unwrap();
}

#[test]
fn a_sidecar_that_does_not_answer_fails_the_task_at_the_deadline() {
    let boot = Boot::empty();
    let output = boot.run(&[OUTPUT, "--deadline=1"]).args(["touch", "report.txt"]).output().unwrap();
    failed(&boot, &output, 74, Code::TaskOutputsTimeout);
    assert_eq!(boot.handed_over().files().len(), 1);
}

#[test]
fn an_invalid_result_fails_the_task() {
    let boot = Boot::empty();
    let child = piped(&mut boot.run(&[OUTPUT])).args(["touch", "report.txt"]).spawn().unwrap();
    boot.handed_over();
    fs::write(boot.handover().join("1/result"), "stored?\n").unwrap();
    let output = child.wait_with_output().unwrap();
    failed(&boot, &output, 74, Code::TaskHandoverFailed);
}

#[test]
fn a_task_that_fails_keeps_its_exit_code_and_nothing_is_stored() {
    // 162 is SIGRTMIN + 2, a signal without a name.
    for (script, code) in [
        ("exit 1", 1),
        ("exit 42", 42),
        ("exit 255", 255),
        ("kill -TERM $$", 143),
        ("kill -KILL $$", 137),
        ("kill -SEGV $$", 139),
        ("kill -PIPE $$", 141),
        ("kill -34 $$", 162),
    ] {
        let boot = Boot::empty();
        let script = format!("echo report >report.txt; {script}");
        let output = boot.run(&[OUTPUT]).args(["sh", "-c", &script]).output().unwrap();
        assert_eq!(output.status.code(), Some(code), "{script}: {}", stderr(&output));
        assert_eq!((stderr(&output), boot.termination_message()), (String::new(), String::new()), "{script}");
        let handed = boot.handed_over();
        assert_eq!(i32::from(handed.manifest.exit()), code);
        assert!(handed.files().is_empty(), "{script}");
        assert!(!boot.handover().join("1/file-0").exists(), "{script}");
    }
}

#[test]
fn outputs_of_a_failed_task_are_stored_with_on_failure_and_keep_its_exit_code() {
    for result in [StoreResult::Stored, StoreResult::Failed(OneLine::new("no"))] {
        let boot = Boot::empty();
        let sidecar = boot.sidecar(result);
        let script = "echo log >report.txt; exit 3";
        let output = boot.run(&[OUTPUT, "--on-failure=store"]).args(["sh", "-c", script]).output().unwrap();
        assert_eq!(output.status.code(), Some(3));
        assert_eq!(boot.termination_message(), "");
        let handed = sidecar.join().unwrap();
        assert_eq!(handed.manifest.exit(), 3);
        assert_eq!(handed.files(), [("Report:ConfigMap:report.txt".to_owned(), b"log\n".to_vec())]);
    }
    // A task that did not write its outputs keeps its exit code. The sidecar gets the error.
    let boot = Boot::empty();
    let output = boot.run(&[OUTPUT, "--on-failure=store"]).arg("false").output().unwrap();
    assert_eq!(output.status.code(), Some(1));
    let refused = boot.handed_over().refused().to_owned();
    assert!(refused.starts_with("output \"Report\": ") && refused.contains("\"report.txt\""), "{refused}");
}

#[test]
fn without_outputs_it_does_not_wait() {
    let boot = Boot::empty();
    let optional = "--optional-output=Report:Secret:report.txt";
    stdout(boot.run(&[optional]).arg("true").output().unwrap());
    let handed = boot.handed_over();
    assert_eq!((handed.manifest.exit(), handed.files().len()), (0, 0));
}

#[test]
fn the_task_is_set_up_as_the_containers_first_process_would_be() {
    // Its signals, open files, working directory and umask; and it leads its session and its process group.
    let script = "grep -E '^(Sig[PBIC]|Shd)' /proc/self/status; ls -l /proc/$$/fd | cut -d'>' -f2; pwd; umask
                  set -- $(cat /proc/$$/stat); [ $$ = \"$5\" ] && [ $$ = \"$6\" ] && echo leads";
    let run = |mut command: Command| {
        let child =
            piped(command.args(["sh", "-c", script]).current_dir("/proc").stderr(Stdio::null())).spawn();
        let text = String::from_utf8(stdout(child.unwrap().wait_with_output().unwrap())).unwrap();
        // Each run has a different pipe.
        text.split_whitespace().filter(|word| !word.starts_with("pipe:")).collect::<Vec<_>>().join(" ")
    };
    let optional = "--optional-output=Report:Secret:report.txt";
    let mut direct = Command::new("/usr/bin/setsid");
    direct.env_clear().env("PATH", PATH).args(["--wait", "/usr/bin/env"]).stdin(Stdio::null());
    assert_eq!(run(Boot::empty().run(&[optional])), run(direct));
}

#[test]
fn its_arguments_env_and_standard_input_arrive_byte_for_byte() {
    let values: [(&str, &[u8]); 3] = [("BYTES", b"\xff\n'\"$X"), ("EMPTY", b""), ("POD", b"boot")];
    let boot = Boot::new(&values, &["POD"]);
    let optional = "--optional-output=Report:Secret:report.txt";
    let mut run = boot.run(&[optional]);
    run.env("POD", "pod").args(["cat", "/proc/self/environ", "-"]).stdin(Stdio::piped());
    let mut child = piped(&mut run).spawn().unwrap();
    child.stdin.take().unwrap().write_all(b"\0in\xfe").unwrap();
    let own = format!("PATH={PATH}\0POD=pod\0");
    let expected = [own.as_bytes(), b"BYTES=\xff\n'\"$X\0EMPTY=\0", b"\0in\xfe"].concat();
    assert_eq!(stdout(child.wait_with_output().unwrap()), expected);

    let arguments = ["", "--", " a\nb", "--output=A:Secret:a", "$X"];
    let output = boot.run(&[optional]).args(["printf", "<%s>"]).args(arguments).output().unwrap();
    assert_eq!(stdout(output), b"<><-->< a\nb><--output=A:Secret:a><$X>");
}

#[test]
fn the_first_process_has_the_boot_env_for_the_hook() {
    let boot = Boot::new(&[("WORD", b"hello")], &[]);
    let script = "cat /proc/$PPID/environ; exit 9";
    let output = boot.run(&[OUTPUT]).args(["sh", "-c", script]).output().unwrap();
    assert_eq!(output.stdout, format!("PATH={PATH}\0WORD=hello\0").into_bytes());
}

#[test]
fn a_command_that_cannot_be_run_fails_as_with_exec() {
    let boot = Boot::new(&[("TOKEN", b"hunter2")], &[]);
    boot.file("plain", "", 0o644);
    for (command, exit, code) in [
        ("./absent", 127, Code::TaskCommandNotFound),
        ("absent", 127, Code::TaskCommandNotFound),
        ("./plain", 126, Code::TaskCommandNotExecutable),
    ] {
        let message = failed(&boot, &boot.run(&[OUTPUT]).arg(command).output().unwrap(), exit, code);
        assert!(!message.contains("hunter2"), "{message}");
    }
    fs::remove_file(boot.environ()).unwrap();
    failed(&boot, &boot.run(&[OUTPUT]).arg("true").output().unwrap(), 78, Code::TaskEnvUnreadable);
}

#[test]
fn without_a_handover_directory_the_task_is_not_started() {
    let boot = Boot::empty();
    fs::write(boot.handover(), "not a directory").unwrap();
    let output = boot.run(&[OUTPUT]).args(["sh", "-c", "echo ran"]).output().unwrap();
    assert!(output.stdout.is_empty());
    failed(&boot, &output, 74, Code::TaskHandoverFailed);
}

#[test]
fn a_container_that_starts_again_begins_a_new_attempt() {
    let boot = Boot::empty();
    let script = "echo first >report.txt; kill -KILL $PPID";
    assert!(boot.run(&[OUTPUT]).args(["sh", "-c", script]).status().unwrap().code().is_none());
    // The sidecar can have stored the outputs of the previous attempt.
    boot.run(&[OUTPUT]).args(["sh", "-c", "exit 1"]).status().unwrap();
    let earlier = boot.handed_over();
    earlier.attempt.write_result(&StoreResult::Stored).unwrap();

    let child = boot.run(&[OUTPUT]).args(["sh", "-c", "echo third >report.txt"]).spawn().unwrap();
    let handed = loop {
        let handed = boot.handed_over();
        if handed.attempt.number() > earlier.attempt.number() {
            break handed;
        }
    };
    assert_eq!((earlier.attempt.number(), handed.attempt.number()), (2, 3));
    assert_eq!(handed.files()[0].1, b"third\n");
    handed.attempt.write_result(&StoreResult::Stored).unwrap();
    stdout(child.wait_with_output().unwrap());
}

#[test]
fn any_user_can_read_the_outputs_and_write_the_result() {
    let boot = Boot::empty();
    let run = boot.run(&[OUTPUT]);
    let sidecar = boot.sidecar(StoreResult::Stored);
    let mut shell = Command::new("sh");
    shell
        .args(["-c", "umask 077; exec \"$@\"", "sh", LAUNCHER])
        .args(run.get_args())
        .args(["touch", "report.txt"]);
    stdout(shell.current_dir(boot.path()).stdin(Stdio::null()).output().unwrap());
    sidecar.join().unwrap();
    let mode = |name: &str| fs::metadata(boot.handover().join(name)).unwrap().permissions().mode() & 0o777;
    assert_eq!((mode(""), mode("1")), (0o777, 0o777));
    for name in ["attempt", "1/manifest", "1/file-0"] {
        assert_eq!(mode(name), 0o644, "{name}");
    }
}

#[test]
fn under_another_name_it_finds_itself_in_path() {
    // The spec of a pod can contain the launcher without its directory.
    let boot = Boot::empty();
    let optional = "--optional-output=Report:Secret:report.txt";
    let bin = boot.path().join("bin");
    fs::create_dir(&bin).unwrap();
    fs::copy(LAUNCHER, bin.join("other")).unwrap();
    let run = boot.run(&[optional]);
    let mut command = Command::new(bin.join("other"));
    command.arg0("other").args(run.get_args()).args(["sh", "-c", "exit 5"]);
    let path = format!("{}:{PATH}", bin.display());
    assert_eq!(command.env("PATH", path).stdin(Stdio::null()).status().unwrap().code(), Some(5));
}

#[test]
fn references_to_the_boot_env_are_resolved_in_the_tasks_own_words() {
    let boot = Boot::new(&[("PORT", b"5432")], &[]);
    let sidecar = boot.sidecar(StoreResult::Stored);
    let script = r#"echo "$0" > report.txt; [ "$0" = 5432 ]"#;
    // The position is that of an argument of the task, without those of the launcher.
    boot.references(&[("argument:3", "$(PORT)")]);
    let output = boot.run(&[OUTPUT]).args(["sh", "-c", script, "$(PORT)"]).output().unwrap();
    assert_eq!((output.status.code(), stderr(&output).as_str()), (Some(0), ""));
    sidecar.join().unwrap();
}
