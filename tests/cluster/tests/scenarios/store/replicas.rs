//! Replicas of the store are killed while tasks boot.

use anyhow::{Result, ensure};
use bootlace_cluster::images::PROBE;
use bootlace_cluster::scenario::release::{LABEL, Release, selecting};
use bootlace_cluster::scenario::{LIMIT, Namespace, scenario};
use bootlace_cluster::wait::until_async;
use k8s_openapi::api::core::v1::Pod;
use kube::ResourceExt;
use kube::api::DeleteParams;
use serde_json::json;

const TASKS: usize = 12;

#[tokio::test]
async fn no_task_fails_while_the_stores_replicas_are_killed() -> Result<()> {
    let home = scenario("store-killed-home").label(LABEL, "home");
    let tasks = scenario("store-killed").label(LABEL, "tasks");
    home.run(async |home| tasks.run(async |tasks| killed(home, tasks).await).await).await
}

async fn killed(home: &Namespace, tasks: &Namespace) -> Result<()> {
    let values = json!({"store": {"replicas": 2}, "webhook": selecting(&[tasks.name()])});
    let release = Release::install(home, tasks, &values.to_string()).await?;
    let before: Vec<_> = release.stores().await?.iter().map(ResourceExt::name_any).collect();
    assert_eq!(before.len(), 2, "{before:?}");

    for number in 0..TASKS {
        let pod = json!({
            "apiVersion": "v1", "kind": "Pod",
            "metadata": {"name": format!("task-{number}"), "labels": {"bootlace.dev/task": "true"}},
            "spec": {"restartPolicy": "Never", "containers": [{"name": "main", "image": PROBE, "args": ["environ"]}]},
        });
        tasks.create(&pod.to_string()).await?;
        // Delete both replicas at once, without a grace period, so that there is no store for a moment.
        if number == TASKS / 2 {
            for replica in &before {
                home.api::<Pod>().delete(replica, &DeleteParams::default().grace_period(0)).await?;
            }
        }
    }
    for number in 0..TASKS {
        let name = format!("task-{number}");
        tasks.pod_succeeded(&name).await?;
        assert_eq!(tasks.process(&name, "main").await?.env("GREETING"), Some(&b"the analytics team"[..]));
    }
    until_async(LIMIT, "the replicas were not replaced", async || {
        let after: Vec<_> = release.stores().await?.iter().map(ResourceExt::name_any).collect();
        ensure!(after.len() == 2 && !after.iter().any(|name| before.contains(name)), "{before:?} {after:?}");
        Ok(())
    })
    .await?;
    release.uninstall().await
}
