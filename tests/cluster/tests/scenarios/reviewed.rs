//! The number of reviews of a pod, counted by a separate release.

use anyhow::{Result, ensure};
use bootlace_cluster::images::PROBE;
use bootlace_cluster::scenario::release::{LABEL, Release, selecting};
use bootlace_cluster::scenario::{Namespace, scenario};
use bootlace_cluster::wait::until_async;
use k8s_openapi::api::core::v1::Pod;
use kube::ResourceExt;
use serde_json::{Value, json};

use crate::mutator::{Mutator, SIDECAR};

#[path = "../../../../core/tests/selection/samples.rs"]
mod samples;

#[tokio::test]
async fn a_pod_is_reviewed_once_and_again_only_where_something_is_left_to_do() -> Result<()> {
    let home = scenario("reviewed-home").label(LABEL, "home");
    let tasks = scenario("reviewed").label(LABEL, "tasks").label("bootlace.dev/schedulers", "enabled");
    home.run(async |home| tasks.run(async |tasks| check(home, tasks).await).await).await
}

async fn check(home: &Namespace, tasks: &Namespace) -> Result<()> {
    let first = format!("{}-first", tasks.name());
    tasks
        .profile_called(&first, "{boot: {position: First}, sources: [{name: s, inline: {env: {A: b}}}]}")
        .await?;
    // With a store, pods are signed, and the match conditions check the signature too.
    let store = json!({"replicas": 1});
    let values = json!({"replicas": 1, "store": store, "webhook": selecting(&[tasks.name()])});
    let release = Release::install(home, tasks, &values.to_string()).await?;
    let reviews = Reviews { release: &release };

    as_the_code_decides(tasks, &reviews).await?;
    ordinary(tasks, &reviews).await?;
    before_another_webhook(tasks, &reviews, &first).await?;
    release.uninstall().await
}

struct Reviews<'r, 'n> {
    release: &'r Release<'n>,
}

impl Reviews<'_, '_> {
    /// The number of reviews during `create`.
    async fn count<T>(&self, create: impl AsyncFnOnce() -> Result<T>) -> Result<(T, u64)> {
        let before = self.release.reviews().await?;
        let created = create().await?;
        Ok((created, self.release.reviews().await? - before))
    }
}

/// The match conditions of the chart exclude exactly the pods that the webhook would not change.
async fn as_the_code_decides(tasks: &Namespace, reviews: &Reviews<'_, '_>) -> Result<()> {
    for sample in samples::samples() {
        let pod = sample.pod(PROBE).to_string();
        let (created, count) = reviews.count(async || tasks.dry_run(&pod).await).await?;
        let object = serde_json::to_value(&created[0].object)?;
        let init = object["spec"]["initContainers"].as_array();
        let last = init.and_then(|init| init.last()).map(|container| container["name"].clone());
        let case = format!("{}: {count} reviews, {object}", sample.pod);
        match sample.outcome.as_str() {
            "injected" => assert!(count == 1 && last == Some(json!("bootlace-boot")), "{case}"),
            "reordered" => {
                let injected = ["bootlace-boot", "bootlace-pipe"].map(|name| Some(json!(name)));
                assert!(count == 1 && injected.contains(&last), "{case}");
            }
            // The sample has no signature. With a signature, the pod is not reviewed again.
            "done" => {
                assert!(count == 1 && object.to_string().contains("BOOTLACE_SIGNATURE"), "{case}");
                let again = json!({
                    "apiVersion": "v1", "kind": "Pod", "spec": object["spec"],
                    "metadata": {
                        "name": object["metadata"]["name"], "labels": object["metadata"]["labels"],
                        "annotations": object["metadata"]["annotations"],
                    },
                });
                let (_, count) = reviews.count(async || tasks.dry_run(&again.to_string()).await).await?;
                assert_eq!(count, 0, "{again}");
            }
            "windows" => assert!(count == 0 && init.is_none_or(Vec::is_empty), "{case}"),
            _ => assert!(count == 0, "{case}"),
        }
    }
    Ok(())
}

fn task(labels: &Value) -> Value {
    json!({
        "apiVersion": "v1", "kind": "Pod", "metadata": {"name": "task", "labels": labels},
        "spec": {"restartPolicy": "Never", "containers": [{"name": "base", "image": PROBE, "command": ["/probe"]}]},
    })
}

/// The API server mounts the token of the service account into injected containers, which must not cause a
/// second review.
async fn ordinary(tasks: &Namespace, reviews: &Reviews<'_, '_>) -> Result<()> {
    let mut with_init = task(&json!({"bootlace.dev/task": "true"}));
    with_init["spec"]["initContainers"] = json!([{"name": "own", "image": PROBE, "command": ["/probe"]}]);
    for pod in [
        task(&json!({"bootlace.dev/task": "true"})),
        with_init,
        // A pod like those of Airflow's operator.
        task(&json!({"kubernetes_pod_operator": "True", "dag_id": "etl", "task_id": "load", "run_id": "r"})),
    ] {
        let (created, count) = reviews.count(async || tasks.dry_run(&pod.to_string()).await).await?;
        let object = serde_json::to_value(&created[0].object)?;
        let mounts = object["spec"]["initContainers"]
            .as_array()
            .and_then(|init| init.last())
            .map(|boot| &boot["volumeMounts"]);
        let token = "/var/run/secrets/kubernetes.io/serviceaccount";
        assert!(mounts.is_some_and(|mounts| mounts.to_string().contains(token)), "{object}");
        assert_eq!(count, 1, "{object}");
    }
    let job = json!({
        "apiVersion": "batch/v1", "kind": "Job", "metadata": {"name": "nightly"},
        "spec": {"backoffLimit": 0, "template": {
            "metadata": {"labels": {"bootlace.dev/task": "true"}},
            "spec": {"restartPolicy": "Never", "containers": [{"name": "main", "image": PROBE, "command": ["/probe"]}]},
        }},
    });
    let (pods, count) = reviews
        .count(async || {
            tasks.create(&job.to_string()).await?;
            tasks.job_completed("nightly").await
        })
        .await?;
    assert_eq!((pods.len(), count), (1, 1));
    Ok(())
}

/// The other webhook runs after Bootlace and appends a native sidecar, without which boot may have no
/// network.
async fn before_another_webhook(tasks: &Namespace, reviews: &Reviews<'_, '_>, first: &str) -> Result<()> {
    let mesh = Mutator::start(tasks).await?;
    let plain = task(&json!({"app": "web"})).to_string();
    until_async(
        bootlace_cluster::scenario::LIMIT,
        "the API server does not call the other webhook",
        async || {
            let created = tasks.dry_run(&plain).await?;
            let pod = serde_json::to_value(&created[0].object)?;
            ensure!(pod["spec"]["initContainers"][0]["name"] == SIDECAR, "the sidecar was not added");
            Ok(())
        },
    )
    .await?;

    let pod = task(&json!({"bootlace.dev/task": "true"})).to_string();
    let (_, count) = reviews.count(async || tasks.create(&pod).await).await?;
    let pod = tasks.pod_succeeded("task").await?;
    assert_eq!((init_containers(&pod), count), (vec![SIDECAR.to_owned(), "bootlace-boot".to_owned()], 2));

    // With `position: First`, boot does not have to be moved.
    let mut pod = task(&json!({"bootlace.dev/task": first}));
    pod["metadata"]["name"] = json!("first");
    let (_, count) = reviews.count(async || tasks.create(&pod.to_string()).await).await?;
    let pod = tasks.pod_succeeded("first").await?;
    assert_eq!((init_containers(&pod), count), (vec!["bootlace-boot".to_owned(), SIDECAR.to_owned()], 1));
    assert!(pod.annotations()["bootlace.dev/injected"].contains(r#""position":"First""#));
    mesh.remove().await
}

fn init_containers(pod: &Pod) -> Vec<String> {
    let containers = pod.spec.iter().flat_map(|spec| spec.init_containers.iter().flatten());
    containers.map(|container| container.name.clone()).collect()
}
