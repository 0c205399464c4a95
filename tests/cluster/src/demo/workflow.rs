//! The demo of a scheduler other than Airflow: its workflow, its run, and its pods.

use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};
use std::time::Instant;

use super::commands::{NAMESPACE, explain, kubectl, kubectl_here, log};
use super::print::{chapter, print_command, print_text, quote};
use super::{end, file};
use crate::clients::{Client, Demo, OptIn};
use crate::manifest;
use crate::scenario::{Namespace, bootlace};

/// The number of pods that the demo explains. The others of a workflow look the same.
const EXPLAINED: usize = 2;

/// Selects the pods of tasks. The run worker of Dagster starts them in other pods.
const TASKS: &str = "app.kubernetes.io/component!=run_worker";

/// Runs all chapters. This process must be inside the network of the cluster.
///
/// # Errors
/// If any step has another result than expected.
pub async fn present(client: &Client) -> Result<()> {
    let demo = client.demo.as_ref().with_context(|| format!("there is no demo for {}", client.name))?;
    show_file(demo)?;
    let namespace = set_up_namespace(demo).await?;
    run(demo, &namespace).await?;
    show_pods().await?;
    end::present(&namespace, &[&[]]).await
}

fn show_file(demo: &Demo) -> Result<()> {
    chapter(&format!("The workflow: ordinary {}", demo.title));
    let text = std::fs::read_to_string(file(demo.file)).context("read the workflow")?;
    let mentions: Vec<_> = text.lines().filter(|line| line.to_lowercase().contains("bootlace")).collect();
    match demo.opt_in {
        OptIn::Namespace => {
            ensure!(mentions.is_empty(), "the workflow must not mention Bootlace");
            print_text(
                "Its tasks use the variable GREETING and the file /var/assets/query.sql, but it defines neither, and it does not\n\
                 mention Bootlace:",
            );
        }
        OptIn::PodLabel => {
            let only_label =
                mentions.len() == 1 && mentions.iter().all(|line| line.contains("bootlace.dev/task"));
            ensure!(only_label, "the workflow must mention Bootlace only in the pod label");
            print_text(
                "Its task uses the variable GREETING and the file /var/assets/query.sql, but it defines neither. It opts in with\n\
                 one label, because most Jobs of a cluster are not tasks:",
            );
        }
    }
    quote(&text);
    Ok(())
}

async fn set_up_namespace(demo: &Demo) -> Result<Namespace> {
    chapter(match demo.opt_in {
        OptIn::Namespace => "The platform team: a BootProfile and a label on the namespace",
        OptIn::PodLabel => "The platform team: a BootProfile",
    });
    let profile = kubectl(&["get", "bootprofile", "default", "--output", "jsonpath={.spec.sources}"]).await?;
    let sources: Value = serde_json::from_str(&profile).context("parse the sources of the profile")?;
    print_text("BootProfile \"default\" lists what to fetch before each task:");
    quote(&serde_saphyr::to_string(&sources)?);
    let labels = match demo.opt_in {
        OptIn::Namespace => json!({"bootlace.dev/schedulers": "enabled"}),
        OptIn::PodLabel => json!({}),
    };
    let namespace = Namespace::existing(NAMESPACE).await?;
    let object =
        json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": NAMESPACE, "labels": labels}});
    manifest::create(&namespace.client(), &object.to_string(), NAMESPACE, false).await?;
    if demo.opt_in == OptIn::Namespace {
        print_text(&format!(
            "This label opts in the pods of known schedulers. Bootlace recognizes those of {} by what it sets on them:",
            demo.title
        ));
        quote(&format!("namespace {NAMESPACE}: {labels}"));
    }
    Ok(namespace)
}

async fn run(demo: &Demo, namespace: &Namespace) -> Result<()> {
    chapter("Run the workflow");
    print_command(demo.command);
    let started = Instant::now();
    let state = (demo.run)(namespace).await?;
    print_text(&format!(
        "{} reports {state} after {} s. These are its pods:",
        demo.title,
        started.elapsed().as_secs()
    ));
    let columns = "NAME:.metadata.name,PHASE:.status.phase,INIT:.spec.initContainers[*].name,INJECTED:.metadata\
                   .annotations.bootlace\\.dev/injected";
    quote(&kubectl_here(&["get", "pods", "--output", &format!("custom-columns={columns}")]).await?);
    Ok(())
}

async fn show_pods() -> Result<()> {
    let bootlace = bootlace()?;
    let pods = kubectl_here(&["get", "pods", "--selector", TASKS, "--output", "json"]).await?;
    let pods: Value = serde_json::from_str(&pods).context("read the pods")?;
    let annotation = |pod: &Value| {
        let text = pod.pointer("/metadata/annotations/bootlace.dev~1injected")?.as_str()?;
        serde_json::from_str::<Value>(text).ok()
    };
    let injected: Vec<_> = pods
        .pointer("/items")
        .and_then(Value::as_array)
        .into_iter()
        .flatten()
        .filter_map(|pod| Some((pod, annotation(pod)?)))
        .take(EXPLAINED)
        .collect();
    ensure!(!injected.is_empty(), "no pod was injected");
    for (pod, annotation) in injected {
        let name = pod.pointer("/metadata/name").and_then(Value::as_str).context("the pod has no name")?;
        let container = annotation.pointer("/containers/0").and_then(Value::as_str);
        let container = container.context("the pod has no task container")?;
        chapter(&format!("Pod {name}: what Bootlace added, and why"));
        print_command(&format!("kubectl get pod {name} --output json | bootlace explain"));
        quote(&explain(&bootlace, pod).await?);
        print_text("The log of the boot init container, with names and sizes but no values:");
        quote(&kubectl_here(&["logs", name, "--container", "bootlace-boot"]).await?);
        print_text("The log of the task, which used the variable and the file:");
        let log = log(&[name, "--container", container], &["select day"]).await?;
        quote(&log);
        ensure!(
            log.contains("the analytics team") && log.contains("select day"),
            "the boot env or the query did not reach the task"
        );
    }
    Ok(())
}
