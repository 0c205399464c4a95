//! Metaflow with an S3 datastore. The pods of its steps have a grace period of zero.

use std::collections::BTreeMap;

use anyhow::{Result, ensure};
use bootlace_cluster::clients::metaflow;
use bootlace_cluster::scenario::{Namespace, state};
use k8s_openapi::api::core::v1::Pod;
use kube::ResourceExt as _;
use serde_json::json;

use super::{Workflow, delete_pipes, endings, task};
use crate::pipes::stored;

/// The pods of steps.
const STEPS: &str = "app.kubernetes.io/name=metaflow-task";

fn workflow(name: &'static str, namespace: &'static str) -> Workflow {
    Workflow { scheduler: "Metaflow 2.19.39", name, namespace }
}

/// Installs Metaflow, and starts the flow.
async fn start(namespace: &Namespace, flow: &str) -> Result<()> {
    metaflow::install(namespace).await?;
    metaflow::start(namespace, flow).await
}

/// Runs the flow, and returns its state.
async fn run(namespace: &Namespace, flow: &str) -> Result<String> {
    start(namespace, flow).await?;
    metaflow::ended(namespace).await
}

/// The pods of the steps on the cluster, by the step and the number of the attempt (`load_rows 1`).
async fn pods(namespace: &Namespace) -> Result<BTreeMap<String, Pod>> {
    let pods = namespace.pods(STEPS).await?.into_iter();
    let attempt = |pod: &Pod| {
        ["metaflow/step_name", "metaflow/attempt"].map(|key| pod.annotations()[key].clone()).join(" ")
    };
    Ok(pods.map(|pod| (attempt(&pod), pod)).collect())
}

/// The log of the step, whose container has its name with `-` instead of `_`.
async fn log(namespace: &Namespace, pod: &Pod) -> Result<String> {
    let container = pod.annotations()["metaflow/step_name"].replace('_', "-");
    namespace.log(&pod.name_any(), &container).await
}

/// Checks that a step has got the env, the file and the identity.
async fn check(namespace: &Namespace, pod: &Pod, flow: &str) -> Result<()> {
    let log = log(namespace, pod).await?;
    assert_eq!(task::value_in_log(&log, "greeting")?, "the analytics team");
    assert_eq!(task::value_in_log(&log, "query")?, "select day, sum(amount) from sales group by day;");
    let expected = json!({
        "scheduler": "metaflow", "workflow": flow, "run": pod.annotations()["metaflow/run_id"],
        "task": pod.annotations()["metaflow/step_name"], "attempt": pod.annotations()["metaflow/attempt"],
    });
    assert_eq!(task::identity(&log)?, expected);
    Ok(())
}

#[tokio::test]
async fn each_step_and_attempt_gets_env_files_and_identity() -> Result<()> {
    workflow("a step that is retried, and the next one", "metaflow-report")
        .run(
            async |namespace| run(namespace, "Report").await,
            async |namespace| {
                let pods = pods(namespace).await?;
                let attempts: Vec<_> = pods.keys().map(String::as_str).collect();
                assert_eq!(attempts, ["end 0", "load_rows 0", "load_rows 1"]);
                for pod in pods.values() {
                    check(namespace, pod, "Report").await?;
                }
                // An artifact of Metaflow, which the step before it has written to the datastore.
                let log = log(namespace, &pods["end 0"]).await?;
                assert_eq!(task::value_in_log(&log, "rows")?, "3");
                Ok(())
            },
        )
        .await
}

#[tokio::test]
async fn a_step_that_fails_fails_the_flow() -> Result<()> {
    workflow("a step that fails", "metaflow-failing")
        .run(
            async |namespace| {
                let state = run(namespace, "Failing").await?;
                ensure!(state == "exit code 1: start 1", "the flow ended with {state}");
                Ok(state)
            },
            async |namespace| check(namespace, &pods(namespace).await?["start 0"], "Failing").await,
        )
        .await
}

/// Metaflow creates the next step when the container of the first one has ended, and does not wait for the
/// sidecar. The launcher keeps the container running until the output is stored.
#[tokio::test]
async fn a_step_takes_the_output_of_the_step_before_it() -> Result<()> {
    workflow("a step with an output, and one that mounts it", "metaflow-pipe")
        .run(
            async |namespace| run(namespace, "Handover").await,
            async |namespace| {
                let log = log(namespace, &pods(namespace).await?["end 0"]).await?;
                assert_eq!(task::value_in_log(&log, "report")?, "written by a step");
                assert_eq!(stored(namespace).await?, ["Report ConfigMap by start"]);
                delete_pipes(namespace).await
            },
        )
        .await
}

/// Metaflow executes `/sbin/killall5` in the pod, without the name of a container, and deletes nothing.
#[tokio::test]
async fn a_step_that_is_stopped_ends_and_its_output_is_discarded() -> Result<()> {
    workflow("a step with an output that is stopped", "metaflow-stopped")
        .run(
            async |namespace| {
                start(namespace, "Stopped").await?;
                let (pod, _) = task::waiting(namespace, STEPS, "start", "working", None).await?;
                let output = metaflow::kill(namespace, "Stopped").await?;
                ensure!(output.succeeded, "the flow cannot be stopped: {}", output.stderr);
                let state = metaflow::ended(namespace).await?;
                let pod = namespace.container_ended(&pod.name_any(), "start").await?;
                Ok(format!("{state}; the container exits with {}", state::ended(&pod, "start")?.exit_code))
            },
            async |namespace| {
                assert_eq!(stored(namespace).await?, [""; 0]);
                Ok(())
            },
        )
        .await
}

/// The first process of the container is the launcher, which `/sbin/killall5` does not signal.
#[tokio::test]
async fn the_job_of_a_step_that_is_stopped_is_cancelled_and_nothing_is_left() -> Result<()> {
    workflow("a step with a job in another system that is stopped", "metaflow-submitting")
        .run_with(
            async |namespace| endings::start(namespace, &json!({})).await,
            async |namespace, ()| {
                start(namespace, "Submitting").await?;
                endings::end(namespace, endings::CANCELLED, &["report"], async {
                    let output = metaflow::kill(namespace, "Submitting").await?;
                    ensure!(output.succeeded, "the flow cannot be stopped: {}", output.stderr);
                    Ok(())
                })
                .await?;
                let state = metaflow::ended(namespace).await?;
                ensure!(state.starts_with("exit code 1: start 1"), "the flow ended with {state}");
                Ok(state)
            },
            async |namespace, (), _| endings::check(namespace, &["report"]).await,
        )
        .await
}
