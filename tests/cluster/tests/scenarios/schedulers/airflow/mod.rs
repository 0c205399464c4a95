//! Airflow with its own scheduler and API server on the cluster. `crate::airflow` tests tasks of the operator
//! that are not deferrable.

mod deferrable;
mod ended;
mod executor;

use anyhow::{Context as _, Result, ensure};
use bootlace_cluster::scenario::Namespace;
use k8s_openapi::api::core::v1::Pod;

use super::{Workflow, task};

const QUERY: &str = "select day, sum(amount) from sales group by day;";
/// The container of the task.
const MAIN: &str = "base";
/// The ID of the only run of each DAG.
const RUN: &str = "scheduled__2026-01-01T00:00:00+00:00";

fn workflow(name: &'static str, namespace: &'static str) -> Workflow {
    Workflow { scheduler: "Airflow 3.3.2", name, namespace }
}

/// Checks that a task has printed the env and the file of the profile, and returns its identity as it has
/// printed it: workflow, run, task, attempt, map index and scheduled time, as far as they are known.
fn identity(log: &str) -> Result<String> {
    let got = (task::value_in_log(log, "greeting")?, task::value_in_log(log, "query")?);
    ensure!(got == ("the analytics team", QUERY), "{got:?}");
    let task = task::identity(log)?;
    ensure!(task["scheduler"] == "airflow", "{task}");
    let fields = ["workflow", "run", "task", "attempt", "mapIndex", "scheduledTime"];
    Ok(fields.map(|field| task[field].as_str().unwrap_or("-")).join(" "))
}

/// The only pod that matches `selector`.
async fn pod(namespace: &Namespace, selector: &str) -> Result<Pod> {
    let mut pods = namespace.pods(selector).await?;
    ensure!(pods.len() == 1, "{} pods have {selector}", pods.len());
    pods.pop().context("no pod found")
}
