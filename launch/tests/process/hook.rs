//! `launch hook`: the proof that the container's first process holds the boot env.
//!
//! In these scripts process 1, or the oldest process of a mount namespace, stands for the task. It ends when
//! the hook's exit code comes through the fifo, which makes that code the script's output.

use std::fs;
use std::time::{Duration, Instant};

use crate::support::{Boot, stderr, stdout};

/// The hook beside the task, as the kubelet runs it.
const HOOK: &str = r#"( $launch_hook --timeout=30; echo $? > "$fifo" ) &"#;

fn boot() -> Boot {
    Boot::new(&[("ALPHA", b"hunter2"), ("BETA", b"two\nlines"), ("POD", b"boot")], &["POD"])
}

/// The hook's exit code, and what it told.
fn run(boot: &Boot, script: &str) -> (String, String) {
    let output = boot.namespace(script);
    let told = stderr(&output);
    assert!(!told.contains("hunter2"), "{told}");
    (String::from_utf8(stdout(output)).unwrap(), told)
}

#[test]
fn a_task_behind_the_launcher_holds_the_boot_env() {
    let boot = boot();
    let (code, told) = run(&boot, &format!(r#"{HOOK} exec $launch_exec cat "$fifo""#));
    assert_eq!((code.as_str(), told.as_str()), ("0\n", ""));
    assert_eq!(boot.termination_message(), "");
}

#[test]
fn a_task_without_the_launcher_fails_with_the_names_and_the_remedy() {
    let boot = boot();
    let start = Instant::now();
    let (code, told) = run(&boot, &format!(r#"export POD=x; {HOOK} exec cat "$fifo""#));
    assert_eq!(code, "1\n");
    assert_eq!(
        told,
        "bootlace: container base: its first process does not hold the boot env: ALPHA, BETA did not arrive. \
         Add `command` to the container, so that Bootlace can put its launcher in front of it\n"
    );
    assert_eq!(boot.termination_message(), told);
    assert!(start.elapsed() < Duration::from_secs(20), "it is clear long before the limit");
}

/// As beside an image that sources the boot env itself, whenever it comes to it.
#[test]
fn without_a_proof_the_handler_runs_at_once_and_with_the_boot_env() {
    let boot = boot();
    let hook = r#"( $launch_hook --timeout=30 --env=sourced -- sh -c 'echo $BETA > "$fifo"' ) &"#;
    let (printed, told) = run(&boot, &format!(r#"{hook} exec cat "$fifo""#));
    assert_eq!((printed.as_str(), told.as_str()), ("two lines\n", ""));
}

#[test]
fn a_task_that_changed_its_env_since_is_in_order() {
    let script = format!(r#"{HOOK} exec $launch_exec env -u BETA ALPHA=hunter2 OTHER=x cat "$fifo""#);
    assert_eq!(run(&boot(), &script), ("0\n".to_owned(), String::new()));
}

#[test]
fn what_the_pod_sets_itself_need_not_arrive() {
    let boot = Boot::new(&[("POD", b"boot")], &["POD"]);
    let script = format!(r#"export POD=pod; {HOOK} exec cat "$fifo""#);
    assert_eq!(run(&boot, &script), ("0\n".to_owned(), String::new()));
}

#[test]
fn the_limit_ends_the_wait() {
    let boot = boot();
    let (code, told) = run(&boot, r#"( $launch_hook --timeout=1; echo $? > "$fifo" ) & exec cat "$fifo""#);
    assert_eq!(code, "1\n");
    assert!(told.contains("ALPHA, BETA, POD did not arrive"), "{told}");
}

#[test]
fn a_task_that_cannot_be_read_is_told_as_such() {
    // Without its capabilities the hook may not look into a process that has them.
    let hook =
        r#"( setpriv --bounding-set=-all --inh-caps=-all $launch_hook --timeout=1; echo $? > "$fifo" ) &"#;
    let boot = boot();
    let (code, told) = run(&boot, &format!(r#"{hook} exec $launch_exec cat "$fifo""#));
    assert_eq!(code, "1\n");
    assert!(told.contains("its first process may not be read"), "{told}");
    assert!(told.contains("runAsUser"), "{told}");
}

#[test]
fn in_a_shared_process_namespace_the_containers_own_first_process_counts() {
    // Process 1 stays the outer shell, in another mount namespace, and never holds the boot env.
    let container =
        |task: &str| format!(r#"unshare --mount sh -c '{HOOK} exec {task} cat "$fifo"'; exit $?"#);
    assert_eq!(run(&boot(), &container("$launch_exec")), ("0\n".to_owned(), String::new()));

    let (code, told) = run(&boot(), &container(""));
    assert_eq!(code, "1\n");
    assert!(told.contains("ALPHA, BETA, POD did not arrive"), "{told}");
}

#[test]
fn a_task_that_has_ended_keeps_its_own_result() {
    // Only the hook is left in the container's mount namespace, and the pod's own postStart is not run.
    let boot = boot();
    let script = r#"unshare --mount $launch_hook --timeout=30 -- touch "$fifo.ran"; echo $?"#;
    assert_eq!(run(&boot, script), ("0\n".to_owned(), String::new()));
    assert!(!boot.path().join("fifo.ran").exists());
}

#[test]
fn a_boot_env_that_is_missing_fails_the_hook() {
    let boot = boot();
    fs::remove_file(boot.environ()).unwrap();
    let output = boot.hook(30).output().unwrap();
    let told = crate::support::failed(&boot, &output, 1);
    assert!(told.contains("its boot env is missing") && told.contains("`bootlace-boot`"), "{told}");
}

#[test]
fn the_pods_own_poststart_gets_the_tasks_env() {
    let boot = boot();
    let hook = r#"( $launch_hook --timeout=30 -- sh -c 'printf %s "$ALPHA|$BETA|$POD" > "$fifo.env"'; echo $? > "$fifo" ) &"#;
    let (code, told) = run(&boot, &format!(r#"export POD=pod; {hook} exec $launch_exec cat "$fifo""#));
    assert_eq!((code.as_str(), told.as_str()), ("0\n", ""));
    assert_eq!(fs::read_to_string(boot.path().join("fifo.env")).unwrap(), "hunter2|two\nlines|pod");
}
