//! Outputs of tasks without a launcher, on a volume that they share with the sidecar.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;
use std::process::Command;

use serde_json::{Value, json};

use crate::server::Server;
use crate::sidecar::{Container, bodies, store, stored};

/// Runs a sidecar that declares `file`, with the content that `leave` writes to the volume, until it exits.
fn run(file: &str, optional: bool, leave: impl FnOnce(&Path)) -> (Server, Vec<Value>, Vec<Value>) {
    let (container, server) = (Container::new(), store(|_, _| stored()));
    let file = container.at("shared").join(file);
    let mut outputs = json!([{"key": "Out", "kind": "ConfigMap", "container": "main", "sharedFile": file}]);
    if optional {
        outputs[0]["optional"] = json!(true);
    }
    let sidecar = container.start(Some(&Container::config(&server, &outputs).to_string()));
    leave(&container.at("shared/0"));
    let (status, log) = sidecar.end();
    assert_eq!(status.code(), Some(0), "{log}");
    assert!(!log.contains("the-token"), "{log}");
    let (puts, events) = (bodies(&server, "PUT /v1/pipes/Out"), bodies(&server, "POST /v1/events"));
    (server, puts, events)
}

#[test]
fn a_file_and_a_pattern_are_stored_when_the_tasks_have_ended() {
    let leave = |volume: &Path| {
        fs::create_dir(volume.join("out")).unwrap();
        for (name, content) in [("b.txt", "two"), ("a.txt", "one"), (".hidden.txt", ""), ("c.log", "")] {
            fs::write(volume.join("out").join(name), content).unwrap();
        }
    };
    let (_server, puts, events) = run("0/out/a.txt", false, leave);
    assert_eq!(puts, [json!({"container": "main", "kind": "ConfigMap", "files": {"a.txt": "b25l"}})]);
    assert!(events.is_empty());
    let (_server, puts, _) = run("0/*/*.txt", false, leave);
    assert_eq!(puts[0]["files"], json!({"a.txt": "b25l", "b.txt": "dHdv"}));
}

#[test]
fn a_missing_output_is_reported_unless_it_is_optional() {
    for file in ["0/out.txt", "0/none/out.txt", "0/*.txt"] {
        let (_server, puts, events) = run(file, false, |_| {});
        assert!(puts.is_empty());
        let note = events[0]["note"].as_str().unwrap();
        assert!(
            note.starts_with("container main: output \"Out\": ") && note.ends_with(" [BL4101]"),
            "{note}"
        );
        assert_eq!(events[0]["outcome"], "OutputsNotStored");
        let (_server, puts, events) = run(file, true, |_| {});
        assert!(puts.is_empty() && events.is_empty(), "{file}");
    }
}

#[test]
fn only_regular_files_on_the_volume_itself_are_read() {
    // The files of the sidecar, such as its token, are next to the volume.
    let token = |volume: &Path| volume.join("../../token").canonicalize().unwrap();
    for (file, code, leave) in [
        (
            "0/out",
            "BL4102",
            (|volume, token| symlink(token, volume.join("out")).unwrap()) as fn(&Path, &Path),
        ),
        ("0/*", "BL4102", |volume, token| symlink(token, volume.join("out")).unwrap()),
        ("0/dir/token", "BL4102", |volume, token| {
            symlink(token.parent().unwrap(), volume.join("dir")).unwrap();
        }),
        ("0/*/token", "BL4101", |volume, token| {
            symlink(token.parent().unwrap(), volume.join("dir")).unwrap();
        }),
        ("0/../../token", "BL4102", |_, _| {}),
        ("1/out", "BL4102", |_, _| {}),
        ("../token", "BL4102", |_, _| {}),
        ("token", "BL4001", |_, _| {}),
        ("0/out", "BL4103", |volume, _| fs::create_dir(volume.join("out")).unwrap()),
        ("0/out", "BL4103", |volume, _| {
            assert!(Command::new("mkfifo").arg(volume.join("out")).status().unwrap().success());
        }),
        ("0/out", "BL4104", |volume, _| {
            fs::File::create(volume.join("out")).unwrap().set_len(2 << 30).unwrap();
        }),
        ("0/*", "BL4104", |volume, _| {
            for name in ["a", "b"] {
                fs::write(volume.join(name), vec![b'x'; 600 << 10]).unwrap();
            }
        }),
        ("0/*", "BL4105", |volume, _| {
            (0..101).for_each(|name| fs::write(volume.join(name.to_string()), "").unwrap());
        }),
        ("0/*x", "BL4108", |volume, _| {
            (0..10_001).for_each(|name| fs::write(volume.join(name.to_string()), "").unwrap());
        }),
        ("0/*/a", "BL4107", |volume, _| {
            for name in ["b", "c"] {
                fs::create_dir(volume.join(name)).unwrap();
                fs::write(volume.join(name).join("a"), "").unwrap();
            }
        }),
        ("0/**/a", "BL4108", |_, _| {}),
        ("0/*", "BL4106", |volume, _| fs::write(volume.join("a b"), "").unwrap()),
    ] {
        let (_server, puts, events) = run(file, false, |volume| leave(volume, &token(volume)));
        let note = events.first().map(|event| event["note"].as_str().unwrap().to_owned()).unwrap_or_default();
        assert!(puts.is_empty() && note.ends_with(&format!(" [{code}]")), "{file}: {code}: {note} {puts:?}");
    }
}
