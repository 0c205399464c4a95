//! Waiting until the kubelet has mounted the output.

use std::fs;
use std::os::unix::fs::symlink;

use serde_json::json;

use crate::container::{Container, config, store, stored};

/// Fills a volume as the kubelet's `AtomicWriter` does: files are links through `..data`, and one rename
/// changes them all.
fn fill(container: &Container, volume: &str, files: &[&str]) {
    let volume = container.at("volumes").join(volume);
    let version = volume.join("..2026_11_21");
    for file in files {
        let path = version.join(file);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, "hunter2").unwrap();
        let first = file.split('/').next().unwrap();
        symlink(format!("..data/{first}"), volume.join(first)).unwrap();
    }
    symlink("..2026_11_21", volume.join("..data_tmp")).unwrap();
    fs::rename(volume.join("..data_tmp"), volume.join("..data")).unwrap();
}

#[test]
fn it_exits_when_every_volume_contains_every_file() {
    let container = Container::new();
    for volume in ["cert", "named"] {
        fs::create_dir(container.at("volumes").join(volume)).unwrap();
    }
    let server = store(|_| stored(&["tls.crt", "tls.key"]));
    let folders = json!([{"volume": "cert"}, {"volume": "named", "paths": ["deep/key.pem"]}]);
    let mut child = container.start(Some(&config(&server, 60, &json!({"folders": folders}))), true);
    while server.asked().is_empty() {
        std::thread::yield_now();
    }
    fill(&container, "cert", &["tls.crt", "tls.key"]);
    assert!(child.try_wait().unwrap().is_none(), "one volume is still empty");
    fill(&container, "named", &["deep/key.pem"]);
    let ended = container.end(child);
    assert!(ended.status.success() && ended.message.is_empty(), "{}", ended.log);
    assert!(!ended.log.contains("hunter2"), "{}", ended.log);
}

#[test]
fn without_the_flag_volumes_are_not_checked() {
    let server = store(|_| stored(&["a"]));
    let ended =
        Container::new().run(Some(&config(&server, 60, &json!({"folders": [{"volume": "none"}]}))), false);
    assert!(ended.status.success(), "{}", ended.log);
}
