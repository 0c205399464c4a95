//! What outputs cost a pod: how much later it ends, and the memory of the sidecar that has them stored.
//!
//! Pods of each shape are run in turns, one at a time, so that what else the machine does meets all shapes alike.

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

/// The profile of the tasks: nothing to fetch.
const PROFILE: &str = "{}";

/// What is compared.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Shape {
    /// A task that Bootlace injects, without outputs.
    Plain,
    /// The same with a native sidecar that does nothing and ends when it is told to: what any sidecar costs.
    Sidecar,
    /// The same as the first, with a `ConfigMap` and a Secret to store.
    Outputs,
}

impl Shape {
    const ALL: [Self; 3] = [Self::Plain, Self::Sidecar, Self::Outputs];

    fn words(self) -> &'static str {
        match self {
            Self::Plain => "without outputs",
            Self::Sidecar => "without outputs, with a native sidecar that does nothing",
            Self::Outputs => "with two outputs, a ConfigMap and a Secret of 20 kB",
        }
    }

    fn pod(self, name: &str, profile: &str) -> Value {
        let (nothing, containers) = (json!({}), json!([task()]));
        match self {
            Self::Plain => pod(name, profile, &nothing, &json!([]), &containers),
            Self::Sidecar => {
                let idle = "trap 'exit 0' TERM; sleep 600 & wait";
                let idle = json!({"name": "idle", "image": BUSYBOX, "command": ["sh", "-c", idle], "restartPolicy": "Always"});
                pod(name, profile, &nothing, &json!([idle]), &containers)
            }
            Self::Outputs => {
                pod(name, profile, &json!({"bootlace.dev/pipe-out": OUTPUTS}), &json!([]), &containers)
            }
        }
    }
}

/// What [`task`] writes.
const OUTPUTS: &str = "
- {key: A, file: /tmp/out/a, kind: ConfigMap, container: main}
- {key: B, file: /tmp/out/b, kind: Secret, container: main}
";

/// A container that says its last word when its files are there.
fn task() -> Value {
    let script =
        "mkdir /tmp/out; head -c 20000 /dev/urandom >/tmp/out/a; cp /tmp/out/a /tmp/out/b; echo over";
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

/// Runs `rounds` pods of each shape and then one whose sidecar is looked at, and prints what it found.
///
/// # Errors
/// Where a pod does not end as it should.
pub(super) async fn run(namespace: &Namespace, rounds: u32) -> Result<()> {
    namespace.profile(PROFILE).await?;
    let mut ends = Shape::ALL.map(|shape| (shape, Vec::new()));
    for round in 0..rounds {
        for (shape, found) in &mut ends {
            found.push(end(namespace, *shape, round).await?);
        }
    }
    println!(
        "From the task's last word until the API server tells that the pod has succeeded, in ms, {rounds} pods of each:\n"
    );
    println!("| pod | median | 9 of 10 within | median, against the first |\n|---|---:|---:|---:|");
    let mut first = None;
    for (shape, found) in &mut ends {
        found.sort();
        let (median, most) = (quantile(found, 0.5), quantile(found, 0.9));
        let first = *first.get_or_insert(median);
        let more = Millis(median.saturating_sub(first));
        println!("| {} | {} | {} | {more} |", shape.words(), Millis(median), Millis(most));
    }
    println!("\n{}", sidecar(namespace).await?);
    Ok(())
}

/// How long a pod took to end, once its task was over.
async fn end(namespace: &Namespace, shape: Shape, round: u32) -> Result<Duration> {
    let name = format!("{shape:?}-{round}").to_lowercase();
    namespace.create(&shape.pod(&name, namespace.name()).to_string()).await?;
    namespace.pod_succeeded(&name).await?;
    let seen = Timestamp::now();
    let over = stamp(namespace, &name, "main", "over").await?;
    namespace.api::<Pod>().delete(&name, &DeleteParams::background()).await?;
    Ok(seen.duration_since(over).try_into().unwrap_or_default())
}

/// The sidecar's memory, once it has had the outputs of one container stored and waits for another's.
async fn sidecar(namespace: &Namespace) -> Result<Memory> {
    let other = "until [ -e /tmp/end ]; do sleep 0.1; done";
    let other = json!({"name": "other", "image": BUSYBOX, "command": ["sh", "-c", other]});
    let annotations = json!({"bootlace.dev/pipe-out": OUTPUTS, "bootlace.dev/containers": "main,other"});
    let pod = pod("looked-at", namespace.name(), &annotations, &json!([]), &json!([task(), other]));
    namespace.create(&pod.to_string()).await?;
    let pod = namespace.container_ended("looked-at", "main").await?;
    anyhow::ensure!(state::ended(&pod, "main")?.exit_code == 0, "its outputs are not stored");
    let (node, uid) = (Node::of_this_cluster()?, pod.uid().unwrap_or_default());
    let is_it =
        |process: &Process| process.argv.get(1).is_some_and(|word| word == "pipe") && process.is_in_pod(&uid);
    let found =
        until_async(LIMIT, "there is no sidecar", async || node.find(is_it).pop().context("it does not run"));
    let process = found.await?;
    let memory = Memory {
        peak: process.cgroup_peak()?,
        anonymous: process.memory("Anonymous")?,
        shared: process.memory("Rss")? - process.memory("Anonymous")?,
    };
    namespace.exec("looked-at", "other", &["touch", "/tmp/end"]).await?;
    namespace.pod_succeeded("looked-at").await?;
    Ok(memory)
}

/// In bytes.
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
            "The sidecar, after it has had both stored: {} MB of its own; {} MB of pages of the program's file, which all of \
             a node's sidecars share. All that its container was ever charged with, such pages included: {} MB at most.",
            megabytes(self.anonymous),
            megabytes(self.shared),
            megabytes(self.peak)
        )
    }
}
