//! Luigi, which fails a task if an init container still runs when it first looks at the pod.

use std::cell::RefCell;

use anyhow::{Context as _, Result, ensure};
use bootlace_cluster::clients::luigi;
use bootlace_cluster::scenario::{Namespace, scenario, servers};
use k8s_openapi::api::core::v1::Pod;
use kube::ResourceExt as _;
use serde_json::json;

use super::{Workflow, task, with_pod_label};

/// The pods of the task.
const PODS: &str = "team=analytics";
/// Their container.
const LOAD: &str = "load";

fn workflow(name: &'static str, namespace: &'static str) -> Workflow {
    Workflow { scheduler: "Luigi 3.8.1", name, namespace }
}

/// Starts Luigi with the task `task`.
async fn start(namespace: &Namespace, task: &str) -> Result<()> {
    namespace.create(&with_pod_label(namespace, &luigi::code(luigi::TASKS)).await?).await?;
    luigi::start(namespace, task).await
}

/// Waits until a pod of the task works, and Luigi has accepted it. Returns the pod and its log.
async fn working(namespace: &Namespace, before: Option<&str>) -> Result<(Pod, String)> {
    let found = task::waiting(namespace, PODS, LOAD, "working", before).await?;
    luigi::printed(namespace, "To stream Pod logs, use:").await?;
    Ok(found)
}

/// Checks that the log of a task has the env, the file and the identity. Luigi sets nothing but the name.
fn check(log: &str) -> Result<()> {
    assert_eq!(task::value_in_log(log, "greeting")?, "the analytics team");
    assert_eq!(task::value_in_log(log, "query")?, "select day, sum(amount) from sales group by day;");
    assert_eq!(task::identity(log)?, json!({"scheduler": "luigi", "task": "load"}));
    Ok(())
}

/// A run of [`two_attempts`].
struct Run {
    /// The state of Luigi.
    state: String,
    /// What Luigi printed.
    output: String,
    /// The logs of the pods of the task `Load`.
    logs: Vec<String>,
}

/// Runs `task`, whose first pod fails, and whose second pod exits with `code`. Luigi deletes the Job of a
/// task that has succeeded, so the logs are read before.
async fn two_attempts(namespace: &Namespace, task: &str, code: u8) -> Result<Run> {
    start(namespace, task).await?;
    let (first, one) = working(namespace, None).await?;
    task::exit(namespace, &first, LOAD, 3).await?;
    let (second, other) = working(namespace, first.uid().as_deref()).await?;
    task::exit(namespace, &second, LOAD, code).await?;
    let (state, output) = luigi::ended(namespace).await?;
    Ok(Run { state, output, logs: vec![one, other] })
}

#[tokio::test]
async fn a_task_and_its_second_pod_get_env_and_files() -> Result<()> {
    let logs = RefCell::new(Vec::new());
    workflow("a task that is retried, and the next one", "luigi")
        .run(
            async |namespace| {
                let run = Box::pin(two_attempts(namespace, "Report", 0)).await?;
                ensure!(run.state == "SUCCESS", "{}", run.output);
                logs.replace(run.logs);
                Ok(run.state)
            },
            async |_| logs.take().iter().try_for_each(|log| check(log)),
        )
        .await
}

#[tokio::test]
async fn a_task_that_fails_twice_is_failed() -> Result<()> {
    let logs = RefCell::new(Vec::new());
    workflow("a task that fails", "luigi-failing")
        .run(
            async |namespace| {
                let run = Box::pin(two_attempts(namespace, "Load", 3)).await?;
                let error =
                    run.output.lines().find(|line| line.starts_with("AssertionError: Kubernetes job "));
                let error = error.with_context(|| format!("Luigi has printed no error:\n{}", run.output))?;
                ensure!(error.ends_with(" failed"), "{error}");
                logs.replace(run.logs);
                Ok(run.state)
            },
            async |_| logs.take().iter().try_for_each(|log| check(log)),
        )
        .await
}

/// The remedy is a longer interval, which the scenarios above have. Luigi leaves the Job, so that the task
/// runs nevertheless.
#[tokio::test]
async fn a_boot_that_has_not_ended_when_luigi_looks_fails_the_task() -> Result<()> {
    scenario("luigi-slow-boot")
        .label("bootlace.dev/schedulers", "enabled")
        .run(async |namespace| {
            let source = "{name: query, http: {url: http://web, path: query.sql, file: query.sql, client: {attempts: 20}}}";
            // Boot must not give up before Luigi has looked.
            namespace.profile(&format!("boot: {{timeoutSeconds: 300}}\nsources: [{source}]")).await?;
            namespace.default_profile(namespace.name()).await?;
            start(namespace, "Load").await?;
            let (state, log) = luigi::ended(namespace).await?;
            assert_eq!(state, "FAILED");
            let error = log.lines().find_map(|line| line.strip_prefix("AssertionError: "));
            let error = error.with_context(|| format!("Luigi has printed no error:\n{log}"))?;
            ensure!(error.contains(" PodInitializing. "), "{error}");
            servers::web(namespace, &json!({"query.sql": "select 1"})).await?;
            let (_, log) = task::waiting(namespace, PODS, LOAD, "query", None).await?;
            assert_eq!(task::value_in_log(&log, "query")?, "select 1");
            Ok(())
        })
        .await
}
