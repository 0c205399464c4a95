//! Worker pods of the Kubernetes executor, whose image contains Airflow. They have only `args`.

use std::collections::BTreeSet;

use anyhow::{Context as _, Result, ensure};
use bootlace_cluster::clients::airflow::{Airflow, KUBERNETES, WORKERS};
use bootlace_cluster::scenario::Namespace;
use k8s_openapi::api::core::v1::Pod;
use kube::ResourceExt as _;
use kube::api::{DeleteParams, ListParams};
use serde_json::Value;

use super::super::delete_pipes;
use super::{MAIN, RUN, identity, pod, workflow};
use crate::pipes::stored;

const STATES: &str = "reports success: extract success 2, load[0] success 1, load[1] success 1; \
    failing failed: fails failed 1";

/// The profile of a team that names the entrypoint of its image, so that the env needs no Secret, and a
/// worker waits until its output is stored.
const PROFILE: &str = r#"
env: {images: [{image: localhost/airflow, cmd: [python3]}]}
sources:
- name: settings
  inline:
    env: {GREETING: the analytics team}
    files: {query.sql: "select day, sum(amount) from sales group by day;"}
"#;

/// What a task has printed. The log of its worker consists of JSON, with each line as an event.
async fn printed(namespace: &Namespace, pod: &Pod) -> Result<String> {
    let log = namespace.log(&pod.name_any(), MAIN).await?;
    let event = |line| serde_json::from_str::<Value>(line).ok()?["event"].as_str().map(str::to_owned);
    Ok(log.lines().filter_map(event).collect::<Vec<_>>().join("\n"))
}

/// How a worker got its env.
fn env_mode(pod: &Pod) -> Result<String> {
    let injected = pod.annotations().get("bootlace.dev/injected").context("a worker was not injected")?;
    let injected: Value = serde_json::from_str(injected).context("parse the annotation")?;
    Ok(injected["envMode"].as_str().unwrap_or_default().to_owned())
}

/// A Secret of the default profile with a value that a variable cannot have: it ends with a NUL byte.
const BAD_VALUE: &str =
    "{apiVersion: v1, kind: Secret, metadata: {name: warehouse-login}, data: {user: bWVAAA==}}";

/// Checks that a task whose boot fails is failed, and that the scheduler says why.
async fn fails_with_its_boot(namespace: &Namespace, airflow: &Airflow) -> Result<()> {
    namespace.create(BAD_VALUE).await?;
    let state = airflow.run(&["unbooted"]).await?;
    ensure!(state.starts_with("unbooted failed: never_runs failed"), "the run ended as {state}");
    let log = airflow.log("scheduler")?;
    for part in ["container_name: bootlace-boot", "[BL", "WAREHOUSE_user"] {
        ensure!(log.contains(part), "{part:?} is not in:\n{log}");
    }
    Ok(())
}

/// With the default profile, which does not name the entrypoint of the image.
#[tokio::test]
async fn each_worker_knows_its_task_and_attempt() -> Result<()> {
    workflow("workers: one that is retried, two that are mapped, one that fails", "airflow-executor")
        .run_with(
            async |namespace| Airflow::start(namespace, &KUBERNETES).await,
            async |_, airflow| {
                let states = airflow.run(&["reports", "failing"]).await?;
                ensure!(states == STATES, "the runs ended as {states}");
                Ok(states)
            },
            async |namespace, airflow, _| {
                let mut found = BTreeSet::new();
                for pod in namespace.pods(WORKERS).await? {
                    assert_eq!(env_mode(&pod)?, "secret");
                    found.insert(identity(&printed(namespace, &pod).await?)?);
                }
                let expected =
                    ["extract 1 -", "extract 2 -", "load 1 0", "load 1 1"].map(|task| ("reports", task));
                let expected = expected.into_iter().chain([("failing", "fails 1 -")]);
                let expected: BTreeSet<_> =
                    expected.map(|(dag, task)| format!("{dag} {RUN} {task} 2026-01-01T00:00:00Z")).collect();
                assert_eq!(found, expected);
                fails_with_its_boot(namespace, airflow).await?;
                // The Secrets with their env are deleted with them.
                let workers = ListParams::default().labels(WORKERS);
                namespace.api::<Pod>().delete_collection(&DeleteParams::default(), &workers).await?;
                Ok(())
            },
        )
        .await
}

/// A task is successful before its worker has stored the output. Until then, the webhook refuses the worker
/// of the next task, which the executor creates again.
#[tokio::test]
async fn a_worker_takes_the_output_of_the_one_before_it() -> Result<()> {
    workflow("a worker with an output, and one that reads it", "airflow-executor-pipe")
        .run_with(
            async |namespace| {
                namespace.profile(PROFILE).await?;
                namespace.default_profile(namespace.name()).await?;
                Airflow::start(namespace, &KUBERNETES).await
            },
            async |_, airflow| airflow.run(&["handover"]).await,
            async |namespace, _, state| {
                assert_eq!(state, "handover success: read success 1, write success 1");
                let read = pod(namespace, &format!("{WORKERS},task_id=read")).await?;
                let log = printed(namespace, &read).await?;
                assert_eq!(identity(&log)?, format!("handover {RUN} read 1 - 2026-01-01T00:00:00Z"));
                ensure!(log.lines().any(|line| line == "rows rows of a worker"), "{log}");
                assert_eq!(env_mode(&read)?, "launch");
                assert_eq!(stored(namespace).await?, ["Rows ConfigMap by write"]);
                delete_pipes(namespace).await
            },
        )
        .await
}
