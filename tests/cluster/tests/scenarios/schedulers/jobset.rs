//! `JobSets`: Jobs that depend on each other, a restart of all Jobs, and a Job that fails.

use anyhow::{Context as _, Result, bail, ensure};
use bootlace_cluster::clients::jobset::{TITLE, api, cover, ended, start};
use bootlace_cluster::scenario::Namespace;
use k8s_openapi::api::core::v1::Pod;
use kube::ResourceExt as _;
use kube::api::DeleteParams;
use serde_json::{Value, json};

use super::Workflow;
use super::task::{exit, identity, value_in_log, waiting};

const ORDERED: &str = include_str!("../../../schedulers/jobset/ordered.yaml");
const RESTARTED: &str = include_str!("../../../schedulers/jobset/restarted.yaml");
const FAILING: &str = include_str!("../../../schedulers/jobset/failing.yaml");
/// The name of the JobSet in these files.
const NAME: &str = "daily-report";

async fn delete(namespace: &Namespace) -> Result<()> {
    api(namespace).delete(NAME, &DeleteParams::background()).await.map(drop).context("delete the JobSet")
}

fn of(job: &str) -> String {
    format!("jobset.sigs.k8s.io/replicatedjob-name={job}")
}

/// The identity of the task, from the labels of the JobSet controller.
fn expected(pod: &Pod, attempt: &str) -> Value {
    let label =
        |name: &str| pod.labels().get(&format!("jobset.sigs.k8s.io/{name}")).cloned().unwrap_or_default();
    json!({
        "scheduler": "jobset", "workflow": NAME, "run": label("jobset-uid"), "task": label("replicatedjob-name"),
        "attempt": attempt, "mapIndex": format!("{}-0", label("job-index")),
    })
}

#[tokio::test]
async fn the_outputs_of_jobs_reach_those_that_depend_on_them() -> Result<()> {
    let workflow =
        Workflow { scheduler: TITLE, name: "Jobs that depend on others", namespace: "jobset-ordered" };
    let controller = start().await?;
    let result = workflow.run(
        async |namespace| {
            cover(&controller, namespace).await?;
            namespace.create(ORDERED).await?;
            ended(namespace, NAME).await
        },
        async |namespace| {
            let (loads, reports) = (namespace.pods(&of("load")).await?, namespace.pods(&of("report")).await?);
            ensure!((loads.len(), reports.len()) == (2, 2), "{} and {} pods", loads.len(), reports.len());
            for pod in loads.iter().chain(&reports) {
                let log = namespace.log(&pod.name_any(), "main").await?;
                assert_eq!(identity(&log)?, expected(pod, "0"));
            }
            for pod in &loads {
                let log = namespace.log(&pod.name_any(), "main").await?;
                assert_eq!(value_in_log(&log, "greeting")?, "the analytics team");
                assert!(value_in_log(&log, "query")?.starts_with("select day, sum(amount)"), "{log}");
            }
            for pod in &reports {
                // Each element reads from the one with its own index.
                let index = &pod.labels()["jobset.sigs.k8s.io/job-index"];
                let log = namespace.log(&pod.name_any(), "main").await?;
                assert_eq!(value_in_log(&log, "input")?, format!("rows of {NAME}-load-{index}-0"));
            }
            delete(namespace).await
        },
    );
    let result = result.await;
    controller.stop(result).await
}

#[tokio::test]
async fn a_restarted_jobset_gets_the_outputs_of_its_current_attempt() -> Result<()> {
    let workflow =
        Workflow { scheduler: TITLE, name: "a restart of all Jobs", namespace: "jobset-restarted" };
    let controller = start().await?;
    let result = workflow.run(
        async |namespace| {
            cover(&controller, namespace).await?;
            namespace.create(RESTARTED).await?;
            let (first, _) = attempt(namespace, "0", None).await?;
            exit(namespace, &first, "main", 1).await?;
            let (second, _) = attempt(namespace, "1", first.uid().as_deref()).await?;
            exit(namespace, &second, "main", 0).await?;
            ended(namespace, NAME).await
        },
        async |namespace| delete(namespace).await,
    );
    let result = result.await;
    controller.stop(result).await
}

/// Waits until an attempt of the Job `report` waits for its exit code. In a namespace with Bootlace, checks
/// what it has printed.
async fn attempt(namespace: &Namespace, number: &str, before: Option<&str>) -> Result<(Pod, String)> {
    let (pod, log) = waiting(namespace, &of("report"), "main", "task", before).await?;
    if pod.annotations().contains_key("bootlace.dev/injected") {
        assert_eq!(identity(&log)?, expected(&pod, number));
        assert_eq!(value_in_log(&log, "greeting")?, "the analytics team");
        assert_eq!(value_in_log(&log, "input")?, format!("rows of attempt {number}"));
    } else if value_in_log(&log, "input")? != "none" {
        bail!("Bootlace has changed a pod in a namespace that has not opted in:\n{log}");
    }
    Ok((pod, log))
}

#[tokio::test]
async fn a_jobset_that_fails_does_so_for_the_reason_of_its_task() -> Result<()> {
    let workflow = Workflow { scheduler: TITLE, name: "a Job that fails", namespace: "jobset-failing" };
    let controller = start().await?;
    let result = workflow.run(
        async |namespace| {
            cover(&controller, namespace).await?;
            namespace.create(FAILING).await?;
            ended(namespace, NAME).await
        },
        async |namespace| {
            let pods = namespace.pods(&of("load")).await?;
            let [pod] = &pods[..] else { bail!("{} pods", pods.len()) };
            let pod = namespace.pod_failed(&pod.name_any()).await?;
            assert_eq!(bootlace_cluster::scenario::state::ended(&pod, "main")?.exit_code, 3);
            let log = namespace.log(&pod.name_any(), "main").await?;
            assert_eq!(value_in_log(&log, "greeting")?, "the analytics team");
            delete(namespace).await
        },
    );
    let result = result.await;
    controller.stop(result).await
}
