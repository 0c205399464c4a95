//! Inline, ConfigMap and Secret sources of a profile, with any content.

use anyhow::Result;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bootlace_cluster::images::PROBE;
use bootlace_cluster::scenario::{Namespace, Process, scenario};
use serde_json::{Value, json};

/// Bytes that are not text in any encoding.
const BINARY: &[u8] = b"\x89PNG\r\n\x1a\n\0\xff\xfe";

/// Runs a task that prints its env and `files`, and returns its output.
async fn run(namespace: &Namespace, files: &[&str]) -> Result<Process> {
    let files: Vec<_> = files.iter().map(|path| format!("file={path}")).collect();
    let pod = json!({
        "apiVersion": "v1", "kind": "Pod",
        "metadata": {"name": "task", "labels": {"bootlace.dev/task": namespace.name()}},
        "spec": {"restartPolicy": "Never", "containers": [{
            "name": "main", "image": PROBE, "command": ["/probe", "environ"], "args": files,
        }]},
    });
    namespace.create(&pod.to_string()).await?;
    namespace.pod_succeeded("task").await?;
    namespace.process("task", "main").await
}

async fn create(namespace: &Namespace, kind: &str, name: &str, content: &Value) -> Result<()> {
    let mut object = json!({"apiVersion": "v1", "kind": kind, "metadata": {"name": name}});
    for (field, value) in content.as_object().expect("the content is an object") {
        object[field] = value.clone();
    }
    namespace.create(&object.to_string()).await.map(drop)
}

#[tokio::test]
async fn objects_of_the_namespace_become_files_and_variables_byte_for_byte() -> Result<()> {
    scenario("sources-objects")
        .run(async |namespace| {
            let tables =
                json!({"data": {"sales.csv": "day,amount\n"}, "binaryData": {"logo.png": STANDARD.encode(BINARY)}});
            create(namespace, "ConfigMap", "tables", &tables).await?;
            // All bytes except NUL, which a variable cannot contain.
            let bytes: Vec<u8> = (1..=255).collect();
            let login = json!({"data": {"USER": STANDARD.encode("etl"), "PASSWORD": STANDARD.encode(&bytes)}});
            create(namespace, "Secret", "login", &login).await?;
            namespace
                .profile(
                    "
                    sources:
                    - { name: tables, configMap: { name: tables, prefix: data/in/ } }
                    - { name: login, secret: { name: login, into: Env, prefix: DB_ } }
                    ",
                )
                .await?;
            let process =
                run(namespace, &["/var/assets/data/in/sales.csv", "/var/assets/data/in/logo.png"]).await?;
            assert_eq!(process.file("/var/assets/data/in/sales.csv")?, b"day,amount\n");
            assert_eq!(process.file("/var/assets/data/in/logo.png")?, BINARY);
            assert_eq!(process.env("DB_USER"), Some(&b"etl"[..]));
            assert_eq!(process.env("DB_PASSWORD"), Some(&bytes[..]));
            let log = namespace.log("task", "bootlace-boot").await?;
            assert!(log.contains("2 variables (2 secret), 0 files") && !log.contains("etl"), "{log}");
            Ok(())
        })
        .await
}

#[tokio::test]
async fn only_listed_keys_are_used_with_the_names_in_the_profile() -> Result<()> {
    scenario("sources-items")
        .run(async |namespace| {
            create(namespace, "Secret", "login", &json!({"stringData": {"user.name": "etl", "admin": "no"}}))
                .await?;
            create(namespace, "ConfigMap", "tables", &json!({"data": {"a.sql": "a", "b.sql": "b"}})).await?;
            namespace
                .profile(
                    "
                    assets: { mountPath: /data/in }
                    sources:
                    - name: login
                      secret: { name: login, into: Env, items: [{ key: user.name, as: USER_NAME }] }
                    - name: tables
                      configMap: { name: tables, prefix: sql/, items: [{ key: a.sql, as: deep/first.sql }] }
                    ",
                )
                .await?;
            let process = run(namespace, &["/data/in/sql/deep/first.sql"]).await?;
            assert_eq!(process.file("/data/in/sql/deep/first.sql")?, b"a");
            assert_eq!(process.env("USER_NAME"), Some(&b"etl"[..]));
            assert_eq!(process.env("admin"), None);
            let log = namespace.log("task", "bootlace-boot").await?;
            assert!(log.contains("booted: 1 variable (1 secret), 1 file, 4 B"), "{log}");
            Ok(())
        })
        .await
}

#[tokio::test]
async fn a_later_source_wins_and_an_optional_one_may_be_missing() -> Result<()> {
    scenario("sources-order")
        .run(async |namespace| {
            create(namespace, "ConfigMap", "team", &json!({"data": {"REGION": "eu-west-1"}})).await?;
            create(namespace, "ConfigMap", "queries", &json!({"data": {"q.sql": "select 2"}})).await?;
            namespace
                .profile(
                    "
                    sources:
                    - name: defaults
                      inline: { env: { REGION: us-east-1, TIER: basic }, files: { q.sql: select 1 } }
                    - { name: team, configMap: { name: team, into: Env } }
                    - { name: queries, configMap: { name: queries } }
                    - { name: person, secret: { name: nobody-made-it, into: Env, optional: true } }
                    - { name: key, configMap: { name: team, items: [{ key: NONE, as: none }], optional: true } }
                    ",
                )
                .await?;
            let process = run(namespace, &["/var/assets/q.sql"]).await?;
            assert_eq!(process.env("REGION"), Some(&b"eu-west-1"[..]));
            assert_eq!(process.env("TIER"), Some(&b"basic"[..]));
            assert_eq!(process.file("/var/assets/q.sql")?, b"select 2");
            let log = namespace.log("task", "bootlace-boot").await?;
            for line in [
                "source \"team\" overrides the variable \"REGION\" of source \"defaults\"",
                "source \"queries\" overrides the file \"q.sql\" of source \"defaults\"",
                "source \"person\" (Secret nobody-made-it): skipped because it is optional: it does not exist, or has no keys",
                "source \"key\" (ConfigMap team): skipped key \"NONE\" because the source is optional: it does not exist",
            ] {
                assert!(log.contains(line), "{line:?} is not in:\n{log}");
            }
            Ok(())
        })
        .await
}
