//! `launch hook`: verifies that the first process of the container has the boot env.
//!
//! In these scripts, process 1 or the oldest process of a mount namespace represents the task. It exits when
//! it has read the exit code of the hook from the fifo. That code is the output of the script.

use std::fs;
use std::time::{Duration, Instant};

use bootlace_launch::code::Code;

use crate::support::{Boot, failed, has_code, stderr, stdout};

/// Runs the hook in parallel to the task, like the kubelet.
const HOOK: &str = r#"( $launch_hook --timeout=30; echo $? > "$fifo" ) &"#;

fn boot() -> Boot {
    Boot::new(&[("ALPHA", b"hunter2"), ("BETA", b"two\nlines"), ("POD", b"boot")], &["POD"])
}

/// Whether a message is a warning with this code.
fn is_warning(message: &str, code: Code) -> bool {
    message.contains("bootlace: container \"base\": warning: ") && has_code(message, code)
}

/// Runs a script. Returns the exit code of the hook, and its messages.
fn run(boot: &Boot, script: &str) -> (String, String) {
    let output = boot.namespace(script);
    let message = stderr(&output);
    assert!(!message.contains("hunter2"), "{message}");
    (String::from_utf8(stdout(output)).unwrap(), message)
}

#[test]
fn a_task_of_the_launcher_has_the_boot_env() {
    let boot = boot();
    let (code, message) = run(&boot, &format!(r#"{HOOK} exec $launch_exec cat "$fifo""#));
    assert_eq!((code.as_str(), message.as_str()), ("0\n", ""));
    assert_eq!(boot.termination_message(), "");
}

#[test]
fn a_task_without_the_launcher_fails_with_the_names_and_the_remedy() {
    let boot = boot();
    let start = Instant::now();
    let hook = HOOK.replace("$launch_hook", "$launch_hook --env=none");
    let (code, message) = run(&boot, &format!(r#"export POD=x; {hook} exec cat "$fifo""#));
    assert_eq!(code, "1\n");
    assert!(
        has_code(&message, Code::TaskEnvMissing) && message.contains("(missing: ALPHA, BETA)"),
        "{message}"
    );
    assert_eq!(boot.termination_message(), message);
    assert!(start.elapsed() < Duration::from_secs(20), "the hook fails long before its timeout");
}

/// As in a copy of the pod: `kubectl debug --copy-to=COPY --container=base -- sleep 3600`.
#[test]
fn another_command_runs_with_a_warning() {
    for limit in [30, 1] {
        let boot = boot();
        let hook = HOOK.replace("30", &limit.to_string());
        let (code, message) = run(&boot, &format!(r#"{hook} exec cat "$fifo""#));
        assert_eq!(code, "0\n");
        assert!(is_warning(&message, Code::TaskReplaced), "{message}");
        assert_eq!(boot.termination_message(), message);
    }
}

/// A shell that executes programs, clears its env and forks: the mark stays the same.
#[test]
fn another_command_is_distinguished_from_a_task_that_removed_its_env() {
    let script = |launch: &str| {
        format!(r#"{HOOK} exec {launch} env -i PATH="$PATH" sh -c 'true; exec tail -n 1 "$0"' "$fifo""#)
    };
    let (code, message) = run(&boot(), &script(""));
    assert!(code == "0\n" && is_warning(&message, Code::TaskReplaced), "{code}{message}");
    // This hook can check the process while `env` still has the boot env.
    let (code, message) = run(&boot(), &script("$launch_exec"));
    assert!(
        code == "0\n" && message.is_empty() || has_code(&message, Code::TaskEnvMissing),
        "{code}{message}"
    );
}

/// A program that starts the launcher, as other webhooks add one: the task is its child process.
#[test]
fn a_task_that_another_first_process_launches_has_the_boot_env() {
    let boot = boot();
    let hook = r#"( $launch_hook --timeout=30 -- touch "$fifo.ran"; echo $? > "$fifo" ) &"#;
    let script =
        format!(r#"{hook} exec sh -c '$launch_exec sh -c "echo \$ALPHA" > "$fifo.env"; cat "$fifo"; :'"#);
    let (code, message) = run(&boot, &script);
    assert!(code == "0\n" && is_warning(&message, Code::TaskReplaced), "{code}{message}");
    assert_eq!(fs::read_to_string(boot.path().join("fifo.env")).unwrap(), "hunter2\n");
    assert!(boot.path().join("fifo.ran").exists(), "the postStart handler of the pod runs");
}

/// The commands are for the task. A postStart handler of the pod that fails ends the copy, as it does without
/// Bootlace.
#[test]
fn with_another_command_a_hook_that_fails_is_a_warning() {
    let hook = |handler: &str| {
        format!(
            r#"( $launch_hook --timeout=30 --hook=warm:9:fail --argument=false -- {handler}; echo $? > "$fifo" ) &"#
        )
    };
    let copy = boot();
    let (code, message) = run(&copy, &format!(r#"{} exec cat "$fifo""#, hook("true")));
    assert_eq!(code, "0\n");
    assert!(
        is_warning(&message, Code::TaskReplaced) && message.contains("; postLaunch hook \"warm\""),
        "{message}"
    );
    assert!(message.ends_with(&copy.termination_message()) && message.lines().count() == 2, "{message}");
    let (code, message) = run(&boot(), &format!(r#"{} exec cat "$fifo""#, hook("false")));
    assert!(code == "1\n" && has_code(&message, Code::PostStartFailed), "{code}{message}");
}

#[test]
fn another_command_that_cannot_be_read_runs_on_too() {
    let hook =
        r#"( setpriv --bounding-set=-all --inh-caps=-all $launch_hook --timeout=30; echo $? > "$fifo" ) &"#;
    let (code, message) = run(&boot(), &format!(r#"{hook} exec cat "$fifo""#));
    assert!(code == "0\n" && is_warning(&message, Code::TaskReplaced), "{code}{message}");
}

#[test]
fn a_task_that_removes_the_boot_env_fails() {
    // `env` itself has the boot env until it executes the task, so the hook has to wait.
    let hook = format!(r#"( until [ "$(cat /proc/1/comm)" = tail ]; do :; done; {HOOK} wait ) &"#);
    let script = format!(r#"{hook} exec $launch_exec env -i PATH="$PATH" tail -n 1 "$fifo""#);
    let (code, message) = run(&boot(), &script);
    assert_eq!(code, "1\n");
    assert!(
        has_code(&message, Code::TaskEnvMissing) && message.contains("it was started with them"),
        "{message}"
    );
}

/// For an image that sources the boot env at any time.
#[test]
fn without_a_proof_the_handler_runs_at_once_and_with_the_boot_env() {
    let boot = boot();
    let hook = r#"( $launch_hook --timeout=30 --env=sourced -- sh -c 'echo $BETA > "$fifo"' ) &"#;
    let (printed, message) = run(&boot, &format!(r#"{hook} exec cat "$fifo""#));
    assert_eq!((printed.as_str(), message.as_str()), ("two lines\n", ""));
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
fn the_wait_ends_at_the_timeout() {
    let boot = boot();
    let (code, message) =
        run(&boot, r#"( $launch_hook --timeout=1 --env=none; echo $? > "$fifo" ) & exec cat "$fifo""#);
    assert_eq!(code, "1\n");
    assert!(
        has_code(&message, Code::TaskEnvMissing) && message.contains("(missing: ALPHA, BETA, POD)"),
        "{message}"
    );
}

#[test]
fn a_task_that_cannot_be_read_fails() {
    // Without capabilities, the hook cannot read a process that has them.
    let hook =
        r#"( setpriv --bounding-set=-all --inh-caps=-all $launch_hook --timeout=1; echo $? > "$fifo" ) &"#;
    let boot = boot();
    let (code, message) = run(&boot, &format!(r#"{hook} exec $launch_exec cat "$fifo""#));
    assert_eq!(code, "1\n");
    assert!(has_code(&message, Code::ProcessEnvUnreadable), "{message}");
}

#[test]
fn in_a_shared_process_namespace_the_containers_own_first_process_counts() {
    // Process 1 is the outer shell in another mount namespace, and never has the boot env.
    let container =
        |task: &str| format!(r#"unshare --mount sh -c '{HOOK} exec {task} cat "$fifo"'; exit $?"#);
    assert_eq!(run(&boot(), &container("$launch_exec")), ("0\n".to_owned(), String::new()));

    let (code, message) = run(&boot(), &container(""));
    assert!(code == "0\n" && is_warning(&message, Code::TaskReplaced), "{code}{message}");
}

#[test]
fn a_task_that_has_ended_keeps_its_own_result() {
    // Only the hook is in the mount namespace of the container, and the postStart handler does not run.
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
    failed(&boot, &output, 1, Code::TaskEnvUnreadable);
}

#[test]
fn the_pods_own_poststart_gets_the_tasks_env() {
    let boot = boot();
    let hook = r#"( $launch_hook --timeout=30 -- sh -c 'printf %s "$ALPHA|$BETA|$POD" > "$fifo.env"'; echo $? > "$fifo" ) &"#;
    let (code, message) = run(&boot, &format!(r#"export POD=pod; {hook} exec $launch_exec cat "$fifo""#));
    assert_eq!((code.as_str(), message.as_str()), ("0\n", ""));
    assert_eq!(fs::read_to_string(boot.path().join("fifo.env")).unwrap(), "hunter2|two\nlines|pod");
}

#[test]
fn a_task_that_cannot_be_read_may_run_on_where_the_profile_says_so() {
    let hook = r#"( setpriv --bounding-set=-all --inh-caps=-all $launch_hook --timeout=4 --unreadable=warn \
        -- touch "$fifo.ran"; echo $? > "$fifo" ) &"#;
    let boot = boot();
    let (code, message) = run(&boot, &format!(r#"{hook} exec $launch_exec cat "$fifo""#));
    assert_eq!(code, "0\n");
    assert!(is_warning(&message, Code::ProcessEnvUnreadable), "{message}");
    assert_eq!(boot.termination_message(), message);
    assert!(boot.path().join("fifo.ran").exists(), "the handler runs after the verification");
}

#[test]
fn the_profiles_commands_run_before_the_pods_own_poststart() {
    let boot = boot();
    let say = |flag: &str, word: &str| {
        format!(r#"{flag}sh {word}-c {word}'printf "%s " "$1 $ALPHA" >> "$fifo.said"' {word}sh {word}"#)
    };
    let hook = format!(
        r#"( $launch_hook --timeout=30 {}first {}second -- {}third; echo $? > "$fifo" ) &"#,
        say("--hook=a:9:fail --argument=", "--argument="),
        say("--hook=b:9:fail --argument=", "--argument="),
        say("", ""),
    );
    let (code, message) = run(&boot, &format!(r#"{hook} exec $launch_exec cat "$fifo""#));
    assert_eq!((code.as_str(), message.as_str()), ("0\n", ""));
    let printed = fs::read_to_string(boot.path().join("fifo.said")).unwrap();
    assert_eq!(printed, "first hunter2 second hunter2 third hunter2 ");
}

#[test]
fn a_hook_that_fails_is_reported_with_its_name() {
    let boot = boot();
    let hook = r#"( $launch_hook --timeout=30 --hook=a:9:fail --argument=true --hook=b:9:fail --argument=false -- touch "$fifo.ran"; echo $? > "$fifo" ) &"#;
    let (code, message) = run(&boot, &format!(r#"{hook} exec $launch_exec cat "$fifo""#));
    assert_eq!(code, "1\n");
    assert!(has_code(&message, Code::PostLaunchHookFailed), "{message}");
    assert!(message.contains("postLaunch hook \"b\"") && message.contains("exit code 1"), "{message}");
    assert!(!boot.path().join("fifo.ran").exists());
}

#[test]
fn an_entrypoint_loads_the_exact_boot_env_from_a_file_in_home() {
    let value = b"it's \"one\" $HOME `x` \\ \xff\n# two\n".as_slice();
    let boot = Boot::new(&[("ODD", value), ("EMPTY", b""), ("POD", b"boot")], &["POD"]);
    let home = boot.path().join("home of it");
    fs::create_dir(&home).unwrap();
    // An existing file is replaced, also if it is a link.
    fs::write(home.join(".env"), "old").unwrap();
    std::os::unix::fs::symlink(boot.environ(), home.join(".env.bootlace")).unwrap();
    let environ = fs::read(boot.environ()).unwrap();
    // The hook has another HOME.
    let hook = r#"( HOME=/nowhere $launch_hook --timeout=30 --env=home; echo $? > "$fifo" ) &"#;
    // A second shell, because the environ of a process is that at its start.
    let task = format!(r#"{hook} exec sh -c 'read code < "$fifo"; . ~/.env; env -0; exit $code'"#);
    let script = format!(
        "HOME='{}'; task=$(cat <<'END'\n{task}\nEND\n); export HOME POD=pod; exec sh -c \"$task\"",
        home.display()
    );
    let output = boot.namespace(&script);
    let message = stderr(&output);
    assert_eq!(message, "");
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
fn a_home_that_cannot_be_written_fails() {
    for (home, path) in [("unset HOME", "$HOME/.env"), ("export HOME=/proc", "\"/proc/.env\"")] {
        let boot = boot();
        let hook = r#"( $launch_hook --timeout=30 --env=home; echo $? > "$fifo" ) &"#;
        let (code, message) = run(&boot, &format!(r#"{home}; {hook} exec cat "$fifo""#));
        assert_eq!(code, "1\n");
        assert!(has_code(&message, Code::HomeNotWritable) && message.contains(path), "{message}");
    }
}

#[test]
fn a_kubelet_that_did_not_read_the_env_file_is_reported() {
    let boot = boot();
    let hook = r#"( $launch_hook --timeout=30 --env=file; echo $? > "$fifo" ) &"#;
    // An older kubelet sets the variables to an empty value.
    let (code, message) = run(&boot, &format!(r#"export ALPHA= BETA= POD=; {hook} exec cat "$fifo""#));
    assert_eq!(code, "1\n");
    assert!(has_code(&message, Code::TaskEnvMissing), "{message}");
    assert!(message.contains("(missing: ALPHA, BETA)") && message.contains("1.35"), "{message}");
}

#[test]
fn the_variables_of_the_pod_are_verified_as_the_task_has_them() {
    let boot = boot();
    boot.references(&[("variable:LINK", "<$(ALPHA)>")]);
    let hook =
        r#"( $launch_hook --timeout=30 -- sh -c 'printf %s "$LINK" > "$fifo.env"'; echo $? > "$fifo" ) &"#;
    let script = format!(r#"export LINK='<$(ALPHA)>'; {hook} exec $launch_exec cat "$fifo""#);
    let (code, message) = run(&boot, &script);
    assert_eq!((code.as_str(), message.as_str()), ("0\n", ""));
    assert_eq!(fs::read_to_string(boot.path().join("fifo.env")).unwrap(), "<hunter2>");
}
