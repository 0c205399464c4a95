//! Tasks of the operator that a user sets to failed. Airflow deletes their pods.

use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use bootlace_cluster::clients::airflow::{Airflow, REMOTE_JOBS};
use serde_json::json;

use super::super::{delete_pipes, endings};
use super::workflow;

/// As [`endings::CANCELLED`]. The workers of Airflow ask every 5 seconds whether their task may still run.
const CANCELLED: Duration = Duration::from_mins(1);

/// Runs the DAG until its second task works, and sets this task to failed.
async fn fail(dag: &str, name: &'static str, namespace: &'static str) -> Result<()> {
    let states = format!("{dag} failed: count success 1, report failed 1");
    workflow(name, namespace)
        .run_with(
            async |namespace| {
                endings::start(namespace, &json!({})).await?;
                Airflow::start(namespace, &REMOTE_JOBS).await
            },
            async |namespace, airflow| {
                let fail = airflow.fail(dag, "report");
                let end = endings::end(namespace, CANCELLED, &["report"], fail);
                let dags = [dag];
                let ended = tokio::try_join!(airflow.run(&dags), end);
                let (ended, ()) = ended.with_context(|| airflow.task_logs().unwrap_or_default())?;
                ensure!(ended == states, "the run ended as {ended}\n{}", airflow.task_logs()?);
                Ok(ended)
            },
            async |namespace, _, _| {
                endings::check(namespace, &["report"]).await?;
                delete_pipes(namespace).await
            },
        )
        .await
}

/// The worker ends the process of the task with SIGTERM.
#[tokio::test]
async fn the_job_of_a_task_that_is_set_to_failed_is_cancelled() -> Result<()> {
    fail("ended", "a task that is set to failed", "airflow-failed").await
}

/// The triggerer cancels the trigger of the task.
#[tokio::test]
async fn the_job_of_a_deferred_task_that_is_set_to_failed_is_cancelled() -> Result<()> {
    fail("ended_deferred", "a deferrable task that is set to failed", "airflow-deferred").await
}
