//! Snakemake with its Kubernetes executor: each attempt of a rule is a Job. Snakemake deletes it as soon as
//! the container has exited, so what a rule has got is read from its log file in the S3 server.

use anyhow::{Context as _, Result, ensure};
use bootlace_cluster::clients::snakemake;
use bootlace_cluster::scenario::{Namespace, servers};
use serde_json::{Value, json};

use super::Workflow;

const QUERY: &str = "select day, sum(amount) from sales group by day;";

fn workflow(name: &'static str, namespace: &'static str) -> Workflow {
    Workflow { scheduler: "Snakemake 9.27.1", name, namespace }
}

/// Starts the S3 server with the files that the workflow reads, and runs it.
async fn run(namespace: &Namespace, workflow: &str) -> Result<String> {
    let sales = json!({"run/sales/east.csv": "monday,3\n", "run/sales/west.csv": "monday,4\n"});
    servers::s3(namespace, "zq7Xv0hunter2", &sales).await?;
    snakemake::run(namespace, workflow).await
}

/// A file that a rule has stored.
async fn stored(namespace: &Namespace, file: &str) -> Result<String> {
    let path = format!("/data/root/assets/run/{file}");
    let output = namespace.exec("store", "main", &["cat", &path]).await?;
    ensure!(output.succeeded, "{file} is not stored: {}", output.stderr);
    String::from_utf8(output.stdout).context("it is not UTF-8")
}

/// Checks that a rule has got the env and the file of the profile, and returns the identity of the task.
fn identity(log: &str) -> Result<Value> {
    let value = |key: &str| {
        let line = log.lines().find_map(|line| line.strip_prefix(key));
        line.with_context(|| format!("no line starts with {key:?} in:\n{log}"))
    };
    let seen = (value("greeting: ")?, value("/var/assets/query.sql: ")?);
    ensure!(seen == ("the analytics team", QUERY), "{seen:?}");
    let file: Value = serde_json::from_str(value("/bootlace/task.json: ")?).context("parse task.json")?;
    Ok(file["task"].clone())
}

/// Checks that Snakemake has deleted the pods of all rules.
async fn no_pod_is_left(namespace: &Namespace) -> Result<()> {
    let pods = namespace.pods("batch.kubernetes.io/job-name").await?;
    ensure!(pods.iter().all(|pod| pod.metadata.deletion_timestamp.is_some()), "{pods:?}");
    Ok(())
}

#[tokio::test]
async fn a_rule_that_is_retried_and_the_next_one_get_env_files_and_identity() -> Result<()> {
    let workflow = workflow("a rule with wildcards, which is retried, and the next one", "snakemake-daily");
    workflow
        .run(
            async |namespace| {
                let state = run(namespace, "daily.smk").await?;
                ensure!(state == "exit code 0, 4 of 4 steps done, 4 attempts", "{state}");
                Ok(state)
            },
            async |namespace| {
                let load = |attempt: &str, map_index: &str| {
                    json!({
                        "scheduler": "snakemake", "task": "load_rows", "attempt": attempt, "mapIndex": map_index,
                    })
                };
                // The only attempt that failed.
                assert_eq!(identity(&snakemake::log(namespace).await?)?, load("1", "region=east"));
                for (file, attempt, map_index) in
                    [("logs/east.txt", "2", "region=east"), ("logs/west.txt", "1", "region=west")]
                {
                    assert_eq!(identity(&stored(namespace, file).await?)?, load(attempt, map_index));
                }
                let report = json!({"scheduler": "snakemake", "task": "report", "attempt": "1"});
                assert_eq!(identity(&stored(namespace, "logs/report.txt").await?)?, report);
                assert_eq!(stored(namespace, "report.csv").await?, "monday,3\nmonday,4\n");
                no_pod_is_left(namespace).await
            },
        )
        .await
}

#[tokio::test]
async fn a_rule_that_fails_does_so_for_its_own_reason() -> Result<()> {
    workflow("a rule that fails", "snakemake-failing")
        .run(
            async |namespace| {
                let state = run(namespace, "failing.smk").await?;
                ensure!(state == "exit code 1, no steps done, 2 attempts", "{state}");
                Ok(state)
            },
            async |namespace| {
                let log = snakemake::log(namespace).await?;
                ensure!(log.lines().any(|line| line == "failing for the analytics team"), "{log}");
                ensure!(log.contains("returned non-zero exit status 3"), "{log}");
                no_pod_is_left(namespace).await
            },
        )
        .await
}
