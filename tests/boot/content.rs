//! The content of the volume after a boot.

use std::collections::BTreeMap;
use std::path::PathBuf;

use bootlace_launch::pod_env;
use proptest::prelude::*;
use serde_json::{Value, json};

use crate::support::{Container, Entry, LAUNCHER, LAUNCHER_HTTP, inline, mounted, spec};

/// The files of `Container::boot` in addition to env and assets.
const OWN: [&str; 9] = [
    "assets",
    "bin",
    "bin/launch",
    "env",
    "env/environ",
    "env/keep",
    "env/keep/base",
    "env/keep/other",
    "task.json",
];

fn bytes(pairs: &[(&str, &[u8])]) -> BTreeMap<String, Vec<u8>> {
    pairs.iter().map(|(name, value)| ((*name).to_owned(), value.to_vec())).collect()
}

#[test]
fn an_inline_source_becomes_env_and_files() {
    let container = Container::new();
    let env = json!({"MODE": "fast", "EMPTY": "", "QUOTED": "it's \"$HOME\"\n`x` \\ = ü"});
    let log = container
        .boot(&[inline("settings", &env, &json!({"sub/query.sql": "select 1;\n", "empty": ""}))])
        .log();

    assert_eq!(
        container.env(),
        bytes(&[("EMPTY", b""), ("MODE", b"fast"), ("QUOTED", "it's \"$HOME\"\n`x` \\ = ü".as_bytes())])
    );
    assert_eq!(container.assets(), bytes(&[("empty", b""), ("sub/query.sql", b"select 1;\n")]));
    let lines: Vec<_> = log.lines().collect();
    let begin = concat!(
        "bootlace ",
        env!("CARGO_PKG_VERSION"),
        r#": booting for task load of etl, run manual with BootProfile "default", generation 3"#
    );
    assert_eq!(lines[0], begin);
    assert!(lines[1].starts_with(r#"source "settings" (inline): 3 variables, 2 files, "#), "{log}");
    assert!(lines[2].starts_with("booted: 3 variables, 2 files, "), "{log}");
    assert_eq!(lines.len(), 3);
}

#[test]
fn the_volume_contains_only_the_files_of_the_launcher() {
    let container = Container::new();
    container.boot(&[]).log();
    let tree = container.tree();
    assert_eq!(tree.keys().map(|path| path.to_str().unwrap()).collect::<Vec<_>>(), OWN);
    let content = |path: &str| tree[&PathBuf::from(path)].content.clone().unwrap();
    assert_eq!(content("bin/launch"), LAUNCHER);
    assert_eq!(content("env/environ"), b"");
    assert_eq!(pod_env::parse(&content("env/keep/base")).unwrap(), ["MODE", "with.dot"]);
    assert_eq!(content("env/keep/other"), b"");
    assert_eq!(
        serde_json::from_slice::<Value>(&content("task.json")).unwrap(),
        json!({
            "task": {"scheduler": "airflow", "workflow": "etl", "run": "manual", "task": "load"},
            "profile": {"name": "default", "generation": 3},
        })
    );
}

#[test]
fn an_http_hook_gets_the_launcher_with_tls() {
    let container = Container::new();
    let mut spec = spec(&[]);
    spec["httpGet"] = json!(true);
    container.boot_spec(&spec).log();
    assert_eq!(container.tree()[&PathBuf::from("bin/launch")].content.as_deref(), Some(LAUNCHER_HTTP));
    // The next boot of the same pod can have another configuration.
    container.boot(&[]).log();
    assert_eq!(container.tree()[&PathBuf::from("bin/launch")].content.as_deref(), Some(LAUNCHER));
}

/// The tests run under umask 077.
#[test]
fn every_user_can_read_and_none_can_write_the_files() {
    let container = Container::new();
    container.boot(&[inline("settings", &json!({"A": "1"}), &json!({"a/b/c": "x"}))]).log();
    for (path, Entry { mode, content }) in container.tree() {
        let expected = match content {
            None => 0o755,
            Some(_) if path.ends_with("bin/launch") => 0o555,
            Some(_) => 0o444,
        };
        assert_eq!(mode, expected, "{}: {mode:o}", path.display());
    }
}

#[test]
fn a_mounted_object_becomes_files_or_env() {
    let container = Container::new();
    let tables = container.mount("tables", [("a.sql", &b"select 1"[..]), ("b.sql", b"\xff\0\xfe")]);
    let login = container.mount("login", [("user", &b"scott"[..]), ("password", b"t\xffger\n")]);
    let all = mounted("tables", "ConfigMap", &tables, &json!({"prefix": "sql/"}));
    let some = mounted(
        "some",
        "ConfigMap",
        &tables,
        &json!({"items": [{"key": "a.sql", "as": "deep/er/one.sql"}, {"key": "a.sql", "as": "two.sql"}]}),
    );
    let env = mounted("login", "Secret", &login, &json!({"into": "Env", "prefix": "DB_"}));
    let log = container.boot(&[all, some, env]).log();

    assert_eq!(
        container.assets(),
        bytes(&[
            ("deep/er/one.sql", b"select 1"),
            ("sql/a.sql", b"select 1"),
            ("sql/b.sql", b"\xff\0\xfe"),
            ("two.sql", b"select 1"),
        ])
    );
    assert_eq!(container.env(), bytes(&[("DB_password", b"t\xffger\n"), ("DB_user", b"scott")]));
    assert!(
        log.contains(r#"source "tables" (ConfigMap the-tables): 0 variables, 2 files, 11 B in "#),
        "{log}"
    );
    assert!(
        log.contains(r#"source "login" (Secret the-login): 2 variables (2 secret), 0 files, 11 B in "#),
        "{log}"
    );
}

#[test]
fn a_later_source_overrides_and_the_log_names_both() {
    let container = Container::new();
    let login = container.mount("login", [("USER", &b"scott"[..])]);
    let log = container
        .boot(&[
            inline("first", &json!({"USER": "nobody", "MODE": "slow"}), &json!({"a": "1", "b/c": "1"})),
            mounted("login", "Secret", &login, &json!({"into": "Env"})),
            inline("last", &json!({"MODE": "fast"}), &json!({"b/c": "2"})),
        ])
        .log();
    assert_eq!(container.env(), bytes(&[("MODE", b"fast"), ("USER", b"scott")]));
    assert_eq!(container.assets(), bytes(&[("a", b"1"), ("b/c", b"2")]));
    let overrides: Vec<_> = log.lines().filter(|line| line.contains("overrides")).collect();
    assert_eq!(
        overrides,
        [
            r#"source "login" overrides the variable "USER" of source "first""#,
            r#"source "last" overrides the variable "MODE" of source "first""#,
            r#"source "last" overrides the file "b/c" of source "first""#,
        ]
    );
}

#[test]
fn optional_objects_and_keys_can_be_missing() {
    let container = Container::new();
    let empty = container.mount("empty", []);
    let login = container.mount("login", [("user", &b"scott"[..])]);
    let items = json!({
        "into": "Env", "optional": true,
        "items": [{"key": "user", "as": "DB_USER"}, {"key": "password", "as": "DB_PASSWORD"}],
    });
    let log = container
        .boot(&[
            mounted("absent", "Secret", &container.beside("nowhere"), &json!({"optional": true})),
            mounted("empty", "ConfigMap", &empty, &json!({"optional": true})),
            mounted("login", "Secret", &login, &items),
        ])
        .log();
    assert_eq!(container.env(), bytes(&[("DB_USER", b"scott")]));
    for line in [
        r#"source "absent" (Secret the-absent): skipped because it is optional"#,
        r#"source "empty" (ConfigMap the-empty): skipped because it is optional"#,
        r#"source "login" (Secret the-login): skipped key "password" because the source is optional"#,
    ] {
        assert!(log.lines().any(|logged| logged.starts_with(line)), "{log}");
    }
}

/// Fields of the pod that the kubelet passes to boot become attributes, unless the pod sets them itself.
#[test]
fn the_context_of_a_task_becomes_env_and_its_gaps_are_logged() {
    let container = Container::new();
    let context = json!({
        "env": {"OTEL_SERVICE_NAME": "etl"},
        "attributes": {"k8s.node.name": "own", "team": "a b,c"},
        "leftOut": ["TRACEPARENT is left out: run is undefined or empty"],
    });
    let spec = spec(&[json!({"name": "run", "from": {"context": context}})]).to_string();
    let env = [("BOOTLACE_SPEC", &*spec), ("BOOTLACE_POD", "load-1"), ("BOOTLACE_NODE", "node-1")];
    let log = container.boot_env(&env).log();
    assert_eq!(
        container.env(),
        bytes(&[
            ("OTEL_RESOURCE_ATTRIBUTES", b"k8s.node.name=own,k8s.pod.name=load-1,team=a%20b%2Cc"),
            ("OTEL_SERVICE_NAME", b"etl"),
        ])
    );
    let note = r#"source "run" (context): TRACEPARENT is left out: run is undefined or empty"#;
    assert!(log.lines().any(|line| line == note), "{log}");
    assert!(log.contains(r#"source "run" (context): 2 variables, 0 files, "#), "{log}");
}

/// A name cannot start a new line in the log.
#[test]
fn names_are_escaped_in_the_log() {
    let container = Container::new();
    let files = json!({"a\nbooted: nothing": "x"});
    let log = container.boot(&[inline("one", &json!({}), &files), inline("two", &json!({}), &files)]).log();
    assert!(log.contains(r#"overrides the file "a\nbooted: nothing" of"#), "{log}");
    assert_eq!(log.lines().filter(|line| line.starts_with("booted")).count(), 1, "{log}");
}

/// Env and files of one source.
type Given = (BTreeMap<String, String>, BTreeMap<String, String>);

fn sources() -> impl Strategy<Value = Vec<Given>> {
    let value = || "[^\0]{0,20}";
    let env = prop::collection::btree_map("[A-C_]{1,2}", value(), 0..5);
    let files = prop::collection::btree_map("([ab. ]{3}/){0,2}[ab]{1,2}", ".{0,20}", 0..5);
    prop::collection::vec((env, files), 0..4)
}

/// Whether a path is both a file and a folder.
fn clashes(sources: &[Given]) -> bool {
    let paths: Vec<_> = sources.iter().flat_map(|(_, files)| files.keys()).collect();
    paths.iter().any(|file| paths.iter().any(|other| other.starts_with(&format!("{file}/"))))
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// Compares with a naive merge, also when boot runs a second time.
    #[test]
    fn the_volume_contains_the_merge_of_all_sources(sources in sources()) {
        let container = Container::new();
        let specs: Vec<_> = sources
            .iter()
            .enumerate()
            .map(|(at, (env, files))| inline(&format!("source-{at}"), &json!(env), &json!(files)))
            .collect();
        let dots = |path: &&String| path.split('/').any(|name| name == ".." || name == ".");
        let refused = clashes(&sources) || sources.iter().any(|(_, files)| files.keys().any(|path| dots(&path)));
        let first = container.boot(&specs);
        prop_assert_eq!(first.result.is_err(), refused, "{}", first.log);
        if refused {
            prop_assert!(!container.at("env/environ").exists());
            return Ok(());
        }
        let owned = |map: BTreeMap<String, String>| map.into_iter().map(|(k, v)| (k, v.into_bytes()));
        let env: BTreeMap<_, _> = sources.iter().flat_map(|(env, _)| owned(env.clone())).collect();
        let files: BTreeMap<_, _> = sources.iter().flat_map(|(_, files)| owned(files.clone())).collect();
        prop_assert_eq!(container.env(), env);
        prop_assert_eq!(container.assets(), files);
        let tree = container.tree();
        container.boot(&specs).log();
        prop_assert_eq!(container.tree(), tree);
    }
}
