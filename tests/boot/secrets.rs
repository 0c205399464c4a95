//! No value of a source shows anywhere but where the task reads it. Each value here holds a marked word.

use std::fs;

use serde_json::{Value, json};

use crate::support::{Container, inline, mounted};

/// What must not show. Parts of it must not either, so it has no common words.
const MARK: &str = "zq7Xv0hunter2";

/// Everything that anybody may read: log, termination message, and the error in both of its forms.
fn everything(container: &Container, sources: &[Value]) -> (String, bool) {
    let outcome = container.boot(sources);
    let error = match &outcome.result {
        Ok(()) => String::new(),
        Err(error) => format!("{error} {error:?} {error:#?}"),
    };
    let failed = outcome.result.is_err();
    (format!("{}\n{}\n{error}", outcome.log, outcome.message), failed)
}

#[test]
fn a_boot_that_goes_well_shows_no_value() {
    let container = Container::new();
    let login = container.mount("login", [("PASSWORD", MARK.as_bytes()), ("TOKEN", b"zq7Xv0hunter2\xff\n")]);
    let sources = [
        inline("settings", &json!({"PASSWORD": MARK}), &json!({"conf/app.ini": MARK})),
        mounted("login", "Secret", &login, &json!({"into": "Env"})),
        mounted("files", "Secret", &login, &json!({"prefix": "conf/"})),
        mounted("config", "ConfigMap", &login, &json!({"into": "Env"})),
        inline("again", &json!({"PASSWORD": MARK}), &json!({"conf/app.ini": MARK})),
    ];
    let (said, failed) = everything(&container, &sources);
    assert!(!failed && said.contains("overrides"), "{said}");
    assert!(!said.contains(MARK), "{said}");

    let holds = |entry: &crate::support::Entry| {
        entry.content.as_ref().is_some_and(|content| String::from_utf8_lossy(content).contains(MARK))
    };
    let tree = container.tree();
    let holding: Vec<_> =
        tree.iter().filter(|(_, entry)| holds(entry)).map(|(path, _)| path.to_str().unwrap()).collect();
    assert_eq!(holding, ["assets/conf/PASSWORD", "assets/conf/TOKEN", "assets/conf/app.ini", "env/environ"]);
}

#[test]
fn a_boot_that_fails_shows_no_value() {
    let container = Container::new();
    let nul = format!("{MARK}\0{MARK}");
    let long = MARK.repeat(131_072 / MARK.len() + 1);
    let login = container.mount(
        "login",
        [
            ("A", MARK.as_bytes()),
            ("b-c", MARK.as_bytes()),
            ("NUL", nul.as_bytes()),
            ("LONG", long.as_bytes()),
        ],
    );
    let broken = container.mount("broken", [("A", MARK.as_bytes())]);
    fs::create_dir(broken.join("..data/folder")).unwrap();
    let item = |key: &str, name: &str| json!({"key": key, "as": name});
    let env = |items: &[Value]| mounted("login", "Secret", &login, &json!({"into": "Env", "items": items}));
    let files = |items: &[Value]| mounted("login", "Secret", &login, &json!({"items": items}));
    let inline = |env: Value, files: Value| inline("settings", &env, &files);

    let failures = [
        vec![env(&[item("b-c", "b-c")])],
        vec![env(&[item("A", "PATH")])],
        vec![env(&[item("A", "A"), item("A", "A")])],
        vec![env(&[item("NUL", "NUL")])],
        vec![env(&[item("LONG", "LONG")])],
        vec![env(&[item("A", "A"), item("GONE", "B")])],
        vec![files(&[item("A", "../a")])],
        vec![files(&[item("A", "a"), item("b-c", "a")])],
        vec![files(&[item("A", "a"), item("b-c", "a/b")])],
        vec![files(&[item("A", &"x".repeat(300))])],
        vec![mounted("login", "Secret", &broken, &json!({}))],
        vec![files(&[item("A", "a")]), inline(json!({}), json!({"a/b": MARK}))],
        vec![inline(json!({"A=B": MARK}), json!({}))],
        vec![inline(json!({"A": nul}), json!({}))],
        vec![inline(json!({"A": long}), json!({}))],
        vec![inline(json!({"A": MARK}), json!({"/a": MARK}))],
        vec![inline(json!({"A": MARK}), json!({"a": [MARK]}))],
        vec![json!({"name": "settings", "from": {"inline": {"env": MARK}}})],
        vec![json!({"name": "settings", "from": {"mounted": {"kind": [MARK]}}})],
    ];
    for sources in failures {
        let container = Container::new();
        let (said, failed) = everything(&container, &sources);
        assert!(failed, "{said}");
        assert!(!said.contains(MARK), "{said}");
    }
}

/// The volume itself refuses, with values on their way to it.
#[test]
fn a_boot_that_cannot_write_shows_no_value() {
    let sources = [inline("settings", &json!({"A": MARK}), &json!({"a": MARK}))];
    let breaks: [fn(&Container); 3] = [
        |container| fs::remove_file(&container.args.launcher).unwrap(),
        |container| fs::write(container.at("assets"), "a file").unwrap(),
        |container| fs::remove_dir(&container.args.root).unwrap(),
    ];
    for break_it in breaks {
        let container = Container::new();
        break_it(&container);
        let (said, failed) = everything(&container, &sources);
        assert!(failed && !said.contains(MARK), "{said}");
    }
}

#[test]
fn what_a_boot_image_left_shows_in_no_failure() {
    let failures: [(&str, &str); 6] = [
        ("env/a-b", "a variable's name"),
        ("env/PATH", "decides which programs"),
        ("env/TWICE", "twice"),
        ("environ", "NUL byte"),
        ("unknown", "mean something there"),
        ("files/a", "both a file and a folder"),
    ];
    for (path, says) in failures {
        let container = Container::new();
        let out = container.beside("out");
        for folder in ["env", "files"] {
            fs::create_dir_all(out.join(folder)).unwrap();
        }
        for file in [".done", path] {
            fs::write(out.join(file), MARK).unwrap();
        }
        if path == "env/TWICE" {
            fs::write(out.join("environ"), format!("TWICE={MARK}\0")).unwrap();
        }
        let left = json!({"initImage": {"image": "boot", "path": out}});
        let below = inline("below", &json!({}), &json!({"a/b": MARK}));
        let (said, failed) = everything(&container, &[below, json!({"name": "init-image", "from": left})]);
        assert!(failed && said.contains(says), "{path}: {said}");
        assert!(!said.contains(MARK), "{said}");
    }
}
