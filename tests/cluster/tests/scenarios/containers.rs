//! Pods with several containers, and containers that are restarted.

use anyhow::Result;
use bootlace_cluster::images::{BUSYBOX, PROBE};
use bootlace_cluster::scenario::{scenario, state};
use serde_json::json;

const GREETING: Option<&[u8]> = Some(b"the analytics team");

#[tokio::test]
async fn those_that_the_annotation_names_are_tasks_and_no_others() -> Result<()> {
    scenario("two-tasks")
        .run(async |namespace| {
            let container = |name: &str| {
                json!({"name": name, "image": PROBE, "command": ["/probe", "environ"],
                    "env": [{"name": "WHO", "value": name}]})
            };
            let pod = json!({
                "apiVersion": "v1", "kind": "Pod",
                "metadata": {
                    "name": "task", "labels": {"bootlace.dev/task": "true"},
                    "annotations": {"bootlace.dev/containers": "second, first"},
                },
                "spec": {
                    "restartPolicy": "Never",
                    "containers": [container("helper"), container("first"), container("second")],
                },
            });
            namespace.create(&pod.to_string()).await?;
            namespace.pod_succeeded("task").await?;
            for (name, greeting) in [("helper", None), ("first", GREETING), ("second", GREETING)] {
                let process = namespace.process("task", name).await?;
                assert_eq!(process.env("GREETING"), greeting, "{name}");
                assert_eq!(process.env("WHO"), Some(name.as_bytes()));
            }
            Ok(())
        })
        .await
}

#[tokio::test]
async fn a_task_that_crashes_finds_the_same_again_when_it_is_restarted() -> Result<()> {
    scenario("crash-once")
        .run(async |namespace| {
            let script = "cat /var/assets/query.sql; echo \"for $GREETING\"; [ -e /state/ran ] || { touch /state/ran; exit 4; }";
            let pod = json!({
                "apiVersion": "v1", "kind": "Pod",
                "metadata": {"name": "task", "labels": {"bootlace.dev/task": "true"}},
                "spec": {
                    "restartPolicy": "OnFailure",
                    "containers": [{
                        "name": "main", "image": BUSYBOX, "command": ["sh", "-c", script],
                        "volumeMounts": [{"name": "state", "mountPath": "/state"}],
                    }],
                    "volumes": [{"name": "state", "emptyDir": {}}],
                },
            });
            namespace.create(&pod.to_string()).await?;
            let pod = namespace.pod_succeeded("task").await?;
            assert_eq!((state::restarts(&pod, "main"), state::restarts(&pod, "bootlace-boot")), (1, 0));
            let log = namespace.log("task", "main").await?;
            assert_eq!(log, "select day, sum(amount) from sales group by day;\nfor the analytics team\n");
            Ok(())
        })
        .await
}

#[tokio::test]
async fn where_the_first_process_is_not_the_tasks_own_the_hook_still_finds_it() -> Result<()> {
    scenario("shared-pids")
        .run(async |namespace| {
            let pod = json!({
                "apiVersion": "v1", "kind": "Pod",
                "metadata": {"name": "task", "labels": {"bootlace.dev/task": "true"}},
                "spec": {
                    "restartPolicy": "Never", "shareProcessNamespace": true,
                    "containers": [
                        {"name": "main", "image": PROBE, "command": ["/probe", "environ", "status"]},
                        {"name": "helper", "image": PROBE, "command": ["/probe", "environ"]},
                    ],
                },
            });
            namespace.create(&pod.to_string()).await?;
            namespace.pod_succeeded("task").await?;
            let process = namespace.process("task", "main").await?;
            assert_eq!(process.env("GREETING"), GREETING);
            assert_ne!(process.status("Pid")?, "1", "the pod has no shared PID namespace");
            assert_eq!(namespace.process("task", "helper").await?.env("GREETING"), None);
            Ok(())
        })
        .await
}

#[tokio::test]
async fn boot_runs_before_or_after_the_pods_own_init_containers_as_the_profile_says() -> Result<()> {
    scenario("boot-position")
        .run(async |namespace| {
            namespace
                .profile("{boot: {position: First}, sources: [{name: s, inline: {files: {query.sql: select 1}}}]}")
                .await?;
            for (name, label, expected) in
                [("first", namespace.name(), "select 1"), ("last", "true", "file not found\n")]
            {
                let pod = json!({
                    "apiVersion": "v1", "kind": "Pod",
                    "metadata": {"name": name, "labels": {"bootlace.dev/task": label}},
                    "spec": {
                        "restartPolicy": "Never",
                        "initContainers": [{
                            "name": "own", "image": BUSYBOX,
                            "command": ["sh", "-c", "cat /var/assets/query.sql 2>/dev/null || echo file not found"],
                        }],
                        "containers": [{"name": "main", "image": PROBE, "command": ["/probe", "file=/bootlace/task.json"]}],
                    },
                });
                namespace.create(&pod.to_string()).await?;
                namespace.pod_succeeded(name).await?;
                let log = namespace.log(name, "own").await?;
                assert!(log.ends_with(expected), "{name}: {log}");
            }
            Ok(())
        })
        .await
}
