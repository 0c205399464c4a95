//! The output of the pod's own boot image: delivery to the task, and what is refused.

use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::symlink;
use std::path::Path;

use serde_json::{Value, json};

use crate::support::{Container, code, inline, spec};

const IMAGE: &str = "registry.example.com/data/boot:1";

/// The folder of an image that succeeded, as `launch init` leaves it.
fn image(container: &Container) -> Value {
    let out = container.beside("out");
    for folder in ["env", "files", "tmp"] {
        fs::create_dir_all(out.join(folder)).unwrap();
    }
    fs::write(out.join(".done"), "").unwrap();
    json!({"name": "init-image", "from": {"initImage": {"image": IMAGE, "path": out}}})
}

fn leave(container: &Container, path: &str, content: impl AsRef<[u8]>) {
    let path = container.beside("out").join(path);
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(path, content).unwrap();
}

#[test]
fn variables_and_files_arrive_byte_for_byte() {
    let container = Container::new();
    let source = image(&container);
    let value: Vec<u8> = (1..=255).collect();
    leave(&container, "env/BYTES", &value);
    leave(&container, "env/EMPTY", "");
    leave(&container, "environ", b"ONE=1\0TWO=a=b\nc\0");
    leave(&container, "files/sql/deep/query.sql", "select 1;\n");
    leave(&container, "files/binary", b"\0\xff");
    leave(&container, "files/empty", "");
    leave(&container, "tmp/work", "not for the task");
    fs::create_dir(container.beside("out").join("files/empty-folder")).unwrap();
    let log = container.boot(&[source]).log();

    let env = container.env();
    assert_eq!(env.keys().collect::<Vec<_>>(), ["BYTES", "EMPTY", "ONE", "TWO"]);
    assert_eq!((&env["BYTES"], &env["TWO"]), (&value, &b"a=b\nc".to_vec()));
    let assets = container.assets();
    assert_eq!(assets.keys().collect::<Vec<_>>(), ["binary", "empty", "sql/deep/query.sql"]);
    assert_eq!(assets["binary"], b"\0\xff");
    let line = format!("source \"init-image\" (image {IMAGE}): 4 variables (4 secret), 3 files, ");
    assert!(log.contains(&line), "{log}");
}

/// The image does not declare which variables are secret: all are in `.secret`, and none in `.env`.
#[test]
fn every_variable_is_a_secret() {
    let container = Container::new();
    let source = image(&container);
    leave(&container, "env/TOKEN", "hunter2");
    leave(&container, "environ", b"PLAIN=hunter2\0");
    let mut whole = spec(&[source]);
    whole["layout"] = json!("Optimus");
    container.boot_spec(&whole).log();
    let assets = container.assets();
    assert_eq!(assets[".env"], b"");
    let secrets = String::from_utf8(assets[".secret"].clone()).unwrap();
    for line in ["TOKEN='hunter2'", "PLAIN='hunter2'"] {
        assert!(secrets.lines().any(|secret| secret == line), "{secrets}");
    }
}

#[test]
fn it_overrides_the_sources_of_the_profile() {
    let container = Container::new();
    let source = image(&container);
    leave(&container, "env/A", "image");
    leave(&container, "files/a", "image");
    let own = inline("settings", &json!({"A": "profile", "B": "profile"}), &json!({"a": "profile"}));
    let log = container.boot(&[own, source]).log();
    assert_eq!(container.env()["A"], b"image");
    assert_eq!(container.env()["B"], b"profile");
    assert_eq!(container.assets()["a"], b"image");
    assert!(log.contains(r#"source "init-image" overrides the variable "A" of source "settings""#), "{log}");
}

#[test]
fn a_newline_at_the_end_of_a_value_is_kept_and_logged() {
    let container = Container::new();
    let source = image(&container);
    leave(&container, "env/TOKEN", "hunter2\n");
    let log = container.boot(&[source]).log();
    assert_eq!(container.env()["TOKEN"], b"hunter2\n");
    assert!(log.lines().any(|line| line.contains("\"TOKEN\"") && line.contains("newline")), "{log}");
    assert!(!log.contains("hunter2"), "{log}");
}

/// The folder uses memory of the pod, but boot may have to start again.
#[test]
fn the_folder_is_emptied_after_a_successful_boot() {
    let container = Container::new();
    let source = image(&container);
    leave(&container, "files/deep/a", "x");
    let bad = inline("bad", &json!({"A=B": "1"}), &json!({}));
    container.boot(&[source.clone(), bad]).failure();
    assert!(container.beside("out/files/deep/a").exists());
    container.boot(std::slice::from_ref(&source)).log();
    assert_eq!(container.assets()["deep/a"], b"x");
    assert_eq!(fs::read_dir(container.beside("out")).unwrap().count(), 0);

    let (exit_code, message) = container.boot(&[source]).failure();
    assert_eq!((exit_code, code(&message)), (69, "BL2101"), "{message}");
    assert!(message.contains("bootlace-init "), "{message}");
    assert!(!container.at("env/environ").exists());
}

#[test]
fn links_and_special_files_are_refused() {
    type Spoil = fn(&Path);
    let cases: [(Spoil, &str, &str); 14] = [
        (
            |out| symlink("/etc/passwd", out.join("files/a")).unwrap(),
            "BL2302",
            "files/a\" is a symbolic link, which boot does not follow: must be a file",
        ),
        (|out| symlink("..", out.join("files/up")).unwrap(), "BL2302", "files/up\" is a symbolic link"),
        (|out| symlink("/etc", out.join("files/etc")).unwrap(), "BL2302", "files/etc\" is a symbolic link"),
        (|out| symlink("/etc/passwd", out.join("env/A")).unwrap(), "BL2302", "env/A\" is a symbolic link"),
        (
            |out| symlink("/proc/self/environ", out.join("environ")).unwrap(),
            "BL2302",
            "environ\" is a symbolic link",
        ),
        (
            |out| {
                fs::remove_dir(out.join("files")).unwrap();
                symlink("/etc", out.join("files")).unwrap();
            },
            "BL2302",
            "files\" is a symbolic link, which boot does not follow: must be a folder",
        ),
        (|out| fs::create_dir(out.join("env/A")).unwrap(), "BL2302", "env/A\" is a folder: must be a file"),
        (pipe, "BL2302", "files/pipe\" is a device, a pipe or a socket: must be a file"),
        (
            |out| fs::write(out.join("envs"), "").unwrap(),
            "BL2302",
            "envs\": must be env, environ, files or tmp",
        ),
        (|out| fs::write(out.join("env/a=b"), "hunter2").unwrap(), "BL2305", "variable \"a=b\": "),
        (
            |out| fs::write(out.join("env/LD_PRELOAD"), "hunter2").unwrap(),
            "BL2305",
            "variable \"LD_PRELOAD\": ",
        ),
        (
            |out| fs::write(out.join("environ"), "A=hunter2").unwrap(),
            "BL2302",
            "must contain NAME=value records",
        ),
        (|out| fs::write(out.join("env/BIG"), vec![b'x'; 200_000]).unwrap(), "BL2305", "variable \"BIG\": "),
        (
            |out| fs::write(out.join("files").join(std::ffi::OsStr::from_bytes(b"\xff")), "").unwrap(),
            "BL2302",
            "is not UTF-8: rename it",
        ),
    ];
    for (spoil, expected, part) in cases {
        let container = Container::new();
        let source = image(&container);
        spoil(&container.beside("out"));
        let (exit_code, message) = container.boot(&[source]).failure();
        assert_eq!((exit_code, code(&message)), (65, expected), "{message}");
        let start = format!(r#"bootlace: source "init-image" (image {IMAGE}) of BootProfile "default": "#);
        assert!(message.starts_with(&start) && message.contains(part), "{part}: {message}");
        assert!(!message.contains("hunter2"), "{message}");
        assert!(container.assets().is_empty() && !container.at("env/environ").exists());
    }
}

fn pipe(out: &Path) {
    let (kind, mode) = (rustix::fs::FileType::Fifo, rustix::fs::Mode::from_raw_mode(0o600));
    rustix::fs::mknodat(rustix::fs::CWD, out.join("files/pipe"), kind, mode, 0).unwrap();
}

/// A sparse file has its full size, regardless of the blocks on disk.
#[test]
fn the_limits_of_sources_apply() {
    let container = Container::new();
    let mut source = image(&container);
    source["limits"] = json!({"bytes": 1 << 20, "files": 2});
    let hole = fs::File::create(container.beside("out/files/hole")).unwrap();
    hole.set_len(1 << 40).unwrap();
    let (exit_code, message) = container.boot(std::slice::from_ref(&source)).failure();
    assert_eq!((exit_code, code(&message)), (65, "BL2304"));
    assert!(message.contains("file \"hole\": ") && message.contains("1048576 bytes"), "{message}");

    fs::remove_file(container.beside("out/files/hole")).unwrap();
    for name in ["a", "b", "c"] {
        leave(&container, &format!("files/{name}"), "");
    }
    let (_, message) = container.boot(&[source]).failure();
    assert!(message.contains("file \"c\": ") && code(&message) == "BL2304", "{message}");
}
