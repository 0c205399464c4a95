//! A `RayJob`: the pod that submits it is the task, and the nodes of its cluster are not.

use anyhow::{Context as _, Result};
use bootlace_cluster::clients::kuberay::{TITLE, start};
use bootlace_cluster::scenario::{LIMIT, Namespace};
use bootlace_cluster::wait::until_async;
use k8s_openapi::api::core::v1::Pod;
use kube::ResourceExt as _;
use kube::api::{Api, DeleteParams, DynamicObject};
use kube::core::{ApiResource, GroupVersionKind};
use serde_json::json;

use super::Workflow;
use super::task::{identity, value_in_log};

const JOB: &str = include_str!("../../../schedulers/kuberay/job.yaml");
/// The name of the `RayJob` in this file.
const NAME: &str = "daily-report";

fn ray_jobs(namespace: &Namespace) -> Api<DynamicObject> {
    let kind = ApiResource::from_gvk(&GroupVersionKind::gvk("ray.io", "v1", "RayJob"));
    Api::namespaced_with(namespace.client(), namespace.name(), &kind)
}

fn is_injected(pod: &Pod) -> bool {
    pod.annotations().contains_key("bootlace.dev/injected")
}

/// Waits until the `RayJob` has ended, and returns the state of the job and of its deployment.
async fn ended(namespace: &Namespace) -> Result<String> {
    // The head of the cluster has to start first.
    until_async(2 * LIMIT, "the RayJob has not ended", async || {
        let status = ray_jobs(namespace).get(NAME).await?.data["status"].take();
        let deployment = status["jobDeploymentStatus"].as_str().unwrap_or_default();
        let ended =
            matches!(deployment, "Complete" | "Failed").then(|| status["jobStatus"].as_str()).flatten();
        let job = ended.with_context(|| format!("its status is {status}"))?;
        Ok(format!("{job}, {deployment}"))
    })
    .await
}

#[tokio::test]
async fn the_variables_of_the_submitter_reach_the_job() -> Result<()> {
    let workflow = Workflow { scheduler: TITLE, name: "a RayJob", namespace: "ray-job" };
    let controller = start().await?;
    let result = workflow.run(
        async |namespace| {
            namespace.create(JOB).await?;
            let mut head = None;
            until_async(LIMIT, "the RayCluster has no head", async || {
                let pods = namespace.pods("ray.io/node-type=head").await?;
                head = Some(pods.into_iter().next().context("no pod")?);
                Ok(())
            })
            .await?;
            // The cluster is deleted with the job.
            assert!(!head.as_ref().is_some_and(is_injected), "the head of the cluster is a task");
            ended(namespace).await
        },
        async |namespace| {
            let pods = namespace.pods(&format!("batch.kubernetes.io/job-name={NAME}")).await?;
            let pod = pods.first().context("the submitter has no pod")?;
            assert!(is_injected(pod));
            // The output of the job, which the submitter follows.
            let log = namespace.log(&pod.name_any(), "ray-job-submitter").await?;
            assert_eq!(value_in_log(&log, "greeting")?, "the analytics team");
            assert!(value_in_log(&log, "query")?.starts_with("select day, sum(amount)"), "{log}");
            assert_eq!(value_in_log(&log, "rows")?, "45");
            let run = ray_jobs(namespace).get(NAME).await?.data["status"]["jobId"].take();
            assert_eq!(identity(&log)?, json!({"scheduler": "ray", "workflow": NAME, "run": run}));
            ray_jobs(namespace).delete(NAME, &DeleteParams::background()).await?;
            Ok(())
        },
    );
    let result = result.await;
    controller.stop(result).await
}
