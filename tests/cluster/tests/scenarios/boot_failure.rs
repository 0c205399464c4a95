//! Failures of boot, and where their messages are.

use anyhow::Result;
use bootlace_cluster::images::PROBE;
use bootlace_cluster::scenario::{Namespace, scenario, state};
use serde_json::json;

/// Runs a task whose boot must fail. Checks the exit code, that the termination message contains `parts`, and
/// that it is also the last line of the log.
async fn fails(namespace: &Namespace, code: i32, parts: &[&str]) -> Result<()> {
    let pod = json!({
        "apiVersion": "v1", "kind": "Pod",
        "metadata": {"name": "task", "labels": {"bootlace.dev/task": namespace.name()}},
        "spec": {"restartPolicy": "Never", "containers": [{"name": "main", "image": PROBE, "command": ["/probe"]}]},
    });
    namespace.create(&pod.to_string()).await?;
    let pod = namespace.pod_failed("task").await?;
    assert_eq!(state::ended(&pod, "bootlace-boot")?.exit_code, code);
    assert!(!state::has_ended(&pod, "main"), "the task ran");

    let message = state::message(&pod, "bootlace-boot")?;
    for part in parts {
        assert!(message.contains(part), "{part:?} is not in {message:?}");
    }
    let log = namespace.log("task", "bootlace-boot").await?;
    assert_eq!(log.lines().next_back(), Some(message), "{log}");
    Ok(())
}

#[tokio::test]
async fn a_missing_object_is_named_with_what_to_do() -> Result<()> {
    scenario("boot-missing")
        .run(async |namespace| {
            namespace.profile("sources: [{ name: tables, configMap: { name: etl-tables } }]").await?;
            let profile = format!("BootProfile \"{}\"", namespace.name());
            let parts = ["bootlace: source \"tables\"", "ConfigMap etl-tables", &profile, "optional: true"];
            fails(namespace, 69, &parts).await
        })
        .await
}

#[tokio::test]
async fn a_missing_key_is_named_with_the_keys_that_there_are() -> Result<()> {
    scenario("boot-key")
        .run(async |namespace| {
            let secret = "{apiVersion: v1, kind: Secret, metadata: {name: login},
                stringData: {user: not-for-any-log, password: not-for-any-log}}";
            namespace.create(secret).await?;
            let profile = "sources: [{ name: login, secret: { name: login, into: Env, items: [{ key: token, as: T }] } }]";
            namespace.profile(profile).await?;
            let parts = ["source \"login\" (Secret login)", "key \"token\" not found, only password, user"];
            fails(namespace, 69, &parts).await?;
            let log = namespace.log("task", "bootlace-boot").await?;
            assert!(!log.contains("not-for-any-log"), "{log}");
            Ok(())
        })
        .await
}

#[tokio::test]
async fn a_variable_that_decides_which_programs_run_is_not_a_sources_to_give() -> Result<()> {
    scenario("boot-reserved")
        .run(async |namespace| {
            let config =
                "{apiVersion: v1, kind: ConfigMap, metadata: {name: team}, data: {LD_PRELOAD: /tmp/x.so}}";
            namespace.create(config).await?;
            namespace.profile("sources: [{ name: team, configMap: { name: team, into: Env } }]").await?;
            fails(namespace, 65, &["\"LD_PRELOAD\"", "[BL2305]"]).await
        })
        .await
}

#[tokio::test]
async fn a_volume_that_is_too_small_is_named_with_its_field() -> Result<()> {
    scenario("boot-full")
        .run(async |namespace| {
            let text = "x".repeat(900 * 1024);
            let config = json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "big"}, "data": {"a": text}});
            namespace.create(&config.to_string()).await?;
            namespace.profile("{volume: {sizeLimit: 1Mi}, sources: [{name: big, configMap: {name: big}}]}").await?;
            fails(namespace, 74, &["volume.sizeLimit"]).await
        })
        .await
}
