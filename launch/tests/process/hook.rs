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
    let hook = HOOK.replace("$launch_hook", "$launch_hook --env=none");
    let (code, told) = run(&boot, &format!(r#"export POD=x; {hook} exec cat "$fifo""#));
    assert_eq!(code, "1\n");
    assert_eq!(
        told,
        "bootlace: container base: its first process does not hold the boot env: ALPHA, BETA did not arrive. \
         Add `command` to the container, so that Bootlace can put its launcher in front of it\n"
    );
    assert_eq!(boot.termination_message(), told);
    assert!(start.elapsed() < Duration::from_secs(20), "it is clear long before the limit");
}

/// As in a copy of the pod: `kubectl debug --copy-to=COPY --container=base -- sleep 3600`.
#[test]
fn another_command_in_the_tasks_place_runs_on_and_the_hook_says_so() {
    for limit in [30, 1] {
        let boot = boot();
        let hook = HOOK.replace("30", &limit.to_string());
        let (code, told) = run(&boot, &format!(r#"{hook} exec cat "$fifo""#));
        assert_eq!(code, "0\n");
        assert_eq!(
            told,
            "bootlace: container base: warning: its first process was not started by Bootlace's launcher, so the boot env \
             is not in it: another command has taken the task's place, as in a copy of the pod (`kubectl debug \
             --copy-to`). It runs on without the boot env\n"
        );
        assert_eq!(boot.termination_message(), told);
    }
}

/// A shell that execs, drops its env and forks: none of them is the process that the launcher started, or all are.
#[test]
fn a_command_that_was_never_launched_is_told_from_one_that_dropped_its_env_whatever_it_executes() {
    let script = |launch: &str| {
        format!(r#"{HOOK} exec {launch} env -i PATH="$PATH" sh -c 'true; exec tail -n 1 "$0"' "$fifo""#)
    };
    let (code, told) = run(&boot(), &script(""));
    assert!(code == "0\n" && told.contains("was not started by Bootlace's launcher"), "{code}{told}");
    // The hook of this one may look while `env` holds the boot env still.
    let (code, told) = run(&boot(), &script("$launch_exec"));
    assert!(code == "0\n" && told.is_empty() || told.contains("has dropped it"), "{code}{told}");
}

/// A program of the image's in front of the launcher, as other webhooks put there: the task is its child.
#[test]
fn a_task_that_is_launched_by_another_first_process_holds_the_boot_env_all_the_same() {
    let boot = boot();
    let hook = r#"( $launch_hook --timeout=30 -- touch "$fifo.ran"; echo $? > "$fifo" ) &"#;
    let script =
        format!(r#"{hook} exec sh -c '$launch_exec sh -c "echo \$ALPHA" > "$fifo.env"; cat "$fifo"; :'"#);
    let (code, told) = run(&boot, &script);
    assert!(code == "0\n" && told.contains("warning: its first process was not started by"), "{code}{told}");
    assert_eq!(fs::read_to_string(boot.path().join("fifo.env")).unwrap(), "hunter2\n");
    assert!(boot.path().join("fifo.ran").exists(), "the pod's own postStart runs");
}

/// They are made for the task. A handler of the pod's own that fails ends the copy, as it does without Bootlace.
#[test]
fn beside_another_command_a_command_of_the_profile_that_fails_is_a_warning() {
    let hook = |handler: &str| {
        format!(r#"( $launch_hook --timeout=30 --command=false -- {handler}; echo $? > "$fifo" ) &"#)
    };
    let copy = boot();
    let (code, told) = run(&copy, &format!(r#"{} exec cat "$fifo""#, hook("true")));
    assert_eq!(code, "0\n");
    assert!(told.contains("It runs on without the boot env. command 1 of the BootProfile's"), "{told}");
    assert!(told.ends_with(&copy.termination_message()) && told.lines().count() == 2, "{told}");
    let (code, told) = run(&boot(), &format!(r#"{} exec cat "$fifo""#, hook("false")));
    assert!(code == "1\n" && told.contains("the pod's own postStart failed"), "{code}{told}");
}

#[test]
fn another_command_that_cannot_be_read_runs_on_too() {
    let hook =
        r#"( setpriv --bounding-set=-all --inh-caps=-all $launch_hook --timeout=30; echo $? > "$fifo" ) &"#;
    let (code, told) = run(&boot(), &format!(r#"{hook} exec cat "$fifo""#));
    assert!(code == "0\n" && told.contains("was not started by Bootlace's launcher"), "{code}{told}");
}

#[test]
fn a_task_that_drops_what_the_launcher_gave_it_is_told_so() {
    // `env` itself holds it until it execs the task: a hook that looks before that finds what it looks for.
    let hook = format!(r#"( until [ "$(cat /proc/1/comm)" = tail ]; do :; done; {HOOK} wait ) &"#);
    let script = format!(r#"{hook} exec $launch_exec env -i PATH="$PATH" tail -n 1 "$fifo""#);
    let (code, told) = run(&boot(), &script);
    assert_eq!(code, "1\n");
    let remedy = "did not arrive. The task was started with it and has dropped it: let its command keep the env (`env -i`, \
                  `su -` and `sudo` do not; and a shell drops variables whose names hold more than letters, digits and \
                  `_`)\n";
    assert!(told.ends_with(remedy), "{told}");
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
    let (code, told) =
        run(&boot, r#"( $launch_hook --timeout=1 --env=none; echo $? > "$fifo" ) & exec cat "$fifo""#);
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
    assert!(code == "0\n" && told.contains("was not started by Bootlace's launcher"), "{code}{told}");
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

#[test]
fn a_task_that_cannot_be_read_may_run_on_where_the_profile_says_so() {
    let hook = r#"( setpriv --bounding-set=-all --inh-caps=-all $launch_hook --timeout=4 --unreadable=warn \
        -- touch "$fifo.ran"; echo $? > "$fifo" ) &"#;
    let boot = boot();
    let (code, told) = run(&boot, &format!(r#"{hook} exec $launch_exec cat "$fifo""#));
    assert_eq!(code, "0\n");
    assert!(
        told.starts_with("bootlace: container base: warning: its first process may not be read"),
        "{told}"
    );
    assert_eq!(boot.termination_message(), told);
    assert!(boot.path().join("fifo.ran").exists(), "what comes after the proof has its time");
}

#[test]
fn the_profiles_commands_run_before_the_pods_own_poststart() {
    let boot = boot();
    let say = |flag: &str, word: &str| {
        format!(r#"{flag}sh {word}-c {word}'printf "%s " "$1 $ALPHA" >> "$fifo.said"' {word}sh {word}"#)
    };
    let hook = format!(
        r#"( $launch_hook --timeout=30 {}first {}second -- {}third; echo $? > "$fifo" ) &"#,
        say("--command=", "--argument="),
        say("--command=", "--argument="),
        say("", ""),
    );
    let (code, told) = run(&boot, &format!(r#"{hook} exec $launch_exec cat "$fifo""#));
    assert_eq!((code.as_str(), told.as_str()), ("0\n", ""));
    let said = fs::read_to_string(boot.path().join("fifo.said")).unwrap();
    assert_eq!(said, "first hunter2 second hunter2 third hunter2 ");
}

#[test]
fn a_command_of_the_profile_that_fails_is_named_by_its_number() {
    let boot = boot();
    let hook = r#"( $launch_hook --timeout=30 --command=true --command=false -- touch "$fifo.ran"; echo $? > "$fifo" ) &"#;
    let (code, told) = run(&boot, &format!(r#"{hook} exec $launch_exec cat "$fifo""#));
    assert_eq!(code, "1\n");
    let expected =
        "command 2 of the BootProfile's `hook.commands` failed: its command ended with exit code 1";
    assert!(told.contains(expected), "{told}");
    assert!(!boot.path().join("fifo.ran").exists());
}

#[test]
fn a_file_in_the_tasks_home_gives_an_entrypoint_the_boot_env_to_the_byte() {
    let value = b"it's \"one\" $HOME `x` \\ \xff\n# two\n".as_slice();
    let boot = Boot::new(&[("ODD", value), ("EMPTY", b""), ("POD", b"boot")], &["POD"]);
    let home = boot.path().join("home of it");
    fs::create_dir(&home).unwrap();
    // What lies there is replaced, and a link is not written through.
    fs::write(home.join(".env"), "old").unwrap();
    std::os::unix::fs::symlink(boot.environ(), home.join(".env.bootlace")).unwrap();
    let environ = fs::read(boot.environ()).unwrap();
    // The hook's own HOME is another one.
    let hook = r#"( HOME=/nowhere $launch_hook --timeout=30 --env=home; echo $? > "$fifo" ) &"#;
    // A second shell, because a process's environ is the one that it was started with.
    let task = format!(r#"{hook} exec sh -c 'read code < "$fifo"; . ~/.env; env -0; exit $code'"#);
    let script = format!(
        "HOME='{}'; task=$(cat <<'END'\n{task}\nEND\n); export HOME POD=pod; exec sh -c \"$task\"",
        home.display()
    );
    let output = boot.namespace(&script);
    let told = stderr(&output);
    assert_eq!(told, "");
    let held = stdout(output);
    let held: Vec<&[u8]> = held.split(|&byte| byte == 0).collect();
    for record in [[b"ODD=", value].concat(), b"EMPTY=".to_vec(), b"POD=pod".to_vec()] {
        assert!(held.contains(&record.as_slice()), "{}", record.escape_ascii());
    }
    assert_eq!(fs::read(boot.environ()).unwrap(), environ);
    let mode =
        std::os::unix::fs::PermissionsExt::mode(&fs::metadata(home.join(".env")).unwrap().permissions());
    assert_eq!(mode & 0o777, 0o600);
}

#[test]
fn a_home_that_cannot_be_written_says_what_to_set() {
    for (home, parts) in [
        ("unset HOME", ["has no HOME", "set HOME in the container's env"]),
        ("export HOME=/proc", ["put at /proc/.env", "an emptyDir for one"]),
    ] {
        let boot = boot();
        let hook = r#"( $launch_hook --timeout=30 --env=home; echo $? > "$fifo" ) &"#;
        let (code, told) = run(&boot, &format!(r#"{home}; {hook} exec cat "$fifo""#));
        assert_eq!(code, "1\n");
        for part in parts {
            assert!(told.contains(part), "{part:?} is not in {told:?}");
        }
    }
}

#[test]
fn a_kubelet_that_did_not_read_the_env_file_is_named() {
    let boot = boot();
    let hook = r#"( $launch_hook --timeout=30 --env=file; echo $? > "$fifo" ) &"#;
    // An older kubelet sets the variable to nothing.
    let (code, told) = run(&boot, &format!(r#"export ALPHA= BETA= POD=; {hook} exec cat "$fifo""#));
    assert_eq!(code, "1\n");
    assert!(told.contains("ALPHA, BETA did not arrive. The kubelet reads env files from 1.35 on"), "{told}");
}

#[test]
fn the_pods_own_variables_are_proven_and_handed_on_as_the_task_reads_them() {
    let boot = boot();
    boot.references(&[("variable:LINK", "<$(ALPHA)>")]);
    let hook =
        r#"( $launch_hook --timeout=30 -- sh -c 'printf %s "$LINK" > "$fifo.env"'; echo $? > "$fifo" ) &"#;
    let script = format!(r#"export LINK='<$(ALPHA)>'; {hook} exec $launch_exec cat "$fifo""#);
    let (code, told) = run(&boot, &script);
    assert_eq!((code.as_str(), told.as_str()), ("0\n", ""));
    assert_eq!(fs::read_to_string(boot.path().join("fifo.env")).unwrap(), "<hunter2>");
}
