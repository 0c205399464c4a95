//! The end of every demo: a task that is deleted while its job runs in another system, and the list of all
//! tasks.

use anyhow::{Context, Result, ensure};

use super::commands::{NAMESPACE, apply, kubectl, kubectl_here, log};
use super::file;
use super::print::{chapter, print_command, print_text, quote};
use crate::abort::Remote;
use crate::command::{command, output};
use crate::scenario::{Namespace, bootlace};

/// The profile of the task, and its manifest.
const PROFILE: &str = "remote-jobs";
/// The pod of the task, and its manifest.
const TASK: &str = "report";
/// What the log of the other system contains if the job of the task was cancelled.
const CANCELLED: &str = "cancel job-1";

/// Runs the last chapters. `lists` are the arguments of `bootlace tasks` for each list at the end.
pub(super) async fn present(namespace: &Namespace, lists: &[&[&str]]) -> Result<()> {
    chapter("A deleted task: its job in another system is cancelled");
    show_task()?;
    start_task(namespace).await?;
    delete_task().await?;
    list_tasks(lists).await
}

fn show_task() -> Result<()> {
    print_text(
        "Task \"report\" submits a job to another system, here a small server instead of Spark or a warehouse. It writes the ID of\n\
         the job to the file in BOOTLACE_ABORT, and its progress to the file in BOOTLACE_PROGRESS:",
    );
    let script = part_of(TASK, "- |\n")?;
    quote(&script.lines().map(str::trim).collect::<Vec<_>>().join("\n"));
    print_text(
        "The hook \"abort\" of BootProfile \"remote-jobs\" cancels the job if the task is ended by others, whichever scheduler has\n\
         created it:",
    );
    quote(&part_of(PROFILE, "spec:\n")?);
    Ok(())
}

/// The part of a manifest after `start`.
fn part_of(name: &str, start: &str) -> Result<String> {
    let manifest = manifest(name);
    let text = std::fs::read_to_string(file(&manifest)).with_context(|| format!("read {manifest}"))?;
    let part = text.split_once(start).with_context(|| format!("{start:?} not found in {manifest}"))?.1;
    Ok(part.to_owned())
}

fn manifest(name: &str) -> String {
    format!("demo/{name}.yaml")
}

/// Starts the other system and the task, and waits until the task has submitted its job.
async fn start_task(namespace: &Namespace) -> Result<()> {
    // First, because kube-proxy needs up to a second for a new Service.
    Remote::start(namespace).await?;
    apply(&manifest(PROFILE)).await?;
    let profile = format!("bootprofile/{PROFILE}");
    kubectl(&["wait", &profile, "--for", "condition=Ready", "--timeout", "30s"]).await?;
    apply(&manifest(TASK)).await?;
    let pod = format!("pod/{TASK}");
    for condition in ["condition=Ready", "jsonpath={.metadata.annotations.bootlace\\.dev/progress}"] {
        let waited = kubectl_here(&["wait", &pod, "--for", condition, "--timeout", "90s"]).await;
        waited.context("the task has not submitted its job")?;
    }
    print_text("The task now waits for its job:");
    let list = show_tasks(&["--state", "running"]).await?;
    ensure!(list.contains("1/2 submitted job-1"), "the list does not contain the progress of the task");
    Ok(())
}

/// Deletes the task, and shows what the other system has received.
async fn delete_task() -> Result<()> {
    print_text("Someone deletes it:");
    print_command(&format!("kubectl delete pod {TASK}"));
    quote(&kubectl_here(&["delete", "pod", TASK, "--timeout", "60s"]).await?);
    print_text("The log of the other system. The second request is from the sidecar of the deleted pod:");
    print_command("kubectl logs remote");
    let log = log(&["remote"], &[CANCELLED]).await?;
    quote(&log);
    let cancelled = log.lines().filter(|line| line.ends_with(CANCELLED)).count();
    ensure!(cancelled == 1, "the job was cancelled {cancelled} times; expected: once");
    Ok(())
}

async fn list_tasks(lists: &[&[&str]]) -> Result<()> {
    chapter("All tasks of this demo");
    print_text(
        "`bootlace tasks` lists the tasks of all schedulers, with their states and the reasons of failures. It needs no access to the\n\
         schedulers, because it reads only pods and Events:",
    );
    for list in lists {
        show_tasks(list).await?;
    }
    Ok(())
}

/// Shows the tasks in the namespace of the demo. There must be some.
async fn show_tasks(filter: &[&str]) -> Result<String> {
    print_command(&[&["bootlace", "tasks"][..], filter].concat().join(" "));
    let mut tasks = command(bootlace()?);
    let list = output(tasks.args(["tasks", "--namespace", NAMESPACE]).args(filter)).await?;
    ensure!(!list.is_empty(), "no tasks found");
    quote(&list);
    Ok(list)
}
