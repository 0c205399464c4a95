//! Overlays: what the API server stores of a pod, and that the pod runs with it. The merge keys of lists are
//! those of the API server.
//!
//! `UPDATE=1` writes the merge keys, `core/src/overlay/merge_keys.txt`. Without it, the scenario fails if
//! they are not up to date.

#[path = "../../../overlays/merge_keys.rs"]
mod merge_keys;

use anyhow::{Context, Result, ensure};
use bootlace_cluster::images::{BUSYBOX, root};
use bootlace_cluster::scenario::scenario;
use merge_keys::MergeKeys;
use serde_json::{Value, json};

/// A profile with a source, so that the task also gets a boot env, and with several overlays.
fn profile() -> String {
    let proxy = "while true; do echo hello from the proxy | nc -l -p 8080; done";
    json!({
        "sources": [{"name": "settings", "inline": {"env": {"REGION": "eu", "LEVEL": "boot"}}}],
        "overlays": [
            {"name": "labels", "pod": {"metadata": {
                "labels": {"cost-team": "{{ labels.team }}", "team": "of-the-overlay"},
                "annotations": {"cost-place": "{{ namespace }}/{{ pod }}"},
            }}},
            {"name": "queue", "when": "labels.queue | default('') == 'spot'", "pod": {"spec": {
                "tolerations": [{"key": "spot", "operator": "Exists", "effect": "NoSchedule"}],
            }}},
            {"name": "never", "when": "labels.queue | default('') == 'never'", "pod": {"spec": {"nodeSelector": {"no": "node"}}}},
            {"name": "proxy", "pod": {"spec": {"initContainers": [{
                "name": "proxy", "image": BUSYBOX, "restartPolicy": "Always", "command": ["sh", "-c", proxy],
                "startupProbe": {"exec": {"command": ["sh", "-c", "netstat -ltn | grep -q :8080"]}, "periodSeconds": 1},
            }]}}},
            {"name": "shared", "rename": true, "pod": {"spec": {
                "volumes": [{"name": "shared", "downwardAPI": {"items": [
                    {"path": "labels", "fieldRef": {"fieldPath": "metadata.labels"}},
                ]}}],
                "containers": [{
                    "name": "*",
                    "volumeMounts": [{"name": "shared", "mountPath": "/shared"}],
                    "env": [{"name": "LEVEL", "value": "overlay"}],
                }],
            }}},
            {"name": "debug", "optional": true, "pod": {"metadata": {"annotations": {"debug": "{{ labels['cost-team'] }}"}}}},
        ],
    })
    .to_string()
}

fn pod(name: &str, profile: &str, command: &str) -> Value {
    json!({
        "apiVersion": "v1", "kind": "Pod",
        "metadata": {"name": name, "labels": {"bootlace.dev/task": profile, "team": "growth", "queue": "spot"}},
        "spec": {
            "restartPolicy": "Never",
            "containers": [{"name": "main", "image": BUSYBOX, "command": ["sh", "-ec", command]}],
        },
    })
}

#[tokio::test]
async fn a_pod_runs_with_its_overlays() -> Result<()> {
    scenario("overlays")
        .run(async |namespace| {
            namespace.profile(&profile()).await?;
            // The pod has its own volume of the name.
            let command =
                "grep cost-team /shared/labels; nc 127.0.0.1 8080 < /dev/null; echo \"$REGION $LEVEL\"";
            let mut task = pod("task", namespace.name(), command);
            task["spec"]["volumes"] = json!([{"name": "shared", "emptyDir": {}}]);
            namespace.create(&task.to_string()).await?;
            let stored = serde_json::to_value(namespace.pod_succeeded("task").await?)?;

            let (metadata, spec) = (&stored["metadata"], &stored["spec"]);
            assert_eq!(metadata["labels"]["cost-team"], "growth");
            assert_eq!(metadata["labels"]["team"], "growth");
            assert_eq!(metadata["annotations"]["cost-place"], format!("{}/task", namespace.name()));
            assert_eq!(metadata["annotations"].get("debug"), None);
            let mark = metadata["annotations"]["bootlace.dev/injected"].as_str().context("the annotation")?;
            let mark: Value = serde_json::from_str(mark)?;
            assert_eq!(mark["overlays"], json!(["labels", "queue", "proxy", "shared"]));

            // The API server has set tolerations before.
            let tolerations = spec["tolerations"].as_array().context("tolerations")?;
            assert!(tolerations.len() > 1, "{tolerations:?}");
            assert_eq!(tolerations.iter().filter(|toleration| toleration["key"] == "spot").count(), 1);
            assert_eq!(spec["nodeSelector"], Value::Null);
            let init = spec["initContainers"].as_array().context("init containers")?;
            let init: Vec<_> = init.iter().map(|container| &container["name"]).collect();
            assert_eq!(init, ["proxy", "bootlace-boot"]);
            let mounts = spec["containers"][0]["volumeMounts"].as_array().context("mounts")?;
            assert!(
                mounts.iter().any(|mount| mount["name"] == "shared-2" && mount["mountPath"] == "/shared")
            );

            let log = namespace.log("task", "main").await?;
            assert_eq!(log, "cost-team=\"growth\"\nhello from the proxy\neu overlay\n");
            Ok(())
        })
        .await
}

#[tokio::test]
async fn an_optional_overlay_is_applied_to_pods_that_name_it() -> Result<()> {
    scenario("overlays-optional")
        .run(async |namespace| {
            namespace.profile(&profile()).await?;
            let asking_for = |overlays: &str| {
                let mut pod = pod("task", namespace.name(), "true");
                pod["metadata"]["annotations"] = json!({"bootlace.dev/overlays": overlays});
                pod.to_string()
            };
            namespace.create(&asking_for("debug")).await?;
            let stored = serde_json::to_value(namespace.pod_succeeded("task").await?)?;
            assert_eq!(stored["metadata"]["annotations"]["debug"], "growth");
            let refusal = namespace.dry_run(&asking_for("trace")).await.unwrap_err();
            let refusal = format!("{refusal:#}");
            for part in ["names overlay \"trace\"", "use one of \"debug\"", "[BL1803]"] {
                ensure!(refusal.contains(part), "{part:?} is not in {refusal:?}");
            }
            Ok(())
        })
        .await
}

#[tokio::test]
async fn a_name_that_the_pod_has_taken_is_refused_with_both_sides() -> Result<()> {
    scenario("overlays-refused")
        .run(async |namespace| {
            namespace.profile(&profile()).await?;
            let mut task = pod("task", namespace.name(), "true");
            task["spec"]["initContainers"] =
                json!([{"name": "proxy", "image": BUSYBOX, "command": ["false"]}]);
            let refusal =
                namespace.create(&task.to_string()).await.err().context("the pod was not refused")?;
            let refusal = format!("{refusal:#}");
            for part in ["overlay \"proxy\"", "\"proxy\" is already set by the pod", "[BL1806]"] {
                ensure!(refusal.contains(part), "{part:?} is not in {refusal:?}");
            }
            Ok(())
        })
        .await
}

/// The table that `overlays` of a profile are merged by.
const MERGE_KEYS: &str = "core/src/overlay/merge_keys.txt";

#[tokio::test]
async fn the_merge_keys_are_those_that_the_api_server_tells() -> Result<()> {
    scenario("overlays-keys")
        .run(async |namespace| {
            let request = http::Request::get("/openapi/v3/api/v1").body(Vec::new())?;
            let document: Value = namespace.client().request(request).await?;
            let keys = MergeKeys::from_document(&document).to_string();
            let file = root().join(MERGE_KEYS);
            if std::env::var_os("UPDATE").is_some() {
                return Ok(std::fs::write(&file, keys)?);
            }
            let committed = std::fs::read_to_string(&file)?;
            ensure!(committed == keys, "{MERGE_KEYS} is not up to date: run this scenario with UPDATE=1");
            Ok(())
        })
        .await
}
