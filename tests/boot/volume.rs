//! Volumes of Kubernetes: those of the kubelet and of CSI drivers, whose files are links to the current
//! version, and plain folders, such as those of a claim or an image.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::os::unix::fs::symlink;
use std::os::unix::net::UnixListener;
use std::path::PathBuf;

use rustix::fs::{CWD, FileType, Mode};
use serde_json::{Value, json};

use crate::support::{Container, code, inline, volume};

/// A volume whose files are at these paths.
fn folder(container: &Container, name: &str, files: &[(&str, &str)]) -> PathBuf {
    let root = container.beside(name);
    for (path, content) in files {
        let file = root.join(path);
        fs::create_dir_all(file.parent().unwrap()).unwrap();
        fs::write(file, content).unwrap();
    }
    root
}

fn pairs(pairs: &[(&str, &str)]) -> BTreeMap<String, Vec<u8>> {
    pairs.iter().map(|(name, value)| ((*name).to_owned(), value.as_bytes().to_vec())).collect()
}

/// Sources with `mark` in all that they provide: a name, whether the boot fails, and the source.
pub(crate) fn marked(container: &Container, mark: &str) -> Vec<(&'static str, bool, Value)> {
    let (nul, long) = (format!("{mark}\0{mark}"), mark.repeat(131_072 / mark.len() + 1));
    let keys = [("PASSWORD", mark.as_bytes()), ("NUL", nul.as_bytes()), ("LONG", long.as_bytes())];
    let secrets = container.mount("marked-secrets", keys);
    let tree = folder(container, "marked-tree", &[("folder/file", mark)]);
    fs::write(container.beside("marked-file"), mark).unwrap();
    let links = folder(container, "marked-links", &[("file", mark)]);
    symlink("../marked-file", links.join("out")).unwrap();
    let env = |items: &[(&str, &str)]| {
        let items: Vec<_> = items.iter().map(|(key, name)| json!({"key": key, "as": name})).collect();
        volume("login", "csi", &secrets, &json!({"into": "Env", "items": items}))
    };
    vec![
        ("a file of a volume as env", false, env(&[("PASSWORD", "PASSWORD")])),
        ("files of a volume", false, volume("files", "persistentVolumeClaim", &tree, &json!({}))),
        ("a NUL", true, env(&[("NUL", "NUL")])),
        ("a long value", true, env(&[("LONG", "LONG")])),
        ("a reserved name", true, env(&[("PASSWORD", "PATH")])),
        ("a missing file", true, env(&[("PASSWORD", "A"), ("GONE", "B")])),
        ("a folder as env", true, volume("files", "image", &tree, &json!({"into": "Env"}))),
        ("a link that leads out", true, volume("links", "image", &links, &json!({}))),
    ]
}

/// Boots from one source and expects a failure.
fn failure(container: &Container, source: Value) -> (u8, String) {
    let failure = container.boot(&[source]).failure();
    assert!(!container.at("env/environ").exists(), "{failure:?}");
    failure
}

#[test]
fn a_volume_of_a_driver_becomes_variables_and_files() {
    let container = Container::new();
    let secrets = container.mount("secrets", [("user", &b"scott"[..]), ("password", b"t\xffger\n")]);
    // Only the folder at the top is a link.
    fs::create_dir(secrets.join("..data/tls")).unwrap();
    fs::write(secrets.join("..data/tls/key.pem"), "key").unwrap();
    symlink("..data/tls", secrets.join("tls")).unwrap();
    let items = json!([{"key": "user", "as": "USER"}, {"key": "password", "as": "PASSWORD"}]);
    let env = json!({"into": "Env", "items": items, "prefix": "DB_"});
    let file = json!({"items": [{"key": "tls/key.pem", "as": "key"}], "prefix": "tls/"});
    let log = container
        .boot(&[
            volume("login", "csi", &secrets, &env),
            volume("key", "projected", &secrets, &file),
            volume("all", "projected", &secrets, &json!({"prefix": "all/"})),
            volume("below", "projected", &secrets, &json!({"folder": "tls", "into": "Env"})),
        ])
        .log();
    let mut expected = pairs(&[("DB_USER", "scott"), ("key.pem", "key")]);
    expected.insert("DB_PASSWORD".to_owned(), b"t\xffger\n".to_vec());
    assert_eq!(container.env(), expected);
    let mut expected = pairs(&[("tls/key", "key"), ("all/user", "scott"), ("all/tls/key.pem", "key")]);
    expected.insert("all/password".to_owned(), b"t\xffger\n".to_vec());
    assert_eq!(container.assets(), expected);
    let line = r#"source "login" (CSI volume the-login): 2 variables (2 secret), 0 files, 11 B in "#;
    assert!(log.contains(line), "{log}");
    assert!(log.contains(r#"source "key" (projected volume): 0 variables, 1 file, 3 B in "#), "{log}");
}

#[test]
fn a_plain_folder_is_read_as_it_is() {
    let container = Container::new();
    let large = "x".repeat(200_000);
    let files =
        [("a.sql", "1"), ("sub/deep/b.sql", "2"), ("sub/large", &large), ("tmp/c", "3"), ("d.log", "4")];
    let data = folder(&container, "data", &files);
    folder(&container, "data", &[("lost+found/x", "of the file system")]);
    // Links to files in the volume.
    symlink("sub/deep/b.sql", data.join("link.sql")).unwrap();
    symlink("../../a.sql", data.join("sub/deep/up.sql")).unwrap();
    let exclude = json!({"exclude": ["tmp", "*.log"]});
    let log = container.boot(&[volume("data", "persistentVolumeClaim", &data, &exclude)]).log();
    let expected = [
        ("a.sql", "1"),
        ("link.sql", "2"),
        ("sub/deep/b.sql", "2"),
        ("sub/deep/up.sql", "1"),
        ("sub/large", &large),
    ];
    assert_eq!(container.assets(), pairs(&expected));
    let note = r#"source "data" (PersistentVolumeClaim the-data): excluded: "d.log", "tmp""#;
    assert!(log.lines().any(|line| line == note), "{log}");

    container.boot(&[volume("data", "image", &data, &json!({"folder": "sub/deep"}))]).log();
    assert_eq!(container.assets(), pairs(&[("b.sql", "2"), ("up.sql", "1")]));
}

/// A link can lead to what only boot may read: the token for the store, the credentials of other sources.
#[test]
fn a_link_that_leaves_the_volume_is_refused() {
    let container = Container::new();
    fs::write(container.beside("token"), "secret").unwrap();
    let beside = folder(&container, "data-beside", &[("file", "secret")]);
    for (name, target) in [
        ("absolute", container.beside("token")),
        ("relative", "../token".into()),
        // A path with the same start as the volume.
        ("sibling", beside.join("file")),
        ("twice", "absolute-link".into()),
        ("proc", "/proc/self/environ".into()),
    ] {
        let data = folder(&container, &format!("{name}/data"), &[("good", "1")]);
        symlink(container.beside("token"), data.join("absolute-link")).unwrap();
        fs::write(container.beside(&format!("{name}/token")), "secret").unwrap();
        symlink(target, data.join("key")).unwrap();
        let items = json!({"items": [{"key": "key", "as": "key"}]});
        for more in [items, json!({"exclude": ["absolute-link"]})] {
            let (exit_code, message) = failure(&container, volume("data", "image", &data, &more));
            assert_eq!((exit_code, code(&message)), (65, "BL2302"), "{name}: {message}");
            assert!(message.contains("\"key\" is a link that leads out of the volume"), "{name}: {message}");
            assert!(!message.contains("secret"), "{message}");
        }
    }
    // A link in the middle of a path, and the version that the kubelet's link names.
    for (name, link, more) in [
        ("middle", "folder", json!({"items": [{"key": "folder/file", "as": "key"}]})),
        ("below", "folder", json!({"folder": "folder"})),
        ("version", "..data", json!({})),
    ] {
        let data = folder(&container, name, &[("good", "1")]);
        symlink(&beside, data.join(link)).unwrap();
        let (exit_code, message) = failure(&container, volume("data", "csi", &data, &more));
        assert_eq!((exit_code, code(&message)), (65, "BL2302"), "{name}: {message}");
        assert!(message.contains("leads out of the volume"), "{name}: {message}");
    }
}

#[test]
fn what_is_not_a_file_is_refused_with_a_remedy() {
    let container = Container::new();
    let data = folder(&container, "data", &[("sub/a", "1"), ("b", "2")]);
    symlink("sub", data.join("link-to-folder")).unwrap();
    symlink("nowhere", data.join("dangling")).unwrap();
    symlink("link-to-itself", data.join("link-to-itself")).unwrap();
    let _socket = UnixListener::bind(data.join("socket")).unwrap();
    rustix::fs::mknodat(CWD, data.join("pipe"), FileType::Fifo, Mode::RWXU, 0).unwrap();
    let item = |key: &str| json!({"items": [{"key": key, "as": "key"}]});
    let only = |name: &str| {
        let all = ["sub", "b", "link-to-folder", "dangling", "link-to-itself", "socket", "pipe"];
        json!({"exclude": all.into_iter().filter(|other| *other != name).collect::<Vec<_>>()})
    };
    for (more, expected, part) in [
        (
            item("sub"),
            "BL2302",
            "\"sub\" is a folder, or a link to one, instead of a file: correct items[].key",
        ),
        (item("b/c"), "BL2101", "key \"b/c\" not found"),
        (item("sub/c"), "BL2101", "key \"sub/c\" not found, only a: "),
        (item("pipe"), "BL2302", "\"pipe\" is a device, a pipe or a socket"),
        (item("socket"), "BL2302", "\"socket\" is a device, a pipe or a socket"),
        (item("dangling"), "BL2101", "key \"dangling\" not found, only b, dangling, link-to-folder, "),
        (item("link-to-itself"), "BL2102", "link-to-itself"),
        (only("link-to-folder"), "BL2302", "\"link-to-folder\" is a folder, or a link to one"),
        (only("dangling"), "BL2302", "\"dangling\" is a link to a file that does not exist in the volume"),
        (
            only("pipe"),
            "BL2302",
            "\"pipe\" is a device, a pipe or a socket instead of a file: add it to exclude",
        ),
        (
            json!({"into": "Env", "folder": "", "exclude": ["l*", "d*", "socket", "pipe"]}),
            "BL2302",
            "\"sub\" is a folder, which cannot become a variable",
        ),
        (json!({"folder": "b"}), "BL2302", "\"b\" is not a folder: "),
        (json!({"folder": "gone"}), "BL2101", "folder \"gone\" not found in the volume"),
    ] {
        let (_, message) = failure(&container, volume("data", "image", &data, &more));
        assert_eq!(code(&message), expected, "{more}: {message}");
        assert!(message.contains(part), "{part:?} is not in {message:?}");
    }
}

#[test]
fn a_volume_that_is_missing_or_empty_is_an_error_unless_it_is_optional() {
    let container = Container::new();
    let empty = folder(&container, "empty/file", &[]);
    fs::create_dir_all(empty.join("folder")).unwrap();
    let full = container.mount("full", [("a", &b"1"[..])]);
    let gone = container.beside("gone");
    for (kind, path, more, part) in [
        ("projected", &empty, json!({}), "the volume has no files: add them, or set optional"),
        ("csi", &full, json!({"items": [{"key": "b", "as": "b"}]}), "key \"b\" not found, only a: correct"),
        ("csi", &full, json!({"folder": "b"}), "folder \"b\" not found in the volume: correct path"),
    ] {
        let (exit_code, message) = failure(&container, volume("v", kind, path, &more));
        assert_eq!((exit_code, code(&message)), (69, "BL2101"), "{message}");
        assert!(message.contains(part), "{part:?} is not in {message:?}");
        let mut more = more;
        more["optional"] = json!(true);
        let earlier = inline("earlier", &json!({"A": "1"}), &json!({}));
        let log = container.boot(&[earlier, volume("v", kind, path, &more)]).log();
        assert!(log.contains("optional: "), "{log}");
        assert_eq!(container.env(), pairs(&[("A", "1")]));
        fs::remove_file(container.at("env/environ")).unwrap();
    }
    for (kind, part) in
        [("image", "feature gate ImageVolume"), ("csi", "is not mounted in the boot container")]
    {
        let (exit_code, message) = failure(&container, volume("v", kind, &gone, &json!({"optional": true})));
        assert_eq!((exit_code, code(&message)), (69, "BL2101"), "{message}");
        assert!(message.contains(part), "{message}");
        // The source itself is optional.
        let mut source = volume("v", kind, &gone, &json!({}));
        source["optional"] = json!(true);
        container.boot(&[source]).log();
        fs::remove_file(container.at("env/environ")).unwrap();
    }
}

#[test]
fn the_limits_of_the_source_hold_while_it_is_read() {
    let container = Container::new();
    let files: Vec<_> = (0..60).flat_map(|file| [format!("a/{file}"), format!("b/{file}")]).collect();
    let files: Vec<_> = files.iter().map(|path| (path.as_str(), "1")).collect();
    let many = folder(&container, "many", &files);
    let (_, message) = failure(&container, volume("many", "image", &many, &json!({})));
    assert_eq!(code(&message), "BL2304", "{message}");
    assert!(message.contains("exceeds the limit of 100 files"), "{message}");
    container.boot(&[volume("many", "image", &many, &json!({"exclude": ["b"]}))]).log();
    assert_eq!(container.assets().len(), 60);

    let large = folder(&container, "large", &[("a", &"x".repeat(2 << 20))]);
    let (_, message) = failure(&Container::new(), volume("large", "image", &large, &json!({})));
    assert_eq!(code(&message), "BL2304", "{message}");
    assert!(message.contains("key \"a\": file \"a\": it exceeds the limit of 1048576 bytes"), "{message}");

    let deep = folder(&container, "deep", &[(&format!("{}file", "d/".repeat(40)), "1")]);
    let (_, message) = failure(&Container::new(), volume("deep", "image", &deep, &json!({})));
    assert_eq!(code(&message), "BL2302", "{message}");
    assert!(message.contains("deeper than 32 folders"), "{message}");
}

#[test]
fn values_and_names_have_the_rules_of_all_sources() {
    let container = Container::new();
    let long = "x".repeat(200_000);
    let data = folder(&container, "data", &[("nul", "a\0b"), ("long", &long), ("user", "a")]);
    let env = |key: &str, name: &str| json!({"into": "Env", "items": [{"key": key, "as": name}]});
    for (more, expected, part) in [
        (env("nul", "NUL"), "BL2305", "key \"nul\": variable \"NUL\": "),
        (env("long", "LONG"), "BL2305", "key \"long\": variable \"LONG\": "),
        (env("user", "LD_PRELOAD"), "BL2305", "key \"user\": variable \"LD_PRELOAD\": "),
        (env("user", "A=B"), "BL2305", "key \"user\": variable \"A=B\": "),
        (json!({"prefix": "../"}), "BL2306", "file \"../long\": "),
    ] {
        let (_, message) = failure(&container, volume("data", "csi", &data, &more));
        assert_eq!(code(&message), expected, "{message}");
        assert!(message.contains(part), "{part:?} is not in {message:?}");
    }
}

/// While boot reads, the kubelet updates a projected volume, and a CSI driver rotates secrets.
#[test]
fn files_of_two_versions_never_mix() {
    const KEYS: usize = 8;
    let container = Container::new();
    let mount = container.beside("rotated");
    let publish = |version: u32| {
        let folder = format!("..2026_{version}");
        fs::create_dir_all(mount.join(&folder)).unwrap();
        for key in 0..KEYS {
            fs::write(mount.join(&folder).join(format!("KEY_{key}")), version.to_string()).unwrap();
        }
        let old = fs::read_link(mount.join("..data"));
        symlink(&folder, mount.join("..data_tmp")).unwrap();
        fs::rename(mount.join("..data_tmp"), mount.join("..data")).unwrap();
        if let Ok(old) = old {
            fs::remove_dir_all(mount.join(old)).unwrap();
        }
    };
    publish(0);
    std::thread::scope(|scope| {
        let publisher = scope.spawn(|| (1..300).for_each(publish));
        while !publisher.is_finished() {
            container.boot(&[volume("v", "csi", &mount, &json!({"into": "Env"}))]).log();
            let values: BTreeSet<_> = container.env().into_values().collect();
            assert_eq!((container.env().len(), values.len()), (KEYS, 1), "{values:?}");
        }
    });
}
