//! `PyTorchJobs`: a master with workers, and a worker that the operator creates again.

use anyhow::{Context as _, Result};
use bootlace_cluster::clients::training_operator::{TITLE, api, cover, ended, start};
use bootlace_cluster::scenario::Namespace;
use k8s_openapi::api::core::v1::Pod;
use kube::ResourceExt;
use kube::api::{DeleteParams, ListParams};
use serde_json::{Value, json};

use super::task::{exit, identity, value_in_log, waiting};
use super::{Workflow, delete_pipes};

const TRAIN: &str = include_str!("../../../schedulers/training-operator/train.yaml");
const EVALUATE: &str = include_str!("../../../schedulers/training-operator/evaluate.yaml");
const RETRIED: &str = include_str!("../../../schedulers/training-operator/retried.yaml");
/// The container that the operator requires.
const CONTAINER: &str = "pytorch";

async fn delete_jobs(namespace: &Namespace) -> Result<()> {
    let (delete, list) = (DeleteParams::background(), ListParams::default());
    api(namespace).delete_collection(&delete, &list).await.map(drop).context("delete the PyTorchJobs")
}

fn of(job: &str, replica: &str) -> String {
    format!("training.kubeflow.org/job-name={job},training.kubeflow.org/replica-type={replica}")
}

/// The identity of the task in a run that no annotation names.
fn expected(pod: &Pod) -> Value {
    let label = |name: &str| &pod.labels()[&format!("training.kubeflow.org/{name}")];
    json!({
        "scheduler": "kubeflow-training", "workflow": "train", "run": pod.owner_references()[0].uid,
        "task": label("replica-type"), "mapIndex": label("replica-index"),
    })
}

#[tokio::test]
async fn a_model_reaches_the_job_that_evaluates_it() -> Result<()> {
    let workflow =
        Workflow { scheduler: TITLE, name: "a master and two workers", namespace: "pytorch-train" };
    let controller = start().await?;
    let result = workflow.run(
        async |namespace| {
            cover(&controller, namespace).await?;
            namespace.create(TRAIN).await?;
            let (master, _) = waiting(namespace, &of("train", "master"), CONTAINER, "task", None).await?;
            for index in [0, 1] {
                namespace.pod_succeeded(&format!("train-worker-{index}")).await?;
            }
            exit(namespace, &master, CONTAINER, 0).await?;
            let trained = ended(namespace, "train").await?;
            namespace.create(EVALUATE).await?;
            Ok(format!("{trained}, {}", ended(namespace, "evaluate").await?))
        },
        async |namespace| {
            let log = namespace.log("train-master-0", CONTAINER).await?;
            assert_eq!(value_in_log(&log, "greeting")?, "the analytics team");
            assert!(value_in_log(&log, "query")?.starts_with("select day, sum(amount)"), "{log}");
            let master = json!({
                "scheduler": "annotation", "workflow": "daily-report", "run": "2026-01-01",
                "task": "master", "mapIndex": "0",
            });
            assert_eq!(identity(&log)?, master);
            let workers = namespace.pods(&of("train", "worker")).await?;
            assert_eq!(workers.len(), 2);
            for pod in workers {
                let log = namespace.log(&pod.name_any(), CONTAINER).await?;
                assert_eq!(value_in_log(&log, "greeting")?, "the analytics team");
                assert_eq!(value_in_log(&log, "master")?, "rank 0 of 3");
                assert_eq!(identity(&log)?, expected(&pod));
            }
            let log = namespace.log("evaluate-master-0", CONTAINER).await?;
            assert_eq!(value_in_log(&log, "input")?, "weights");
            delete_jobs(namespace).await?;
            // Its run is named by an annotation, so it has no owner.
            delete_pipes(namespace).await
        },
    );
    let result = result.await;
    controller.stop(result).await
}

#[tokio::test]
async fn a_worker_that_is_created_again_is_the_same_task() -> Result<()> {
    let workflow = Workflow { scheduler: TITLE, name: "a worker with a retry", namespace: "pytorch-retried" };
    let controller = start().await?;
    let result = workflow.run(
        async |namespace| {
            cover(&controller, namespace).await?;
            namespace.create(RETRIED).await?;
            let first = attempt(namespace, None).await?;
            exit(namespace, &first, CONTAINER, 138).await?;
            let second = attempt(namespace, Some(&first)).await?;
            exit(namespace, &second, CONTAINER, 0).await?;
            ended(namespace, "train").await
        },
        delete_jobs,
    );
    let result = result.await;
    controller.stop(result).await
}

/// Waits until the worker waits for its exit code, and checks what it has printed in a namespace with
/// Bootlace.
async fn attempt(namespace: &Namespace, before: Option<&Pod>) -> Result<Pod> {
    let before = before.and_then(ResourceExt::uid);
    let worker = of("train", "worker");
    let (pod, log) = waiting(namespace, &worker, CONTAINER, "task", before.as_deref()).await?;
    if pod.annotations().contains_key("bootlace.dev/injected") {
        assert_eq!(identity(&log)?, expected(&pod));
        assert_eq!(value_in_log(&log, "greeting")?, "the analytics team");
    } else {
        assert_eq!(value_in_log(&log, "greeting")?, "nobody");
    }
    Ok(pod)
}
