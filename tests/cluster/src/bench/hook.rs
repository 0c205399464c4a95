//! What the postStart hook costs: CPU of the node, the start of the task and of the container behind it, the end of
//! the pod, and the kubelet's events.
//!
//! Pods of each shape are run in turns, one at a time, so that what else the machine does meets all shapes alike.

use std::time::Duration;

use anyhow::Result;
use k8s_openapi::api::core::v1::{Event, Pod};
use k8s_openapi::jiff::Timestamp;
use kube::api::{DeleteParams, ListParams};
use kube::runtime::wait::{await_condition, conditions};
use kube::{Api, ResourceExt};
use serde_json::{Value, json};

use super::{Millis, quantile, stamp};
use crate::images::BUSYBOX;
use crate::processes::Node;
use crate::scenario::{LIMIT, Namespace};

/// What is compared.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Shape {
    /// A pod that is no task.
    NotInjected,
    Never,
    /// The launcher loads the env, so there is no hook.
    Auto,
    Always,
}

impl Shape {
    const ALL: [Self; 4] = [Self::NotInjected, Self::Never, Self::Auto, Self::Always];

    fn title(self) -> &'static str {
        match self {
            Self::NotInjected => "not injected",
            Self::Never => "`Never`",
            Self::Auto => "`Auto`",
            Self::Always => "`Always`",
        }
    }

    /// Its profile's name; none for a pod that is no task.
    fn profile(self, namespace: &Namespace) -> Option<String> {
        let name = |when: &str| Some(format!("{}-{when}", namespace.name()));
        match self {
            Self::NotInjected => None,
            Self::Never => name("never"),
            Self::Auto => name("auto"),
            Self::Always => name("always"),
        }
    }

    fn when(self) -> Option<&'static str> {
        match self {
            Self::NotInjected => None,
            Self::Never => Some("Never"),
            Self::Auto => Some("Auto"),
            Self::Always => Some("Always"),
        }
    }
}

/// How long the task runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Length {
    /// Longer than its hook.
    Long,
    /// It has ended before a hook can run.
    Short,
}

impl Length {
    fn title(self) -> &'static str {
        match self {
            Self::Long => "1 s",
            Self::Short => "0 s",
        }
    }

    fn script(self) -> &'static str {
        match self {
            Self::Long => "echo started; exec sleep 1",
            Self::Short => "echo started",
        }
    }
}

/// What one pod came to.
#[derive(Clone, Copy)]
struct Figures {
    /// CPU of the node, from before the pod was created until it was gone.
    node: Duration,
    /// From the pod's creation to the task's first word.
    start: Duration,
    /// From there to the first word of the container that the kubelet starts after the task's.
    next: Duration,
    /// From the task's first word until the API server tells that the pod has succeeded.
    end: Duration,
    /// The kubelet wrote that the hook failed.
    event: bool,
}

/// Runs `rounds` pods of each shape, and prints what it found.
pub(super) async fn run(namespace: &Namespace, rounds: u32) -> Result<()> {
    for shape in Shape::ALL {
        if let (Some(name), Some(when)) = (shape.profile(namespace), shape.when()) {
            let sources = json!([{"name": "settings", "inline": {"env": {"GREETING": "hello"}}}]);
            let spec = json!({"sources": sources, "hook": {"when": when}});
            namespace.profile_called(&name, &spec.to_string()).await?;
        }
    }
    let node = Node::of_this_cluster()?;
    let shapes = [Length::Long, Length::Short].map(|length| Shape::ALL.map(|shape| (length, shape)));
    let mut found: Vec<_> = shapes.concat().into_iter().map(|shape| (shape, Vec::new())).collect();
    // One of each first, which nobody counts: images and programs are in memory then.
    for round in 0..=rounds {
        for ((length, shape), figures) in &mut found {
            let pod = one(namespace, &node, *length, *shape, round).await?;
            if round > 0 {
                figures.push(pod);
            }
        }
    }
    println!(
        "By `hook.when`, medians in ms, {rounds} pods of each, in turns. CPU: of kubelet, containerd, runc and all that \
         ran in the pod (without etcd and the control plane), from before its creation until it was gone. Each pod has a \
         second container, which the kubelet starts when the first has started and its hook is over.\n"
    );
    println!(
        "| task runs | hook | CPU of the node | from creation to the task's start | to the next container's | \
         from the task's start until the pod has succeeded | with `FailedPostStartHook` |\n\
         |---|---|---:|---:|---:|---:|---:|"
    );
    for ((length, shape), figures) in &found {
        let median = |of: fn(&Figures) -> Duration| {
            let mut all: Vec<_> = figures.iter().map(of).collect();
            all.sort();
            Millis(quantile(&all, 0.5))
        };
        println!(
            "| {} | {} | {} | {} | {} | {} | {} of {rounds} |",
            length.title(),
            shape.title(),
            median(|pod| pod.node),
            median(|pod| pod.start),
            median(|pod| pod.next),
            median(|pod| pod.end),
            figures.iter().filter(|pod| pod.event).count(),
        );
    }
    Ok(())
}

async fn one(
    namespace: &Namespace,
    node: &Node,
    length: Length,
    shape: Shape,
    round: u32,
) -> Result<Figures> {
    let name = format!("{length:?}-{shape:?}-{round}").to_lowercase();
    let before = node.cpu()?;
    let created = Timestamp::now();
    namespace.create(&pod(&name, shape.profile(namespace), length).to_string()).await?;
    let uid = namespace.pod_succeeded(&name).await?.uid().unwrap_or_default();
    let ended = Timestamp::now();
    let started = stamp(namespace, &name, "main", "started").await?;
    let next = stamp(namespace, &name, "next", "started").await?;
    let pods = namespace.api::<Pod>();
    let event = hook_failed(namespace, &name).await?;
    pods.delete(&name, &DeleteParams::default()).await?;
    gone(pods, &name, &uid).await?;
    let span = |from: Timestamp, to: Timestamp| to.duration_since(from).try_into().unwrap_or_default();
    Ok(Figures {
        node: node.cpu()?.saturating_sub(before),
        start: span(created, started),
        next: span(started, next),
        end: span(started, ended),
        event,
    })
}

fn pod(name: &str, profile: Option<String>, length: Length) -> Value {
    let container =
        |name: &str, script: &str| json!({"name": name, "image": BUSYBOX, "command": ["sh", "-c", script]});
    let labels = profile.map_or(json!({}), |profile| json!({"bootlace.dev/task": profile}));
    json!({
        "apiVersion": "v1", "kind": "Pod",
        "metadata": {"name": name, "labels": labels},
        "spec": {
            "restartPolicy": "Never", "terminationGracePeriodSeconds": 1,
            "containers": [container("main", length.script()), container("next", "echo started")],
        },
    })
}

async fn hook_failed(namespace: &Namespace, pod: &str) -> Result<bool> {
    let of_pod = ListParams::default().fields(&format!("involvedObject.name={pod}"));
    let events = namespace.api::<Event>().list(&of_pod).await?;
    Ok(events.items.iter().any(|event| event.reason.as_deref() == Some("FailedPostStartHook")))
}

async fn gone(pods: Api<Pod>, name: &str, uid: &str) -> Result<()> {
    tokio::time::timeout(LIMIT, await_condition(pods, name, conditions::is_deleted(uid))).await??;
    Ok(())
}
