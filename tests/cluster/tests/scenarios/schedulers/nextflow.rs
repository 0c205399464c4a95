//! Nextflow. It deletes the pod of a task within a second after its end, and reads the exit code from a file
//! of the task.

use std::cell::RefCell;

use anyhow::{Context as _, Result};
use bootlace_cluster::clients::nextflow::{Nextflow, Run, Task};
use bootlace_cluster::scenario::{Namespace, scenario};
use k8s_openapi::api::core::v1::Pod;
use kube::ResourceExt;
use kube::api::{DeleteParams, ListParams};
use serde_json::{Value, json};

use super::{Workflow, delete_pipes};
use crate::pipes::stored;

const SCHEDULER: &str = "Nextflow 24.10.0";
const QUERY: &str = "select day, sum(amount) from sales group by day;\n";

/// Runs `script` with and without Bootlace. `check` gets the run with Bootlace.
async fn run(
    name: &'static str,
    script: &str,
    check: impl AsyncFnOnce(&Namespace, Run) -> Result<()>,
) -> Result<()> {
    run_with(name, script, &[], check).await
}

/// As [`run`], with environment variables of Nextflow.
async fn run_with(
    name: &'static str,
    script: &str,
    variables: &[(&str, &str)],
    check: impl AsyncFnOnce(&Namespace, Run) -> Result<()>,
) -> Result<()> {
    let last = RefCell::new(None);
    let workflow = Workflow { scheduler: SCHEDULER, name, namespace: "nextflow" };
    workflow
        .run(
            async |namespace| {
                let run = Nextflow::new(namespace).await?.run_with(namespace, script, "", variables).await?;
                // Shown if the scenario fails.
                println!("{}", run.log);
                let tasks: Vec<_> = run.tasks.iter().map(state_of).collect();
                let state = format!("{}: {}", run.status, tasks.join(", "));
                last.replace(Some(run));
                Ok(state)
            },
            async |namespace| {
                let run = last.take().context("no workflow has run")?;
                check(namespace, run).await?;
                delete_what_is_left(namespace).await
            },
        )
        .await
}

fn state_of(task: &Task) -> String {
    format!("{} exits with {}", task.name, task.exit.map_or("nothing".to_owned(), |code| code.to_string()))
}

/// Deletes the pods of failed tasks, which Nextflow keeps, and the outputs, which would expire in a week.
async fn delete_what_is_left(namespace: &Namespace) -> Result<()> {
    let (all, now) = (ListParams::default(), DeleteParams::default());
    namespace.api::<Pod>().delete_collection(&now, &all).await?;
    delete_pipes(namespace).await
}

/// The identity in the output of a task.
fn identity(task: &Task) -> Result<Value> {
    let (_, json) = task.output.split_once('{').context("the output has no JSON")?;
    let file: Value = serde_json::from_str(&format!("{{{json}")).with_context(|| task.output.clone())?;
    Ok(file["task"].clone())
}

#[tokio::test]
async fn a_task_that_is_retried_and_the_next_one_get_env_files_and_identity() -> Result<()> {
    run("a task that is retried, and the next one", "report.nf", async |_, run| {
        let [first, second, load] = &run.tasks[..] else { panic!("{:?}", run.tasks) };
        assert_eq!([first.exit, second.exit, load.exit], [Some(1), Some(0), Some(0)]);
        let session = format!("uuid-{}", run.session);
        for attempt in [first, second] {
            let start = format!("extracting monday for the analytics team\n{QUERY}");
            assert!(attempt.output.starts_with(&start), "{}", attempt.output);
            let expected =
                json!({"scheduler": "nextflow", "run": session, "task": "extract", "mapIndex": "1"});
            assert_eq!(identity(attempt)?, expected);
        }
        assert!(load.output.starts_with("loading monday,3 for the analytics team\n"), "{}", load.output);
        let expected = json!({"scheduler": "nextflow", "run": session, "task": "load", "mapIndex": "1"});
        assert_eq!(identity(load)?, expected);
        Ok(())
    })
    .await
}

#[tokio::test]
async fn a_task_that_fails_does_so_for_its_own_reason() -> Result<()> {
    run("a task that fails", "failing.nf", async |_, run| {
        let [task] = &run.tasks[..] else { panic!("{:?}", run.tasks) };
        assert_eq!((task.exit, task.output.as_str()), (Some(3), "failing for the analytics team\n"));
        assert!(run.log.contains("terminated with an error exit status (3)"), "{}", run.log);
        Ok(())
    })
    .await
}

/// The launcher keeps the task running until its output is stored: otherwise Nextflow would delete its pod
/// and create the next one before. With the variable, Nextflow sets the command of the pods, which the
/// launcher needs; otherwise it sets args only.
#[tokio::test]
async fn an_output_reaches_the_next_task_although_the_pod_is_deleted_at_once() -> Result<()> {
    let command = [("NXF_CONTAINER_ENTRYPOINT_OVERRIDE", "true")];
    run_with("an output for the next task", "handover.nf", &command, async |namespace, run| {
        assert_eq!(run.tasks[1].output, "loading monday,3\n");
        assert_eq!(stored(namespace).await?, ["Rows ConfigMap by extract"]);
        let pods = namespace.pods("nextflow.io/app=nextflow").await?;
        assert!(pods.iter().all(|pod| pod.metadata.deletion_timestamp.is_some()), "{pods:?}");
        Ok(())
    })
    .await
}

/// The container of the task never starts, and its pod has failed. Nextflow does not tell why, but names the
/// pod, and keeps it.
#[tokio::test]
async fn a_failed_boot_fails_the_task() -> Result<()> {
    scenario("nextflow-boot")
        .label("bootlace.dev/schedulers", "enabled")
        .run(async |namespace| {
            namespace.profile("sources: [{name: settings, configMap: {name: missing}}]").await?;
            namespace.default_profile(namespace.name()).await?;
            let run = Nextflow::new(namespace).await?.run(namespace, "report.nf").await?;
            assert_eq!(run.status, "ERR", "{}", run.log);
            let attempts: Vec<_> = run.tasks.iter().map(state_of).collect();
            assert_eq!(attempts, ["extract (1) exits with nothing"; 2], "{}", run.log);
            assert!(run.log.contains("K8s pod in Failed state"), "{}", run.log);
            let pods = namespace.pods("nextflow.io/app=nextflow").await?;
            assert_eq!(pods.len(), 2, "{pods:?}");
            for pod in pods.iter().map(ResourceExt::name_any) {
                let named = format!("Failed to copy log for pod {pod}");
                assert!(run.log.contains(&named), "{named:?} is not in:\n{}", run.log);
                let boot = namespace.log(&pod, "bootlace-boot").await?;
                assert!(boot.contains("the ConfigMap does not exist"), "{boot}");
            }
            Ok(())
        })
        .await
}
