//! Deferrable tasks of the `KubernetesPodOperator`: the triggerer waits for their pods.

use std::collections::BTreeSet;

use anyhow::{Result, ensure};
use bootlace_cluster::clients::airflow::{Airflow, LOCAL};
use bootlace_cluster::scenario::{Namespace, state};
use kube::ResourceExt as _;

use super::super::delete_pipes;
use super::{MAIN, RUN, identity, pod, workflow};
use crate::pipes::stored;

const STATES: &str = "reports success: extract success 2, load success 1; failing failed: fails failed 1";

/// Selects the pods of a task.
fn of(task: &str) -> String {
    format!("kubernetes_pod_operator=True,task_id={task}")
}

/// Checks what the attempts of `extract` have got, and that the output of the second one has reached `load`.
async fn check_reports(namespace: &Namespace) -> Result<()> {
    let load = pod(namespace, &of("load")).await?;
    let run = &load.labels()["run_id"];
    let log = namespace.log(&load.name_any(), MAIN).await?;
    assert_eq!(identity(&log)?, format!("reports {run} load 1 - 2026-01-01T00:00:00Z"));
    ensure!(log.lines().any(|line| line == "rows of attempt 2"), "{log}");
    let mut attempts = BTreeSet::new();
    for pod in namespace.pods(&of("extract")).await? {
        attempts.insert(identity(&namespace.log(&pod.name_any(), MAIN).await?)?);
    }
    let expected = [1, 2].map(|attempt| format!("reports {run} extract {attempt} - 2026-01-01T00:00:00Z"));
    assert_eq!(attempts, BTreeSet::from(expected));
    assert_eq!(stored(namespace).await?, ["Rows ConfigMap by extract"]);
    Ok(())
}

/// The output of a task is stored before its container exits, and the triggerer waits for this.
#[tokio::test]
async fn a_deferred_task_knows_its_attempt_and_its_output_reaches_the_next() -> Result<()> {
    workflow("deferrable tasks: one that is retried, and one that fails", "airflow-deferrable")
        .run_with(
            async |namespace| Airflow::start(namespace, &LOCAL).await,
            async |_, airflow| {
                let states = airflow.run(&["reports", "failing"]).await?;
                ensure!(states == STATES, "the runs ended as {states}\n{}", airflow.task_logs()?);
                Ok(states)
            },
            async |namespace, airflow, _| {
                for (dag, task, attempt) in [
                    ("reports", "extract", 1),
                    ("reports", "extract", 2),
                    ("reports", "load", 1),
                    ("failing", "fails", 1),
                ] {
                    let log = airflow.trigger_log(dag, RUN, task, attempt)?;
                    ensure!(
                        log.contains("Trigger fired event") && !log.contains("\"level\":\"error\""),
                        "{log}"
                    );
                }
                check_reports(namespace).await?;
                let failed = pod(namespace, &of("fails")).await?;
                identity(&namespace.log(&failed.name_any(), MAIN).await?)?;
                assert_eq!(state::ended(&failed, MAIN)?.exit_code, 3);
                delete_pipes(namespace).await
            },
        )
        .await
}
