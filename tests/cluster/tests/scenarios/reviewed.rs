//! How often the API server asks about a pod, and what it asks about at all: counted by a release that nobody else uses.

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
    // With a store pods are signed, which the match conditions look at too.
    let store = json!({"replicas": 1});
    let values = json!({"replicas": 1, "store": store, "webhook": selecting(&[tasks.name()])});
    let release = Release::install(home, tasks, &values.to_string()).await?;
    let reviews = Reviews { release: &release };

    as_the_code_decides(tasks, &reviews).await?;
    ordinary(tasks, &reviews).await?;
    behind_another_webhook(tasks, &reviews, &first).await?;
    release.uninstall().await
}

struct Reviews<'r, 'n> {
    release: &'r Release<'n>,
}

impl Reviews<'_, '_> {
    /// How many there are of what `create` does.
    async fn of<T>(&self, create: impl AsyncFnOnce() -> Result<T>) -> Result<(T, u64)> {
        let before = self.release.reviews().await?;
        let created = create().await?;
        Ok((created, self.release.reviews().await? - before))
    }
}

/// The chart's match conditions keep from the webhook what the code leaves alone, and nothing else.
async fn as_the_code_decides(tasks: &Namespace, reviews: &Reviews<'_, '_>) -> Result<()> {
    for sample in samples::samples() {
        let pod = sample.pod(PROBE).to_string();
        let (created, asked) = reviews.of(async || tasks.dry_run(&pod).await).await?;
        let object = serde_json::to_value(&created[0].object)?;
        let init = object["spec"]["initContainers"].as_array();
        let last = init.and_then(|init| init.last()).map(|container| container["name"].clone());
        let what = format!("{}: {asked} reviews, {object}", sample.pod);
        match sample.becomes.as_str() {
            "injected" => assert!(asked == 1 && last == Some(json!("bootlace-boot")), "{what}"),
            "reordered" => {
                let ours = ["bootlace-boot", "bootlace-pipe"].map(|name| Some(json!(name)));
                assert!(asked == 1 && ours.contains(&last), "{what}");
            }
            // It comes without a signature. With one nobody is asked any more.
            "done" => {
                assert!(asked == 1 && object.to_string().contains("BOOTLACE_SIGNATURE"), "{what}");
                let again = json!({
                    "apiVersion": "v1", "kind": "Pod", "spec": object["spec"],
                    "metadata": {
                        "name": object["metadata"]["name"], "labels": object["metadata"]["labels"],
                        "annotations": object["metadata"]["annotations"],
                    },
                });
                let (_, asked) = reviews.of(async || tasks.dry_run(&again.to_string()).await).await?;
                assert_eq!(asked, 0, "{again}");
            }
            "windows" => assert!(asked == 0 && init.is_none_or(Vec::is_empty), "{what}"),
            _ => assert!(asked == 0, "{what}"),
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

/// The API server mounts the service account's token into what was injected, and would ask again for that.
async fn ordinary(tasks: &Namespace, reviews: &Reviews<'_, '_>) -> Result<()> {
    let mut with_init = task(&json!({"bootlace.dev/task": "true"}));
    with_init["spec"]["initContainers"] = json!([{"name": "own", "image": PROBE, "command": ["/probe"]}]);
    for pod in [
        task(&json!({"bootlace.dev/task": "true"})),
        with_init,
        // As Airflow's operator makes it.
        task(&json!({"kubernetes_pod_operator": "True", "dag_id": "etl", "task_id": "load", "run_id": "r"})),
    ] {
        let (created, asked) = reviews.of(async || tasks.dry_run(&pod.to_string()).await).await?;
        let object = serde_json::to_value(&created[0].object)?;
        let mounts = object["spec"]["initContainers"]
            .as_array()
            .and_then(|init| init.last())
            .map(|boot| &boot["volumeMounts"]);
        let token = "/var/run/secrets/kubernetes.io/serviceaccount";
        assert!(mounts.is_some_and(|mounts| mounts.to_string().contains(token)), "{object}");
        assert_eq!(asked, 1, "{object}");
    }
    let job = json!({
        "apiVersion": "batch/v1", "kind": "Job", "metadata": {"name": "nightly"},
        "spec": {"backoffLimit": 0, "template": {
            "metadata": {"labels": {"bootlace.dev/task": "true"}},
            "spec": {"restartPolicy": "Never", "containers": [{"name": "main", "image": PROBE, "command": ["/probe"]}]},
        }},
    });
    let (pods, asked) = reviews
        .of(async || {
            tasks.create(&job.to_string()).await?;
            tasks.job_completed("nightly").await
        })
        .await?;
    assert_eq!((pods.len(), asked), (1, 1));
    Ok(())
}

/// It runs behind Bootlace and appends a native sidecar, without which boot may have no network.
async fn behind_another_webhook(tasks: &Namespace, reviews: &Reviews<'_, '_>, first: &str) -> Result<()> {
    let mesh = Mutator::start(tasks).await?;
    let plain = task(&json!({"app": "web"})).to_string();
    until_async(bootlace_cluster::scenario::LIMIT, "the mesh is not asked", async || {
        let created = tasks.dry_run(&plain).await?;
        let pod = serde_json::to_value(&created[0].object)?;
        ensure!(pod["spec"]["initContainers"][0]["name"] == SIDECAR, "it is not there");
        Ok(())
    })
    .await?;

    let pod = task(&json!({"bootlace.dev/task": "true"})).to_string();
    let (_, asked) = reviews.of(async || tasks.create(&pod).await).await?;
    let pod = tasks.pod_succeeded("task").await?;
    assert_eq!((init_containers(&pod), asked), (vec![SIDECAR.to_owned(), "bootlace-boot".to_owned()], 2));

    // Where boot is to come first, nothing is left to do.
    let mut pod = task(&json!({"bootlace.dev/task": first}));
    pod["metadata"]["name"] = json!("first");
    let (_, asked) = reviews.of(async || tasks.create(&pod.to_string()).await).await?;
    let pod = tasks.pod_succeeded("first").await?;
    assert_eq!((init_containers(&pod), asked), (vec!["bootlace-boot".to_owned(), SIDECAR.to_owned()], 1));
    assert!(pod.annotations()["bootlace.dev/injected"].contains(r#""position":"First""#));
    mesh.remove().await
}

fn init_containers(pod: &Pod) -> Vec<String> {
    let containers = pod.spec.iter().flat_map(|spec| spec.init_containers.iter().flatten());
    containers.map(|container| container.name.clone()).collect()
}
