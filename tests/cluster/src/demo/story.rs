//! The story, told from what really happened: each sentence is read back from the cluster.

use std::path::Path;
use std::process::Stdio;
use std::time::Duration;
use std::time::Instant;

use anyhow::{Context, Result, bail, ensure};
use serde_json::Value;
use tokio::io::AsyncWriteExt as _;
use tokio::process::Command;

use super::file;
use super::print::{chapter, quote, say};
use crate::airflow::Airflow;
use crate::command::{command, output};
use crate::images;
use crate::scenario::{bootlace, kubeconfig};

const NAMESPACE: &str = "analytics";
const DAG: &str = "etl";
const DATE: &str = "2026-01-01";

/// Tells the story, inside of the cluster's network.
///
/// # Errors
/// When anything is not as the story says.
pub async fn tell() -> Result<()> {
    // The image's own binary, so that what explains is what injected.
    let bootlace = bootlace()?;
    the_dag()?;
    the_platform().await?;
    the_run().await?;
    for task in ["extract", "load"] {
        the_task(&bootlace, task).await?;
    }
    the_proof().await?;
    the_others().await?;
    the_pipe().await
}

fn the_dag() -> Result<()> {
    chapter("A DAG, as a data engineer wrote it");
    let text = std::fs::read_to_string(file("airflow/dags/etl.py")).context("read the DAG")?;
    ensure!(!text.to_lowercase().contains("bootlace"), "the DAG must not know Bootlace");
    say(
        "Two tasks, two pods. It greets with $GREETING and reads /var/assets/query.sql, and nothing in it says where\n\
         either comes from. There is no word of Bootlace in this file:",
    );
    quote(text.split_once("with DAG").map_or(text.as_str(), |(_, dag)| dag));
    Ok(())
}

async fn the_platform() -> Result<()> {
    chapter("The platform's part: a profile, two labels on the namespace");
    for part in ["demo/namespace.yaml", "demo/platform.yaml"] {
        apply(part).await?;
    }
    kubectl_here(&["wait", "pod/store", "--for", "condition=Ready", "--timeout", "90s"]).await?;
    kubectl(&["wait", "bootprofile/analytics", "--for", "condition=Ready", "--timeout", "30s"]).await?;
    let profile =
        kubectl(&["get", "bootprofile", "analytics", "--output", "jsonpath={.spec.sources}"]).await?;
    let sources: Value = serde_json::from_str(&profile).context("read the profile's sources")?;
    say(
        "BootProfile analytics says what the team's tasks boot with, in order: a setting that knows the run, tables from a\n\
         ConfigMap, a login from a Secret, and the workflow's queries from an object store:",
    );
    quote(&serde_saphyr::to_string(&sources)?);
    let labels = kubectl(&["get", "namespace", NAMESPACE, "--output", "jsonpath={.metadata.labels}"]).await?;
    say("The namespace has opted in, so that Airflow's own marks are enough, and names its profile:");
    quote(&format!("namespace {NAMESPACE}: {labels}"));
    Ok(())
}

async fn the_run() -> Result<()> {
    chapter("The run");
    say(&format!("airflow dags test {DAG} {DATE}"));
    let airflow = Airflow::new(&kubeconfig()?, NAMESPACE).await?;
    let started = Instant::now();
    let run = airflow.run(DAG, DATE).await?;
    ensure!(run.succeeded, "the DAG failed:\n{}", end_of(&run.log));
    say(&format!("Airflow says: success, after {} s. Its two pods:", started.elapsed().as_secs()));
    let columns = "NAME:.metadata.name,PHASE:.status.phase,INIT:.spec.initContainers[*].name,INJECTED:.metadata\
                   .annotations.bootlace\\.dev/injected";
    let pods = ["get", "pods", "--selector", "dag_id=etl", "--output", &format!("custom-columns={columns}")];
    quote(&kubectl_here(&pods).await?);
    Ok(())
}

/// As much of Airflow's log as says why it failed.
fn end_of(log: &str) -> String {
    let lines: Vec<_> = log.lines().collect();
    lines.get(lines.len().saturating_sub(30)..).unwrap_or_default().join("\n")
}

async fn the_task(bootlace: &Path, task: &str) -> Result<()> {
    chapter(&format!("Task {task}: who made the pod, what was injected, and why"));
    let pods =
        kubectl_here(&["get", "pods", "--selector", &format!("task_id={task}"), "--output", "json"]).await?;
    let pods: Value = serde_json::from_str(&pods).context("read the pods")?;
    let pod = pods.pointer("/items/0").with_context(|| format!("task {task} has no pod"))?;
    let name = pod.pointer("/metadata/name").and_then(Value::as_str).context("the pod has a name")?;
    say(&format!("kubectl get pod {name} --output json | bootlace explain"));
    quote(&explain(bootlace, pod).await?);
    say("What boot said (names and sizes, never a value):");
    quote(&kubectl_here(&["logs", name, "--container", "bootlace-boot"]).await?);
    say("What the task said, with its boot env and an asset's content:");
    let log = log(&[name, "--container", "base"], &["query.sql", "from sales"]).await?;
    quote(&log);
    ensure!(
        log.contains("the analytics team, in run ")
            && ["query.sql", "from sales"].iter().any(|part| log.contains(part)),
        "the boot env or the query did not reach the task"
    );
    Ok(())
}

async fn explain(bootlace: &Path, pod: &Value) -> Result<String> {
    fed(command(bootlace).arg("explain"), &serde_json::to_vec(pod)?).await
}

/// Creates what a file of the demo's says.
async fn apply(name: &str) -> Result<()> {
    let text = std::fs::read_to_string(file(name)).with_context(|| format!("read {name}"))?;
    let mut apply = command("kubectl");
    fed(apply.args(["apply", "--filename", "-"]), images::named(&text).as_bytes()).await.map(drop)
}

/// Runs a command that reads `input`, and returns what it prints.
async fn fed(command: &mut Command, input: &[u8]) -> Result<String> {
    let program = command.as_std().get_program().display().to_string();
    let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn()?;
    let mut stdin = child.stdin.take().context("its input is a pipe")?;
    stdin.write_all(input).await.with_context(|| format!("give {program} its input"))?;
    drop(stdin);
    let output = child.wait_with_output().await?;
    ensure!(output.status.success(), "{program} failed: {}", output.status);
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}

async fn the_proof() -> Result<()> {
    chapter("The proof: a task never runs quietly without its env");
    say(
        "In both pods the postStart hook has read the environment of the running process, and let it go on. Where a command\n\
         is hidden in the image, nothing can stand in front of it: the kubelet puts the boot env in, from a Secret that\n\
         Bootlace's store made for this one pod:",
    );
    apply("demo/no-command.yaml").await?;
    let succeeded = "jsonpath={.status.phase}=Succeeded";
    kubectl_here(&["wait", "pod/no-command", "--for", succeeded, "--timeout", "90s"]).await?;
    quote(&kubectl_here(&["get", "secrets", "--selector", "app.kubernetes.io/managed-by=bootlace"]).await?);
    let log = log(&["no-command"], &["GREETING="]).await?;
    let greeting =
        log.lines().find(|line| line.contains("GREETING=")).context("the boot env did not arrive")?;
    quote(greeting);
    say("And here is a task that throws its environment away before it begins:");
    apply("demo/drops-env.yaml").await?;
    let terminated = "jsonpath={.status.containerStatuses[0].state.terminated.reason}";
    kubectl_here(&["wait", "pod/drops-env", "--for", terminated, "--timeout", "90s"]).await?;
    let message = "jsonpath={.status.containerStatuses[0].state.terminated.message}";
    let message = kubectl_here(&["get", "pod", "drops-env", "--output", message]).await?;
    if message.is_empty() {
        bail!("the hook left no reason");
    }
    say("The hook fails it, with the reason where the task's owner looks:");
    quote(&message);
    Ok(())
}

async fn the_others() -> Result<()> {
    chapter("Everybody else");
    say(
        "The API server's own selectors keep pods that nobody opted in from ever being sent to Bootlace. One such pod:",
    );
    let before = reviews().await?;
    apply("demo/bystander.yaml").await?;
    let bystander = ["--namespace", "default", "wait", "pod/bystander"];
    let done = ["--for", "jsonpath={.status.phase}=Succeeded", "--timeout", "90s"];
    kubectl(&[&bystander[..], &done[..]].concat()).await?;
    let after = reviews().await?;
    ensure!(before == after, "Bootlace has seen a pod that nobody opted in");
    quote(&kubectl(&["--namespace", "default", "logs", "bystander"]).await?);
    say("What the webhook has been asked, before it and after it:");
    quote(&after);
    Ok(())
}

async fn the_pipe() -> Result<()> {
    chapter("A pipe: a file of one task is the Secret of the next");
    let text = std::fs::read_to_string(file("airflow/dags/pipes.py")).context("read the DAG")?;
    let dag = text.split_once("with pipeline(\"certificates\")").map_or("", |(_, rest)| rest);
    let dag = dag.split("\n\n").next().unwrap_or_default();
    ensure!(!dag.is_empty(), "the DAG certificates is not in its file");
    say(
        "Task issue says which files it hands over, and two others name them by their keys. Images are untouched:",
    );
    quote(&format!("with pipeline(\"certificates\"){dag}"));
    say(&format!("airflow dags test certificates {DATE}"));
    let run = Airflow::new(&kubeconfig()?, NAMESPACE).await?.run("certificates", DATE).await?;
    ensure!(run.succeeded, "the DAG failed:\n{}", end_of(&run.log));
    say("Each output was stored before the container of issue could end with 0:");
    say("kubectl get pipes");
    quote(&kubectl_here(&["get", "pipes"]).await?);
    for (task, says) in [("serve", "certificate of the run"), ("publish", "read me")] {
        let log = log(&["--selector", &format!("task_id={task}"), "--container", "base"], &[says]).await?;
        ensure!(log.contains(says), "task {task} did not get its file: {log}");
        say(&format!("Task {task} read:"));
        quote(&log);
    }
    Ok(())
}

/// The webhook's own count of the reviews that it has answered, and what they came to.
async fn reviews() -> Result<String> {
    let path = "/api/v1/namespaces/bootlace/services/bootlace:metrics/proxy/metrics";
    let metrics = kubectl(&["get", "--raw", path]).await?;
    let reviews: Vec<_> = metrics.lines().filter(|line| line.starts_with("bootlace_reviews_total")).collect();
    ensure!(!reviews.is_empty(), "the webhook counts no reviews");
    Ok(reviews.join("\n"))
}

async fn kubectl(arguments: &[&str]) -> Result<String> {
    output(command("kubectl").args(arguments)).await
}

async fn kubectl_here(arguments: &[&str]) -> Result<String> {
    output(command("kubectl").args(["--namespace", NAMESPACE]).args(arguments)).await
}

/// What a task wrote, read until it holds one of `parts`, for up to 15 seconds: containerd may still write the last lines
/// of a container that has ended. Whoever asks checks what came.
async fn log(of: &[&str], parts: &[&str]) -> Result<String> {
    let arguments = [&["logs"], of].concat();
    let mut log = kubectl_here(&arguments).await?;
    for _ in 0..100 {
        if parts.iter().any(|part| log.contains(part)) {
            break;
        }
        tokio::time::sleep(Duration::from_millis(150)).await;
        log = kubectl_here(&arguments).await?;
    }
    Ok(log)
}
