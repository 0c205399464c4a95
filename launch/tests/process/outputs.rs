//! Which files a task can hand over, and what it is told of those that it cannot.

use std::fs;
use std::os::unix::net::UnixListener;

use bootlace_launch::handover::{MAX_BYTES, StoreResult};

use crate::support::{Boot, HandedOver, failed, stdout};

/// Runs a task that writes outputs, in the boot volume's folder, and stores them.
fn stored(boot: &Boot, outputs: &[&str], script: &str) -> HandedOver {
    let sidecar = boot.sidecar(StoreResult::Stored);
    stdout(boot.run(outputs).args(["sh", "-c", script]).output().unwrap());
    sidecar.join().unwrap()
}

/// Runs a task whose outputs are refused, and gives the sentence.
fn refused(outputs: &[&str], script: &str) -> String {
    let boot = Boot::empty();
    failed(&boot, &boot.run(outputs).args(["sh", "-c", script]).output().unwrap(), 74)
}

#[test]
fn paths_patterns_links_and_any_bytes_are_handed_over() {
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
fn exactly_a_mebibyte_is_handed_over_and_one_byte_more_is_not() {
    let outputs = ["--output=A:ConfigMap:a", "--output=B:ConfigMap:b"];
    let half = MAX_BYTES / 2;
    let script = |more: u64| format!("head -c {half} /dev/zero >a; head -c {} /dev/zero >b", half + more);
    let boot = Boot::empty();
    assert_eq!(stored(&boot, &outputs, &script(0)).files().len(), 2);
    let told = refused(&outputs, &script(1));
    assert!(
        told.contains("output B: b has 524289 bytes; all outputs of a task together may have 1048576"),
        "{told}"
    );
}

#[test]
fn what_is_no_file_of_the_tasks_is_refused_with_its_reason() {
    for (file, script, sentence) in [
        ("absent", ":", "the task ended without writing absent"),
        ("none/*", "mkdir none", "the task ended without writing none/*"),
        ("folder", "mkdir folder", "folder is a folder. Name one file, or a pattern such as `folder/*`"),
        ("f/*", "mkdir -p f/sub; touch f/a", "f/sub is a folder"),
        ("link", "ln -s nowhere link", "link is a link to a file that is not there"),
        ("loop", "ln -s loop loop", "loop cannot be read: "),
        ("fifo", "mkfifo fifo", "fifo is a named pipe; only regular files are stored"),
        ("to-fifo", "mkfifo fifo; ln -s fifo to-fifo", "to-fifo is a named pipe"),
        ("zero", "ln -s /dev/zero zero", "zero is a device"),
        ("/dev/null", ":", "/dev/null is a device"),
        ("tty", "ln -s /dev/tty tty", "tty is a device"),
        ("sock", ":", "sock is a socket"),
        ("stolen", "ln -s /proc/self/environ stolen", "stolen is a file of the kernel's"),
        ("/proc/1/cmdline", ":", "/proc/1/cmdline is a file of the kernel's"),
        ("/sys/kernel/*", ":", "is a"),
        ("sparse", "truncate -s 2G sparse", "sparse has 2147483648 bytes; all outputs of a task together"),
        ("many/*", "mkdir many; cd many; seq 10000 | xargs touch", "a task may hand over 100 files"),
        ("b/*", "mkdir b; touch 'b/a b'", "the name of b/a b is no key of a ConfigMap or Secret"),
        (
            "c/*/same",
            "mkdir -p c/1 c/2; touch c/1/same c/2/same",
            "c/2/same has the name of another of its files",
        ),
        ("**/x", ":", "**/x cannot be a pattern: `**` is not known"),
    ] {
        let boot = Boot::new(&[("TOKEN", b"hunter2")], &[]);
        let _listener = UnixListener::bind(boot.path().join("sock")).unwrap();
        let output = format!("--output=Report:ConfigMap:{file}");
        let output = boot.run(&[&output]).args(["sh", "-c", script]).output().unwrap();
        let told = failed(&boot, &output, 74);
        assert!(told.contains("its outputs are not stored: output Report: "), "{told}");
        assert!(told.contains(sentence) && !told.contains("hunter2"), "{file}: {told}");
        // The sidecar is told too, for its Event.
        let refused = boot.handed_over().refused().to_owned();
        assert!(refused.starts_with("output Report: ") && refused.contains(sentence), "{refused}");
    }
}

#[test]
fn a_missing_optional_output_is_none_but_a_broken_one_is() {
    let handed =
        stored(&Boot::empty(), &["--optional-output=A:Secret:absent", "--output=B:Secret:b"], "echo b >b");
    assert_eq!(handed.manifest.encode(), b"bootlace-handover 1\nexit 0\noutput B Secret\nfile 2 b\nend\n");

    assert!(refused(&["--optional-output=A:Secret:a"], "mkdir a").contains("output A: a is a folder"));
}

#[test]
fn a_hundred_files_are_handed_over_and_their_outputs_counted_together() {
    let script = "mkdir a b; cd a; seq 50 | xargs touch; cd ../b; seq 50 | xargs touch";
    let outputs = ["--output=A:ConfigMap:a/*", "--output=B:ConfigMap:b/*"];
    let boot = Boot::empty();
    assert_eq!(stored(&boot, &outputs, script).files().len(), 100);
    assert!(
        refused(&outputs, &format!("{script}; touch more"))
            .contains("output B: a task may hand over 100 files")
    );
}

#[test]
fn a_volume_without_room_fails_the_task_in_words() {
    let boot = Boot::empty();
    fs::create_dir(boot.handover()).unwrap();
    let script = format!(
        "cd {}; mount -t tmpfs -o size=64k,mode=777 tmpfs handover
         exec $launch_run --output=A:Secret:a -- sh -c 'exec head -c 200000 /dev/zero >a'",
        boot.path().display()
    );
    let output = boot.namespace(&script);
    let told = failed(&boot, &output, 74);
    assert!(told.contains("it cannot be copied to the sidecar's volume: No space left"), "{told}");
}
