//! The cost of outputs: the time that they add to the end of a pod, and the memory of the sidecar.
//!
//! Pods of all kinds run in turns, one at a time, so that other load on the machine affects all kinds
//! equally.

use std::fmt::{self, Display};
use std::time::Duration;

use anyhow::{Context, Result};
use k8s_openapi::api::core::v1::Pod;
use k8s_openapi::jiff::Timestamp;
use kube::ResourceExt;
use kube::api::DeleteParams;
use serde_json::{Value, json};

use super::{Millis, quantile, stamp};
use crate::images::BUSYBOX;
use crate::processes::{Node, Process};
use crate::scenario::{LIMIT, Namespace, state};
use crate::wait::until_async;

/// The profile of the tasks, which fetches nothing.
const PROFILE: &str = "{}";

/// The kinds of pods that are compared.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Shape {
    /// An injected task without outputs.
    Plain,
    /// The same with a native sidecar that does nothing and exits on SIGTERM, to show the cost of any
    /// sidecar.
    Sidecar,
    /// A task that stores a `ConfigMap` and a Secret.
    Outputs,
}

impl Shape {
    const ALL: [Self; 3] = [Self::Plain, Self::Sidecar, Self::Outputs];

    fn title(self) -> &'static str {
        match self {
            Self::Plain => "without outputs",
            Self::Sidecar => "without outputs, with a native sidecar that does nothing",
            Self::Outputs => "with two outputs of 20 kB, a ConfigMap and a Secret",
        }
    }

    fn pod(self, name: &str, profile: &str) -> Value {
        let (no_annotations, containers) = (json!({}), json!([task()]));
        match self {
            Self::Plain => pod(name, profile, &no_annotations, &json!([]), &containers),
            Self::Sidecar => {
                let idle = "trap 'exit 0' TERM; sleep 600 & wait";
                let idle = json!({"name": "idle", "image": BUSYBOX, "command": ["sh", "-c", idle], "restartPolicy": "Always"});
                pod(name, profile, &no_annotations, &json!([idle]), &containers)
            }
            Self::Outputs => {
                pod(name, profile, &json!({"bootlace.dev/pipe-out": OUTPUTS}), &json!([]), &containers)
            }
        }
    }
}

/// The outputs of [`task`].
const OUTPUTS: &str = "
- {key: A, file: /tmp/out/a, kind: ConfigMap, container: main}
- {key: B, file: /tmp/out/b, kind: Secret, container: main}
";

/// A container that prints a line after it has written its files.
fn task() -> Value {
    let script =
        "mkdir /tmp/out; head -c 20000 /dev/urandom >/tmp/out/a; cp /tmp/out/a /tmp/out/b; echo finished";
    json!({"name": "main", "image": BUSYBOX, "command": ["sh", "-c", script]})
}

fn pod(name: &str, profile: &str, annotations: &Value, sidecars: &Value, containers: &Value) -> Value {
    let mut metadata = json!({"bootlace.dev/run": name});
    if let (Some(all), Some(more)) = (metadata.as_object_mut(), annotations.as_object()) {
        all.extend(more.clone());
    }
    json!({
        "apiVersion": "v1", "kind": "Pod",
        "metadata": {"name": name, "labels": {"bootlace.dev/task": profile}, "annotations": metadata},
        "spec": {"restartPolicy": "Never", "initContainers": sidecars, "containers": containers},
    })
}

/// Runs `rounds` pods of each kind, measures the sidecar of another one, and prints the results.
///
/// # Errors
/// If a pod does not end as expected.
pub(super) async fn run(namespace: &Namespace, rounds: u32) -> Result<()> {
    namespace.profile(PROFILE).await?;
    let mut ends = Shape::ALL.map(|shape| (shape, Vec::new()));
    for round in 0..rounds {
        for (shape, found) in &mut ends {
            found.push(end(namespace, *shape, round).await?);
        }
    }
    println!(
        "From the last output of the task until the API server reports that the pod has succeeded, in ms, {rounds} pods of \
         each kind:\n"
    );
    println!("| pod | median | 90th percentile | median, compared with the first |\n|---|---:|---:|---:|");
    let mut first = None;
    for (shape, found) in &mut ends {
        found.sort();
        let (median, p90) = (quantile(found, 0.5), quantile(found, 0.9));
        let first = *first.get_or_insert(median);
        let more = Millis(median.saturating_sub(first));
        println!("| {} | {} | {} | {more} |", shape.title(), Millis(median), Millis(p90));
    }
    println!("\n{}", sidecar_memory(namespace).await?);
    Ok(())
}

/// The time between the last output of the task and the end of the pod.
async fn end(namespace: &Namespace, shape: Shape, round: u32) -> Result<Duration> {
    let name = format!("{shape:?}-{round}").to_lowercase();
    namespace.create(&shape.pod(&name, namespace.name()).to_string()).await?;
    namespace.pod_succeeded(&name).await?;
    let seen = Timestamp::now();
    let finished = stamp(namespace, &name, "main", "finished").await?;
    namespace.api::<Pod>().delete(&name, &DeleteParams::background()).await?;
    Ok(seen.duration_since(finished).try_into().unwrap_or_default())
}

/// The memory of the sidecar after it has sent the outputs of one container and while it waits for those of
/// another.
async fn sidecar_memory(namespace: &Namespace) -> Result<Memory> {
    let other = "until [ -e /tmp/end ]; do sleep 0.1; done";
    let other = json!({"name": "other", "image": BUSYBOX, "command": ["sh", "-c", other]});
    let annotations = json!({"bootlace.dev/pipe-out": OUTPUTS, "bootlace.dev/containers": "main,other"});
    let pod = pod("measured", namespace.name(), &annotations, &json!([]), &json!([task(), other]));
    namespace.create(&pod.to_string()).await?;
    let pod = namespace.container_ended("measured", "main").await?;
    anyhow::ensure!(state::ended(&pod, "main")?.exit_code == 0, "failed to store the outputs");
    let (node, uid) = (Node::of_this_cluster()?, pod.uid().unwrap_or_default());
    let is_sidecar =
        |process: &Process| process.argv.get(1).is_some_and(|word| word == "pipe") && process.is_in_pod(&uid);
    let found = until_async(LIMIT, "the sidecar does not run", async || {
        node.find(is_sidecar).pop().context("no process of the sidecar found")
    });
    let process = found.await?;
    let memory = Memory {
        peak: process.cgroup_peak()?,
        anonymous: process.memory("Anonymous")?,
        shared: process.memory("Rss")? - process.memory("Anonymous")?,
    };
    namespace.exec("measured", "other", &["touch", "/tmp/end"]).await?;
    namespace.pod_succeeded("measured").await?;
    Ok(memory)
}

/// The memory of a process, in bytes.
struct Memory {
    peak: u64,
    anonymous: u64,
    shared: u64,
}

impl Display for Memory {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let megabytes = |bytes: u64| format!("{}.{}", bytes / 1_000_000, bytes % 1_000_000 / 100_000);
        write!(
            f,
            "Memory of the sidecar after it has sent both outputs: {} MB of anonymous memory, and {} MB of pages of the program \
             file, which all sidecars on a node share. Peak memory of its container, including such pages: {} MB.",
            megabytes(self.anonymous),
            megabytes(self.shared),
            megabytes(self.peak)
        )
    }
}
