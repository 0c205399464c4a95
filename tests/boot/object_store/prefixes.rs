//! What the objects below a prefix become.

use std::collections::BTreeMap;

use serde_json::json;

use super::stores::{Kind, Store};
use super::{boot, failure, source};
use crate::support::{Container, code};

#[test]
fn objects_below_a_prefix_become_files_without_it() {
    for store in Store::each("below-a-prefix") {
        for key in ["jobs/daily/a.sql", "jobs/daily/deep/b c.sql", "jobs/daily-2/c.sql", "jobs/d.sql"] {
            store.put(key, key.as_bytes());
        }
        for (prefix, folder, expected) in [
            (
                "jobs/daily",
                None,
                vec![("a.sql", "jobs/daily/a.sql"), ("deep/b c.sql", "jobs/daily/deep/b c.sql")],
            ),
            ("jobs/daily-2/", Some("in/sql"), vec![("in/sql/c.sql", "jobs/daily-2/c.sql")]),
            (
                "",
                None,
                vec![
                    ("jobs/daily/a.sql", "jobs/daily/a.sql"),
                    ("jobs/daily/deep/b c.sql", "jobs/daily/deep/b c.sql"),
                    ("jobs/daily-2/c.sql", "jobs/daily-2/c.sql"),
                    ("jobs/d.sql", "jobs/d.sql"),
                ],
            ),
        ] {
            let container = Container::new();
            boot(&container, &source(&container, &store, &json!({"prefix": prefix, "folder": folder}))).log();
            let expected: BTreeMap<String, Vec<u8>> =
                expected.into_iter().map(|(path, content)| (path.to_owned(), content.into())).collect();
            assert_eq!(container.assets(), expected, "{:?} {prefix:?}", store.kind);
        }
    }
}

#[test]
fn several_pages_of_objects_are_fetched() {
    for store in Store::each("many-objects") {
        let keys: Vec<_> = (0..1100).map(|n| format!("in/part-{:02}/{n:04}", n % 17)).collect();
        for key in &keys {
            store.put(key, key.as_bytes());
        }
        let container = Container::new();
        boot(&container, &source(&container, &store, &json!({"prefix": "in"}))).log();
        let assets = container.assets();
        assert_eq!(assets.len(), keys.len(), "{:?}", store.kind);
        for key in &keys {
            assert_eq!(assets[key.strip_prefix("in/").unwrap()], key.as_bytes());
        }
    }
}

#[test]
fn more_files_or_bytes_than_the_limits_fail_the_boot() {
    for store in Store::each("over-the-limit") {
        for n in 0..5 {
            store.put(&format!("in/{n}"), b"12345");
        }
        for (limits, part) in [
            (json!({"bytes": 1 << 20, "files": 4}), "4 files"),
            (json!({"bytes": 24, "files": 100}), "24 bytes"),
        ] {
            let container = Container::new();
            let mut source = source(&container, &store, &json!({"prefix": "in"}));
            source["limits"] = limits;
            let (exit_code, message) = failure(&container, &source);
            assert_eq!((exit_code, code(&message)), (65, "BL2304"));
            assert!(message.contains(part), "{message}");
        }
    }
}

#[test]
fn a_prefix_without_objects_fails_unless_it_is_optional() {
    for store in Store::each("nothing-below") {
        store.put("input/a", b"a");
        let container = Container::new();
        let mut source = source(&container, &store, &json!({"prefix": "in"}));
        let (exit_code, message) = failure(&container, &source);
        assert_eq!((exit_code, code(&message)), (69, "BL2101"));
        assert!(message.contains("\"in\"") && message.contains("nothing-below: "), "{message}");
        source["optional"] = json!(true);
        let log = boot(&container, &source).log();
        assert!(log.contains("optional"), "{log}");
    }
}

/// A store has no folders: web consoles create an empty object whose key ends with a slash.
#[test]
fn folder_objects_are_skipped() {
    for store in [Kind::Gcs, Kind::Azure].map(|kind| Store::new(kind, "folders")) {
        for key in ["in/", "in/deep/", "in/empty/"] {
            store.put(key, b"");
        }
        store.put("in/deep/a", b"a");
        store.put("in/zero", b"");
        let container = Container::new();
        boot(&container, &source(&container, &store, &json!({"prefix": "in"}))).log();
        let expected = [("deep/a", b"a".as_slice()), ("zero", b"")]
            .map(|(path, content)| (path.to_owned(), content.to_vec()));
        assert_eq!(container.assets(), BTreeMap::from(expected), "{:?}", store.kind);
    }
}

#[test]
fn an_object_that_would_be_a_file_and_a_folder_is_refused() {
    for store in [Kind::Gcs, Kind::Azure].map(|kind| Store::new(kind, "file-and-folder")) {
        store.put("in/a", b"a");
        store.put("in/a/b", b"b");
        let container = Container::new();
        let (exit_code, message) = failure(&container, &source(&container, &store, &json!({"prefix": "in"})));
        assert_eq!((exit_code, code(&message)), (65, "BL2307"), "{message}");
    }
}

#[test]
fn a_key_that_could_leave_its_folder_is_refused() {
    for (position, key) in ["in/../a", "in/./a", "in//a", "in/a\nb", "in/.."].into_iter().enumerate() {
        let store = Store::new(Kind::Gcs, &format!("odd-names-{position}"));
        store.put("in/good", b"a");
        store.put(key, b"a");
        let container = Container::new();
        let (exit_code, message) = failure(&container, &source(&container, &store, &json!({"prefix": "in"})));
        assert_eq!((exit_code, code(&message)), (65, "BL2302"), "{message}");
        assert!(message.contains(&format!("object {key:?} ")), "{message}");
    }
}

#[test]
fn a_name_that_no_file_can_have_is_refused() {
    let store = Store::new(Kind::Gcs, "long-names");
    store.put(&format!("in/{}", "x".repeat(300)), b"a");
    let container = Container::new();
    let (exit_code, message) = failure(&container, &source(&container, &store, &json!({"prefix": "in"})));
    assert_eq!((exit_code, code(&message)), (65, "BL2306"), "{message}");
}
