//! The cost of the postStart hook: CPU time of the node, start of the task and of the next container, end of
//! the pod, and events of the kubelet.
//!
//! Pods of all kinds run in turns, one at a time, so that other load on the machine affects all kinds
//! equally.

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

/// The kinds of pods that are compared.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Shape {
    /// A pod that is not a task.
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

    /// The name of its profile. `None` for a pod that is not a task.
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

/// The duration of the task.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Length {
    /// Longer than the hook.
    Long,
    /// The task exits before the hook runs.
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

/// The measurements of one pod.
#[derive(Clone, Copy)]
struct Figures {
    /// CPU time of the node, from before the creation of the pod until it is deleted.
    node: Duration,
    /// From the creation of the pod to the first output of the task.
    start: Duration,
    /// From there to the first output of the container that the kubelet starts after that of the task.
    next: Duration,
    /// From the first output of the task until the API server reports that the pod has succeeded.
    end: Duration,
    /// Whether the kubelet recorded that the hook failed.
    event: bool,
}

/// Runs `rounds` pods of each kind, and prints the results.
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
    // The first round is not counted: it loads images and programs into memory.
    for round in 0..=rounds {
        for ((length, shape), figures) in &mut found {
            let pod = measure(namespace, &node, *length, *shape, round).await?;
            if round > 0 {
                figures.push(pod);
            }
        }
    }
    println!(
        "Medians in ms for each value of `hook.when`, {rounds} pods of each kind, in turns. CPU time is that of the kubelet, \
         containerd, runc and all processes of the pod (without etcd and the control plane), from before the creation of the \
         pod until it is deleted. Each pod has a second container, which the kubelet starts after the hook of the first.\n"
    );
    println!(
        "| task runs for | hook | CPU time of the node | from creation to the start of the task | from there to the start of \
         the next container | from the start of the task until the pod has succeeded | pods with `FailedPostStartHook` |\n\
         |---|---|---:|---:|---:|---:|---:|"
    );
    for ((length, shape), figures) in &found {
        let median = |field: fn(&Figures) -> Duration| {
            let mut all: Vec<_> = figures.iter().map(field).collect();
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

async fn measure(
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
    wait_until_deleted(pods, &name, &uid).await?;
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
    let events_of_pod = ListParams::default().fields(&format!("involvedObject.name={pod}"));
    let events = namespace.api::<Event>().list(&events_of_pod).await?;
    Ok(events.items.iter().any(|event| event.reason.as_deref() == Some("FailedPostStartHook")))
}

async fn wait_until_deleted(pods: Api<Pod>, name: &str, uid: &str) -> Result<()> {
    tokio::time::timeout(LIMIT, await_condition(pods, name, conditions::is_deleted(uid))).await??;
    Ok(())
}
