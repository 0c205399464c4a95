//! The chapters of the demo. Each one shows output of the cluster, and fails if it is not the expected one.

use std::path::Path;
use std::time::Instant;

use anyhow::{Context, Result, bail, ensure};
use serde_json::Value;

use super::commands::{NAMESPACE, apply, explain, kubectl, kubectl_here, log};
use super::print::{chapter, print_command, print_text, quote};
use super::{end, file};
use crate::airflow::Airflow;
use crate::scenario::{Namespace, bootlace, kubeconfig};

const DAG: &str = "etl";
const DATE: &str = "2026-01-01";

/// Runs all chapters. This process must be inside the network of the cluster.
///
/// # Errors
/// If any step has another result than expected.
pub async fn present() -> Result<()> {
    // The binary of the image, so that the version that explains the pods is the one that injected them.
    let bootlace = bootlace()?;
    show_dag()?;
    set_up_namespace().await?;
    run_dag().await?;
    for task in ["extract", "load"] {
        show_task(&bootlace, task).await?;
    }
    show_env_modes().await?;
    show_bystander().await?;
    run_dag_with_pipes().await?;
    // Not in one list, because the reason of the failure makes its lines much wider than a terminal.
    let lists = [&["--scheduler", "airflow"][..], &["--state", "failed"]];
    end::present(&Namespace::existing(NAMESPACE).await?, &lists).await
}

fn show_dag() -> Result<()> {
    chapter("The DAG: ordinary Airflow code");
    let text = std::fs::read_to_string(file("airflow/dags/etl.py")).context("read the DAG")?;
    ensure!(!text.to_lowercase().contains("bootlace"), "the DAG must not mention Bootlace");
    print_text(
        "Two tasks, each of which runs in its own pod. They use the variable GREETING and the file /var/assets/query.sql,\n\
         but the DAG defines neither, and it does not mention Bootlace:",
    );
    quote(text.split_once("with DAG").map_or(text.as_str(), |(_, dag)| dag));
    Ok(())
}

async fn set_up_namespace() -> Result<()> {
    chapter("The platform team: a BootProfile and two labels on the namespace");
    for part in ["demo/namespace.yaml", "demo/platform.yaml"] {
        apply(part).await?;
    }
    kubectl_here(&["wait", "pod/store", "--for", "condition=Ready", "--timeout", "90s"]).await?;
    kubectl(&["wait", "bootprofile/analytics", "--for", "condition=Ready", "--timeout", "30s"]).await?;
    let profile =
        kubectl(&["get", "bootprofile", "analytics", "--output", "jsonpath={.spec.sources}"]).await?;
    let sources: Value = serde_json::from_str(&profile).context("parse the sources of the profile")?;
    print_text(
        "BootProfile \"analytics\" lists what to fetch before each task of this team: a variable that contains the name of the\n\
         run, tables from a ConfigMap, a login from a Secret, and the queries of the workflow from an object store:",
    );
    quote(&serde_saphyr::to_string(&sources)?);
    let labels = kubectl(&["get", "namespace", NAMESPACE, "--output", "jsonpath={.metadata.labels}"]).await?;
    print_text(
        "The label bootlace.dev/schedulers opts in the pods of known schedulers, which Bootlace recognizes by the labels that\n\
         the schedulers set. The label bootlace.dev/profile selects the profile:",
    );
    quote(&format!("namespace {NAMESPACE}: {labels}"));
    Ok(())
}

async fn run_dag() -> Result<()> {
    chapter("Run the DAG");
    print_command(&format!("airflow dags test {DAG} {DATE}"));
    let airflow = Airflow::new(&kubeconfig()?, NAMESPACE).await?;
    let started = Instant::now();
    let run = airflow.run(DAG, DATE).await?;
    ensure!(run.succeeded, "the DAG failed:\n{}", end_of(&run.log));
    print_text(&format!(
        "Airflow reports success after {} s. These are the pods of the two tasks:",
        started.elapsed().as_secs()
    ));
    let columns = "NAME:.metadata.name,PHASE:.status.phase,INIT:.spec.initContainers[*].name,INJECTED:.metadata\
                   .annotations.bootlace\\.dev/injected";
    let pods = ["get", "pods", "--selector", "dag_id=etl", "--output", &format!("custom-columns={columns}")];
    quote(&kubectl_here(&pods).await?);
    Ok(())
}

/// The last lines of Airflow's log, which contain the error.
fn end_of(log: &str) -> String {
    let lines: Vec<_> = log.lines().collect();
    lines.get(lines.len().saturating_sub(30)..).unwrap_or_default().join("\n")
}

async fn show_task(bootlace: &Path, task: &str) -> Result<()> {
    chapter(&format!("Task {task}: what Bootlace added to the pod, and why"));
    let pods =
        kubectl_here(&["get", "pods", "--selector", &format!("task_id={task}"), "--output", "json"]).await?;
    let pods: Value = serde_json::from_str(&pods).context("read the pods")?;
    let pod = pods.pointer("/items/0").with_context(|| format!("task {task} has no pod"))?;
    let name = pod.pointer("/metadata/name").and_then(Value::as_str).context("the pod has no name")?;
    print_command(&format!("kubectl get pod {name} --output json | bootlace explain"));
    quote(&explain(bootlace, pod).await?);
    print_text("The log of the boot init container, with names and sizes but no values:");
    quote(&kubectl_here(&["logs", name, "--container", "bootlace-boot"]).await?);
    print_text("The log of the task, which used the variable and the file:");
    let log = log(&[name, "--container", "base"], &["query.sql", "from sales"]).await?;
    quote(&log);
    ensure!(
        log.contains("the analytics team, in run ")
            && ["query.sql", "from sales"].iter().any(|part| log.contains(part)),
        "the boot env or the query did not reach the task"
    );
    Ok(())
}

async fn show_env_modes() -> Result<()> {
    chapter("The guarantee: a task gets its env, or it fails");
    print_text(
        "In the pods of both tasks, the postStart hook has read the environment of the running process and found all\n\
         variables. The pod \"no-command\" does not set a command: its command is in the image, so Bootlace cannot put its\n\
         launcher before it. Instead, the store of Bootlace creates a Secret for this pod, and the kubelet sets the variables:",
    );
    apply("demo/no-command.yaml").await?;
    let succeeded = "jsonpath={.status.phase}=Succeeded";
    kubectl_here(&["wait", "pod/no-command", "--for", succeeded, "--timeout", "90s"]).await?;
    quote(&kubectl_here(&["get", "secrets", "--selector", "app.kubernetes.io/managed-by=bootlace"]).await?);
    let log = log(&["no-command"], &["GREETING="]).await?;
    let greeting = log.lines().find(|line| line.contains("GREETING=")).context("the boot env is missing")?;
    print_text("The environment of its process:");
    quote(greeting.trim_start_matches("environ "));
    print_text("The pod \"drops-env\" clears its environment before it starts its program:");
    print_command("env -i /bin/sleep 1000");
    apply("demo/drops-env.yaml").await?;
    let terminated = "jsonpath={.status.containerStatuses[0].state.terminated.reason}";
    kubectl_here(&["wait", "pod/drops-env", "--for", terminated, "--timeout", "90s"]).await?;
    let message = "jsonpath={.status.containerStatuses[0].state.terminated.message}";
    let message = kubectl_here(&["get", "pod", "drops-env", "--output", message]).await?;
    if message.is_empty() {
        bail!("the container has no termination message");
    }
    print_text(
        "The hook detects this and fails, so the kubelet stops the container. The termination message, which `kubectl describe\n\
         pod` shows, contains the reason:",
    );
    quote(&message);
    Ok(())
}

async fn show_bystander() -> Result<()> {
    chapter("All other pods are not affected");
    print_text(
        "The API server does not send pods to Bootlace that have not opted in. The log of such a pod:",
    );
    let before = reviews().await?;
    apply("demo/bystander.yaml").await?;
    let bystander = ["--namespace", "default", "wait", "pod/bystander"];
    let done = ["--for", "jsonpath={.status.phase}=Succeeded", "--timeout", "90s"];
    kubectl(&[&bystander[..], &done[..]].concat()).await?;
    let after = reviews().await?;
    ensure!(before == after, "the API server sent Bootlace a pod that has not opted in");
    quote(&kubectl(&["--namespace", "default", "logs", "bystander"]).await?);
    print_text(
        "The webhook has received no request for it. Its counters are the same as before the pod was created:",
    );
    quote(&after);
    Ok(())
}

async fn run_dag_with_pipes() -> Result<()> {
    chapter("Pipes: a file that one task writes is a Secret for the next task");
    let text = std::fs::read_to_string(file("airflow/dags/pipes.py")).context("read the DAG")?;
    let dag = text.split_once("with pipeline(\"certificates\")").map_or("", |(_, rest)| rest);
    let dag = dag.split("\n\n").next().unwrap_or_default();
    ensure!(!dag.is_empty(), "DAG certificates not found in its file");
    print_text(
        "Task \"issue\" declares two output files in an annotation. The tasks \"serve\" and \"publish\" use them by their keys.\n\
         The images do not change:",
    );
    quote(&format!("with pipeline(\"certificates\"){dag}"));
    print_command(&format!("airflow dags test certificates {DATE}"));
    let run = Airflow::new(&kubeconfig()?, NAMESPACE).await?.run("certificates", DATE).await?;
    ensure!(run.succeeded, "the DAG failed:\n{}", end_of(&run.log));
    print_text("The container of task \"issue\" exited with 0 only after each output was stored:");
    print_command("kubectl get pipes");
    quote(&kubectl_here(&["get", "pipes"]).await?);
    for (task, expected) in [("serve", "certificate of the run"), ("publish", "read me")] {
        let log =
            log(&["--selector", &format!("task_id={task}"), "--container", "base"], &[expected]).await?;
        ensure!(log.contains(expected), "task {task} did not get the file: {log}");
        print_text(&format!("The log of task \"{task}\":"));
        quote(&log);
    }
    Ok(())
}

/// The metric of the webhook that counts its reviews by outcome.
async fn reviews() -> Result<String> {
    let path = "/api/v1/namespaces/bootlace/services/bootlace:metrics/proxy/metrics";
    let metrics = kubectl(&["get", "--raw", path]).await?;
    let reviews: Vec<_> = metrics.lines().filter(|line| line.starts_with("bootlace_reviews_total")).collect();
    ensure!(!reviews.is_empty(), "the webhook has no metric bootlace_reviews_total");
    Ok(reviews.join("\n"))
}
