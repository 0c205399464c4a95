//! `launch exec`: how the task is started, and what happens if it cannot be started.

use std::ffi::OsStr;
use std::fs;
use std::io::Write;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::process::ExitStatusExt;
use std::process::{Command, Stdio};

use bootlace_launch::code::Code;

use crate::support::{Boot, LAUNCHER, PATH, failed, has_code, stderr, stdout};

/// NUL-terminated records, as in `/proc`.
fn records(bytes: &[u8]) -> Vec<&[u8]> {
    bytes.strip_suffix(b"\0").map(|bytes| bytes.split(|&byte| byte == 0).collect()).unwrap_or_default()
}

#[test]
fn arguments_arrive_byte_for_byte() {
    let long = "x".repeat(100_000);
    let args = [
        b"".as_slice(),
        b" a  b ",
        b"'\"\\$HOME`id`*",
        b"two\nlines\n",
        b"\xff\xfe",
        b"--",
        b"-x",
        long.as_bytes(),
    ];
    let script = "cat /proc/$$/cmdline; :";
    let output = Boot::new(&[("A", b"1")], &[])
        .exec()
        .args(["sh", "-c", script])
        .args(args.map(OsStr::from_bytes))
        .output()
        .unwrap();
    let expected = [&[b"sh", b"-c".as_slice(), script.as_bytes()], &args[..]].concat();
    assert_eq!(records(&stdout(output)), expected);
}

#[test]
fn values_arrive_byte_for_byte() {
    let long = vec![b'x'; 100_000];
    let values: [(&str, &[u8]); 8] = [
        ("BYTES", b"\x01\xff\xfe\x80"),
        ("EMPTY", b""),
        ("EQUALS", b"a=b="),
        ("JSON", br#"{"a": "b"}"#),
        ("LINES", b"one\ntwo\r\n\n"),
        ("LONG", &long),
        ("QUOTES", b"'\"`\\$A ${B} $(C) #d"),
        ("UTF8", "pässwörd$1x".as_bytes()),
    ];
    let output = Boot::new(&values, &[]).exec().args(["cat", "/proc/self/environ"]).output().unwrap();
    let boots = values.iter().map(|(name, value)| [name.as_bytes(), b"=", value].concat());
    let expected: Vec<_> = [format!("PATH={PATH}").into_bytes()].into_iter().chain(boots).collect();
    assert_eq!(records(&stdout(output)), expected);
}

#[test]
fn the_pod_wins_over_boot_and_boot_over_the_image() {
    let output = Boot::new(
        &[
            ("POD", b"boot"),
            ("POD_EMPTY", b"boot"),
            ("IMAGE", b"boot"),
            ("NEW", b"boot"),
            ("KEPT_ABSENT", b"boot"),
        ],
        &["POD", "POD_EMPTY", "KEPT_ABSENT", "NOWHERE"],
    )
    .exec()
    .envs([("POD", "pod"), ("POD_EMPTY", ""), ("IMAGE", "image"), ("IMAGE_ONLY", "image")])
    .args(["cat", "/proc/self/environ"])
    .output()
    .unwrap();
    let path = format!("PATH={PATH}");
    // The variables of the process come first.
    let expected =
        ["IMAGE_ONLY=image", &path, "POD=pod", "POD_EMPTY=", "IMAGE=boot", "KEPT_ABSENT=boot", "NEW=boot"];
    assert_eq!(records(&stdout(output)), expected.map(str::as_bytes));
}

#[test]
fn without_a_boot_env_the_environ_passes_untouched_and_in_its_order() {
    let boot = Boot::new(&[("SAME", b"1")], &[]);
    let launch = boot.exec();
    let output = Command::new("env")
        .args(["-i", "Z=1", "SAME=1", "A=2", "M="])
        .arg(LAUNCHER)
        .args(launch.get_args())
        .args(["/bin/cat", "/proc/self/environ"])
        .output()
        .unwrap();
    assert_eq!(stdout(output), b"Z=1\0SAME=1\0A=2\0M=\0");
}

#[test]
fn the_task_is_the_same_process_with_the_same_signals_and_files() {
    // Ignored, blocked, caught and pending signals, and open files.
    let script = "echo $$; grep -E '^(Sig[PBIC]|Shd)' /proc/self/status; ls -l /proc/$$/fd | cut -d'>' -f2; pwd; umask";
    let run = |mut command: Command| {
        let child = command
            .args(["sh", "-c", script])
            .current_dir("/proc")
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let pid = child.id();
        let text = String::from_utf8(stdout(child.wait_with_output().unwrap())).unwrap();
        let (first, rest) = text.split_once('\n').unwrap();
        assert_eq!(first, pid.to_string());
        // Each run has a different pipe.
        rest.split_whitespace().filter(|word| !word.starts_with("pipe:")).collect::<Vec<_>>().join(" ")
    };
    // By its path: std starts a program from PATH in another way, which changes the signals.
    let mut direct = Command::new("/usr/bin/env");
    direct.env_clear().env("PATH", PATH);
    assert_eq!(run(Boot::new(&[("A", b"1")], &[]).exec()), run(direct));
}

#[test]
fn exit_codes_signals_and_standard_input_are_the_tasks_own() {
    let boot = Boot::new(&[("A", b"1")], &[]);
    let run = |script| boot.exec().args(["sh", "-c", script]).output().unwrap().status;
    assert_eq!(run("exit 42").code(), Some(42));
    assert_eq!(run("exit 1").code(), Some(1));
    assert_eq!(run("kill -TERM $$").signal(), Some(15));
    assert_eq!(run("kill -PIPE $$").signal(), Some(13));
    assert_eq!(boot.termination_message(), "");

    let mut child = boot.exec().arg("cat").stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    child.stdin.take().unwrap().write_all(b"in\n").unwrap();
    assert_eq!(stdout(child.wait_with_output().unwrap()), b"in\n");
}

#[test]
fn the_command_is_looked_up_in_the_path_that_the_task_gets() {
    let boot = Boot::empty();
    let bin = boot.file("bin/tool", "#!/bin/sh\necho \"$0 found\"\n", 0o755);
    let dir = bin.parent().unwrap().to_str().unwrap().to_owned();
    let found = format!("{dir}/tool found\n").into_bytes();

    let by_boot = Boot::new(&[("PATH", format!("{dir}:{PATH}").as_bytes())], &[]);
    assert_eq!(stdout(by_boot.exec().arg("tool").output().unwrap()), found);

    let pod_wins = Boot::new(&[("PATH", dir.as_bytes())], &["PATH"]);
    let output = pod_wins.exec().arg("tool").output().unwrap();
    failed(&pod_wins, &output, 127, Code::TaskCommandNotFound);

    // Relative directories are relative to the working directory, and an empty one is the working directory
    // itself.
    for (path, cwd, found) in
        [("bin", boot.path(), "bin/tool"), ("/nowhere:", bin.parent().unwrap(), "./tool")]
    {
        let output = boot.exec().env("PATH", path).current_dir(cwd).arg("tool").output().unwrap();
        assert_eq!(stdout(output), format!("{found} found\n").into_bytes());
    }

    // Like execvpe(3), continue after a file that is not executable.
    let denied = boot.file("denied/tool", "", 0o644);
    let path = format!("{}:/dev/null:{dir}", denied.parent().unwrap().display());
    assert_eq!(stdout(boot.exec().env("PATH", path).arg("tool").output().unwrap()), found);
}

#[test]
fn a_command_that_cannot_be_run_fails_as_in_a_shell() {
    let boot = Boot::new(&[("TOKEN", b"hunter2")], &[]);
    boot.file("plain", "", 0o644);
    boot.file("script", "#!/no/such/interpreter\n", 0o755);
    boot.file("busy/inner", "", 0o644);
    for (command, exit, code) in [
        ("./absent", 127, Code::TaskCommandNotFound),
        ("absent", 127, Code::TaskCommandNotFound),
        ("", 127, Code::TaskCommandNotFound),
        ("./script", 127, Code::TaskInterpreterNotFound),
        ("./plain", 126, Code::TaskCommandNotExecutable),
        ("./busy", 126, Code::TaskCommandNotExecutable),
        ("./plain/x", 127, Code::TaskCommandNotFound),
    ] {
        let output = boot.exec().current_dir(boot.path()).arg(command).output().unwrap();
        let message = failed(&boot, &output, exit, code);
        assert!(message.contains(&format!("\"{command}\"")), "{message}");
        assert!(!message.contains("hunter2"), "{message}");
    }
}

#[test]
fn a_file_in_path_that_is_not_executable_is_reported() {
    let boot = Boot::empty();
    boot.file("tool", "", 0o644);
    let output = boot.exec().env("PATH", boot.path()).arg("tool").output().unwrap();
    assert!(failed(&boot, &output, 126, Code::TaskCommandNotExecutable).contains("/tool\""));
}

#[test]
fn a_variable_that_is_too_large_is_reported_with_its_size() {
    let large = b"hunter2".repeat(20_000);
    let boot = Boot::new(&[("LARGE", &large), ("SMALL", b"1")], &[]);
    let message = failed(&boot, &boot.exec().arg("true").output().unwrap(), 126, Code::TaskArgumentsTooLarge);
    assert!(message.contains("env LARGE (140006 bytes, from a source of"), "{message}");
    assert!(!message.contains("SMALL") && !message.contains("hunter2"), "{message}");

    let records: Vec<_> = (0..100).map(|number| (format!("PART{number}"), vec![b'x'; 100_000])).collect();
    let records: Vec<_> = records.iter().map(|(name, value)| (name.as_str(), value.as_slice())).collect();
    let boot = Boot::new(&records, &[]);
    let message = failed(&boot, &boot.exec().arg("true").output().unwrap(), 126, Code::TaskArgumentsTooLarge);
    assert!(message.contains("env (10000809 bytes, 10000790 of them from the boot env)"), "{message}");
}

#[test]
fn an_env_close_to_the_limit_of_the_kernel_works() {
    // One string of 128 KiB with its NUL byte, and close to a quarter of the stack limit in total.
    let longest = vec![b'x'; 128 * 1024 - "LARGE0=".len() - 1];
    let names: Vec<_> = (0..10).map(|number| format!("LARGE{number}")).collect();
    let records: Vec<_> = names.iter().map(|name| (name.as_str(), &longest[..])).collect();
    let boot = Boot::new(&records, &[]);
    let output = boot.exec().args(["sh", "-c", "env | wc -c", "sh", &"y".repeat(100_000)]).output().unwrap();
    let bytes: usize = String::from_utf8(stdout(output)).unwrap().trim().parse().unwrap();
    assert!(bytes > 10 * 128 * 1024, "{bytes}");
}

#[test]
fn any_unprivileged_user_can_run_it_with_a_read_only_root() {
    let boot = Boot::new(&[("A", b"1")], &[]);
    let root = boot.path().join("rootfs");
    fs::create_dir(&root).unwrap();
    let launch = boot.exec();
    let arguments: Vec<_> = launch.get_args().map(|argument| argument.to_str().unwrap()).collect();
    let script = format!(
        "set -e
         mount --rbind / {root}; mount -o remount,bind,ro {root}
         exec unshare --user --map-user=12345 --map-group=54321 --root={root} --wd=/ \
           setpriv --no-new-privs {LAUNCHER} {} sh -c 'echo $(id -u) $A; ! touch /new 2>/dev/null'",
        arguments.join(" "),
        root = root.display(),
    );
    let output = Command::new("unshare")
        .args(["--user", "--map-root-user", "--mount", "sh", "-c", &script])
        .output()
        .unwrap();
    assert_eq!(stdout(output), b"12345 1\n");
}

#[test]
fn without_its_boot_env_the_task_does_not_start() {
    let boot = Boot::empty();
    let run = || boot.exec().args(["sh", "-c", "echo ran"]).output().unwrap();

    fs::write(boot.environ(), "A=1\0hunter2\0").unwrap();
    let output = run();
    let message = failed(&boot, &output, 78, Code::TaskEnvDamaged);
    assert!(message.contains("env/environ\"") && message.contains("record 2"), "{message}");
    assert!(!message.contains("hunter2") && output.stdout.is_empty(), "{message}");

    fs::remove_file(boot.environ()).unwrap();
    let message = failed(&boot, &run(), 78, Code::TaskEnvUnreadable);
    assert!(message.contains("env/environ\": No such file"), "{message}");

    fs::write(boot.environ(), "").unwrap();
    fs::remove_file(boot.keep()).unwrap();
    let message = failed(&boot, &run(), 78, Code::TaskEnvUnreadable);
    assert!(message.contains("env/keep/base\""), "{message}");
}

#[test]
fn invalid_arguments_have_their_own_exit_code() {
    let output = Command::new(LAUNCHER).args(["exec", "--container=base"]).output().unwrap();
    assert_eq!(output.status.code(), Some(64));
    assert!(has_code(&stderr(&output), Code::LauncherArgumentsInvalid), "{}", stderr(&output));
}

#[test]
fn references_to_the_boot_env_are_resolved_in_arguments_and_in_the_pods_own_variables() {
    let boot = Boot::new(&[("PORT", b"5432"), ("RAW", b"$(PORT)\xff")], &[]);
    boot.references(&[("variable:URL", "$(HOST):$(PORT)"), ("argument:3", "$$(PORT) $(PORT) $(URL) $(RAW)")]);
    let mut command = boot.exec();
    // After the expansion by the kubelet.
    command.env("HOST", "db").env("URL", "db:$(PORT)");
    command.args(["sh", "-c", r#"printf '%s|%s' "$0" "$URL""#, "$(PORT) $(PORT) db:$(PORT) $(RAW)"]);
    let printed = stdout(command.output().unwrap());
    assert_eq!(printed, b"$(PORT) 5432 db:5432 $(PORT)\xff|db:5432");
}

#[test]
fn with_damaged_references_the_task_does_not_start() {
    let boot = Boot::empty();
    boot.references(&[("word:1", "$(A)")]);
    let output = boot.exec().args(["echo", "ran"]).output().unwrap();
    let message = failed(&boot, &output, 78, Code::TaskEnvDamaged);
    assert!(message.contains("env/references/base\"") && message.contains("record 1"), "{message}");
}
