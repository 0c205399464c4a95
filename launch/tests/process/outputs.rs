//! Which files can be outputs, and how others are rejected.

use std::fs;
use std::os::unix::net::UnixListener;

use bootlace_launch::code::Code;
use bootlace_launch::handover::{MAX_BYTES, StoreResult};

use crate::support::{Boot, HandedOver, failed, stdout};

/// Runs a task that writes outputs to the directory of the boot volume, and stores them.
fn stored(boot: &Boot, outputs: &[&str], script: &str) -> HandedOver {
    let sidecar = boot.sidecar(StoreResult::Stored);
    stdout(boot.run(outputs).args(["sh", "-c", script]).output().unwrap());
    sidecar.join().unwrap()
}

/// Runs a task whose outputs are rejected with this code. Returns the message.
#[track_caller]
fn rejected(outputs: &[&str], script: &str, code: Code) -> String {
    let boot = Boot::empty();
    failed(&boot, &boot.run(outputs).args(["sh", "-c", script]).output().unwrap(), 74, code)
}

#[test]
fn paths_patterns_links_and_any_bytes_are_copied() {
    let boot = Boot::empty();
    let absolute = format!("--output=Absolute:Secret:{}/deep/er/x:y.bin", boot.path().display());
    let outputs = [
        "--output=Cert.pem:Secret:out/tls.*",
        "--optional-output=None:ConfigMap:out/*.none",
        "--output=Link:ConfigMap:latest",
        "--output=Empty:ConfigMap:./empty",
        &absolute.replace(":y", "-y"),
    ];
    let script = "mkdir -p out deep/er; printf crt >out/tls.crt; printf key >out/tls.key; : >out/.tls.hidden
                  printf v2 >report-v2; ln -s report-v2 latest; : >empty; printf '\\000\\377' >deep/er/x-y.bin";
    let handed = stored(&boot, &outputs, script);
    let expected: [(&str, &[u8]); 5] = [
        ("Cert.pem:Secret:tls.crt", b"crt"),
        ("Cert.pem:Secret:tls.key", b"key"),
        ("Link:ConfigMap:latest", b"v2"),
        ("Empty:ConfigMap:empty", b""),
        ("Absolute:Secret:x-y.bin", b"\0\xff"),
    ];
    assert_eq!(handed.files(), expected.map(|(name, bytes)| (name.to_owned(), bytes.to_vec())));
}

#[test]
fn the_limit_is_exactly_a_mebibyte() {
    let outputs = ["--output=A:ConfigMap:a", "--output=B:ConfigMap:b"];
    let half = MAX_BYTES / 2;
    let script = |more: u64| format!("head -c {half} /dev/zero >a; head -c {} /dev/zero >b", half + more);
    let boot = Boot::empty();
    assert_eq!(stored(&boot, &outputs, &script(0)).files().len(), 2);
    let message = rejected(&outputs, &script(1), Code::TaskOutputsTooLarge);
    assert!(message.contains("output \"B\": \"b\" has 524289 bytes"), "{message}");
}

#[test]
fn anything_but_a_regular_file_of_the_task_is_rejected() {
    for (file, script, code) in [
        ("absent", ":", Code::TaskOutputMissing),
        ("none/*", "mkdir none", Code::TaskOutputMissing),
        ("folder", "mkdir folder", Code::TaskOutputNotRegular),
        ("f/*", "mkdir -p f/sub; touch f/a", Code::TaskOutputNotRegular),
        ("link", "ln -s nowhere link", Code::TaskOutputNotRegular),
        ("loop", "ln -s loop loop", Code::TaskOutputUnreadable),
        ("fifo", "mkfifo fifo", Code::TaskOutputNotRegular),
        ("to-fifo", "mkfifo fifo; ln -s fifo to-fifo", Code::TaskOutputNotRegular),
        ("zero", "ln -s /dev/zero zero", Code::TaskOutputNotRegular),
        ("/dev/null", ":", Code::TaskOutputNotRegular),
        ("tty", "ln -s /dev/tty tty", Code::TaskOutputNotRegular),
        ("sock", ":", Code::TaskOutputNotRegular),
        ("stolen", "ln -s /proc/self/environ stolen", Code::TaskOutputNotRegular),
        ("/proc/1/cmdline", ":", Code::TaskOutputNotRegular),
        ("/sys/kernel/*", ":", Code::TaskOutputNotRegular),
        ("sparse", "truncate -s 2G sparse", Code::TaskOutputsTooLarge),
        ("many/*", "mkdir many; cd many; seq 10000 | xargs touch", Code::TaskOutputsTooLarge),
        ("b/*", "mkdir b; touch 'b/a b'", Code::TaskOutputNameInvalid),
        ("c/*/same", "mkdir -p c/1 c/2; touch c/1/same c/2/same", Code::TaskOutputNameInvalid),
        ("**/x", ":", Code::TaskOutputNameInvalid),
    ] {
        let boot = Boot::new(&[("TOKEN", b"hunter2")], &[]);
        let _listener = UnixListener::bind(boot.path().join("sock")).unwrap();
        let output = format!("--output=Report:ConfigMap:{file}");
        let output = boot.run(&[&output]).args(["sh", "-c", script]).output().unwrap();
        let message = failed(&boot, &output, 74, code);
        assert!(!message.contains("hunter2"), "{file}: {message}");
        // The sidecar gets the same error, for its Event.
        let refused = boot.handed_over().refused().to_owned();
        assert!(refused.starts_with("output \"Report\": ") && message.contains(&refused), "{refused}");
    }
}

#[test]
fn an_optional_output_can_be_missing_but_not_invalid() {
    let handed =
        stored(&Boot::empty(), &["--optional-output=A:Secret:absent", "--output=B:Secret:b"], "echo b >b");
    assert_eq!(handed.manifest.encode(), b"bootlace-handover 1\nexit 0\noutput B Secret\nfile 2 b\nend\n");

    rejected(&["--optional-output=A:Secret:a"], "mkdir a", Code::TaskOutputNotRegular);
}

#[test]
fn all_outputs_together_can_have_a_hundred_files() {
    let script = "mkdir a b; cd a; seq 50 | xargs touch; cd ../b; seq 50 | xargs touch";
    let outputs = ["--output=A:ConfigMap:a/*", "--output=B:ConfigMap:b/*"];
    let boot = Boot::empty();
    assert_eq!(stored(&boot, &outputs, script).files().len(), 100);
    let message = rejected(&outputs, &format!("{script}; touch more"), Code::TaskOutputsTooLarge);
    assert!(message.contains("output \"B\": "), "{message}");
}

#[test]
fn a_full_volume_fails_the_task() {
    let boot = Boot::empty();
    fs::create_dir(boot.handover()).unwrap();
    let script = format!(
        "cd {}; mount -t tmpfs -o size=64k,mode=777 tmpfs handover
         exec $launch_run --output=A:Secret:a -- sh -c 'exec head -c 200000 /dev/zero >a'",
        boot.path().display()
    );
    let output = boot.namespace(&script);
    let message = failed(&boot, &output, 74, Code::TaskHandoverFailed);
    assert!(message.contains("No space left"), "{message}");
}
