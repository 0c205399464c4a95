//! Prefect with a Kubernetes work pool: each run of a flow is a pod.

use anyhow::{Context as _, Result, ensure};
use bootlace_cluster::clients::prefect;
use bootlace_cluster::scenario::Namespace;
use k8s_openapi::api::core::v1::Pod;
use kube::ResourceExt as _;
use serde_json::json;

use super::{Workflow, delete_pipes};
use crate::pipes::stored;

fn workflow(name: &'static str, namespace: &'static str) -> Workflow {
    Workflow { scheduler: "Prefect 3.9.1", name, namespace }
}

/// Installs Prefect, and runs the flow.
async fn run(namespace: &Namespace, flow: &str) -> Result<String> {
    prefect::install(namespace, prefect::FLOWS).await?;
    prefect::run(namespace, flow).await
}

/// The pod of the only run of a flow.
async fn pod(namespace: &Namespace, flow: &str) -> Result<Pod> {
    let mut pods = namespace.pods(&format!("prefect.io/flow-name={flow}")).await?;
    ensure!(pods.len() == 1, "flow {flow} has {} pods", pods.len());
    pods.pop().context("the flow has no pod")
}

async fn log(namespace: &Namespace, flow: &str) -> Result<String> {
    namespace.log(&pod(namespace, flow).await?.name_any(), "prefect-job").await
}

/// Prefect retries tasks within the process of the flow, so the pod has no attempt.
#[tokio::test]
async fn a_flow_has_its_env_files_and_identity() -> Result<()> {
    workflow("a flow with a task that is retried", "prefect-daily")
        .run(
            async |namespace| run(namespace, "daily").await,
            async |namespace| {
                let log = log(namespace, "daily-report").await?;
                let pod = pod(namespace, "daily-report").await?;
                let run = &pod.labels()["prefect.io/flow-run-id"];
                let task = json!({"run": run, "scheduler": "prefect", "workflow": "daily report"});
                for expected in [
                    "greeting: the analytics team".to_owned(),
                    "/var/assets/query.sql: select day, sum(amount) from sales group by day;".to_owned(),
                ] {
                    ensure!(log.contains(&expected), "{expected:?} is not in:\n{log}");
                }
                let seen = log.lines().find_map(|line| line.strip_prefix("/bootlace/task.json: "));
                let seen: serde_json::Value = serde_json::from_str(seen.context("no task.json in the log")?)?;
                assert_eq!(seen["task"], task);
                Ok(())
            },
        )
        .await
}

#[tokio::test]
async fn a_flow_that_fails_is_failed() -> Result<()> {
    workflow("a flow that fails", "prefect-failing")
        .run(
            async |namespace| {
                let state = run(namespace, "failing").await?;
                ensure!(state == "Failed", "the run ended as {state}");
                Ok(state)
            },
            async |namespace| {
                let pod = pod(namespace, "failing").await?;
                ensure!(pod.annotations().contains_key("bootlace.dev/injected"), "the pod was not injected");
                Ok(())
            },
        )
        .await
}

/// Prefect shows the first run as completed before its output is stored. Until then, the webhook refuses the
/// pod of the second one, which the Job controller creates again.
#[tokio::test]
async fn a_deployment_takes_the_output_of_the_one_before_it() -> Result<()> {
    workflow("a flow that runs two deployments", "prefect-pipe")
        .run(
            async |namespace| run(namespace, "nightly").await,
            async |namespace| {
                let log = log(namespace, "read").await?;
                ensure!(log.contains("report: written by a flow"), "{log}");
                assert_eq!(stored(namespace).await?, ["Report ConfigMap by write"]);
                delete_pipes(namespace).await
            },
        )
        .await
}
