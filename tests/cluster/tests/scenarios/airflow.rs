//! Airflow's own pods, from DAGs whose files hold no word of Bootlace.

use anyhow::Result;
use bootlace_cluster::airflow::Airflow;
use bootlace_cluster::scenario::{kubeconfig, scenario};

#[tokio::test]
async fn a_dag_runs_as_it_is_in_a_namespace_that_is_not_opted_in() -> Result<()> {
    scenario("airflow-plain")
        .run(async |namespace| {
            let airflow = Airflow::new(&kubeconfig()?, namespace.name()).await?;
            let run = airflow.run("xcom", "2026-01-01").await?;
            assert!(run.succeeded, "{}", run.log);
            assert!(run.log.contains("the task returned {'greeting': ''}"), "{}", run.log);
            let pods = namespace.pods("kubernetes_pod_operator=True,task_id=answer").await?;
            assert_eq!(pods.len(), 1, "{pods:?}");
            Ok(())
        })
        .await
}

#[tokio::test]
async fn a_run_of_which_a_task_fails_is_told_from_one_that_succeeds() -> Result<()> {
    scenario("airflow-failing")
        .run(async |namespace| {
            let airflow = Airflow::new(&kubeconfig()?, namespace.name()).await?;
            let run = airflow.run("failing", "2026-01-01").await?;
            assert!(!run.succeeded, "{}", run.log);
            Ok(())
        })
        .await
}
