//! `RayJobs`: the pod that submits it is the task, and the nodes of its cluster are not, except with the pod
//! label.

use anyhow::{Context as _, Result, ensure};
use bootlace_cluster::clients::kuberay::{TITLE, api, ended, start};
use bootlace_cluster::scenario::{LIMIT, Namespace};
use bootlace_cluster::wait::until_async;
use k8s_openapi::api::core::v1::Pod;
use kube::ResourceExt as _;
use kube::api::DeleteParams;
use serde_json::json;

use super::task::{identity, value_in_log};
use super::{Workflow, with_pod_label};

const JOB: &str = include_str!("../../../schedulers/kuberay/job.yaml");
const LABELED: &str = include_str!("../../../schedulers/kuberay/labeled.yaml");
/// The name of the `RayJob` in these files.
const NAME: &str = "daily-report";

fn is_injected(pod: &Pod) -> bool {
    pod.annotations().contains_key("bootlace.dev/injected")
}

/// The log of the submitter, which contains the output of the job. It must be a task.
async fn log_of_submitter(namespace: &Namespace) -> Result<String> {
    let pods = namespace.pods(&format!("batch.kubernetes.io/job-name={NAME}")).await?;
    let pod = pods.first().context("the submitter has no pod")?;
    ensure!(is_injected(pod), "the submitter is not a task");
    namespace.log(&pod.name_any(), "ray-job-submitter").await
}

async fn delete(namespace: &Namespace) -> Result<()> {
    api(namespace).delete(NAME, &DeleteParams::background()).await.map(drop).context("delete the RayJob")
}

#[tokio::test]
async fn the_variables_of_the_submitter_reach_the_job() -> Result<()> {
    let workflow = Workflow { scheduler: TITLE, name: "a RayJob", namespace: "ray-job" };
    let controller = start().await?;
    let result = workflow.run(
        async |namespace| {
            namespace.create(JOB).await?;
            // Now, because the cluster is deleted with the job.
            let head = until_async(LIMIT, "the RayCluster has no head", async || {
                namespace.pods("ray.io/node-type=head").await?.into_iter().next().context("no pod")
            });
            ensure!(!is_injected(&head.await?), "the head of the cluster is a task");
            ended(namespace, NAME).await
        },
        async |namespace| {
            let log = log_of_submitter(namespace).await?;
            assert_eq!(value_in_log(&log, "greeting")?, "the analytics team");
            assert!(value_in_log(&log, "query")?.starts_with("select day, sum(amount)"), "{log}");
            assert_eq!(value_in_log(&log, "rows")?, "45");
            let run = api(namespace).get(NAME).await?.data["status"]["jobId"].take();
            assert_eq!(identity(&log)?, json!({"scheduler": "ray", "workflow": NAME, "run": run}));
            delete(namespace).await
        },
    );
    let result = result.await;
    controller.stop(result).await
}

#[tokio::test]
async fn the_variables_of_a_node_with_the_pod_label_reach_its_tasks() -> Result<()> {
    let workflow =
        Workflow { scheduler: TITLE, name: "a RayJob on a node with the pod label", namespace: "ray-node" };
    let controller = start().await?;
    let result = workflow.run(
        async |namespace| {
            namespace.create(&with_pod_label(namespace, LABELED).await?).await?;
            ended(namespace, NAME).await
        },
        async |namespace| {
            let log = log_of_submitter(namespace).await?;
            assert_eq!(value_in_log(&log, "greeting")?, "the analytics team");
            assert!(value_in_log(&log, "query")?.starts_with("select day, sum(amount)"), "{log}");
            let run = api(namespace).get(NAME).await?.data["status"]["rayClusterName"].take();
            assert_eq!(identity(&log)?, json!({"scheduler": "ray", "run": run, "task": "headgroup"}));
            delete(namespace).await
        },
    );
    let result = result.await;
    controller.stop(result).await
}
