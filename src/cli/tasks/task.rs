//! The task of a pod.

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::{Container, ContainerStatus, Pod};
use k8s_openapi::jiff::Timestamp;
use kube::ResourceExt as _;
use serde::Deserialize;

use super::injected::Injected;
use super::lifecycle;
use super::state::State;
use super::status::terminated;
use super::text::clean;
use bootlace_core::identity::{Identity, Schedulers};
use bootlace_core::names;
use bootlace_core::plan::boot_spec;
use bootlace_core::pod::Json;
use bootlace_core::profile::links;

/// A task. Values of the pod are cleaned for a terminal.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Task {
    pub(super) namespace: String,
    pub(super) pod: String,
    pub(super) uid: String,
    pub(super) identity: Identity,
    pub(super) profile: String,
    pub(super) state: State,
    pub(super) boot: Option<Span>,
    /// When its containers ran; `None` if none of them has started.
    pub(super) run: Option<Span>,
    pub(super) created: Option<Timestamp>,
    pub(super) node: Option<String>,
    pub(super) progress: Option<String>,
    pub(super) links: BTreeMap<String, String>,
}

/// When something began, and when it ended if it has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Span {
    pub(super) begin: Timestamp,
    pub(super) end: Option<Timestamp>,
}

impl Span {
    /// Its seconds so far.
    pub(super) fn seconds(self, now: Timestamp) -> i64 {
        (self.end.unwrap_or(now).as_second() - self.begin.as_second()).max(0)
    }
}

impl Task {
    /// The task of a pod, without what Events tell; `None` if Bootlace has not injected the pod.
    pub(super) fn of_pod(pod: &Pod) -> Option<Self> {
        let annotation = pod.annotations().get(names::ANNOTATION_INJECTED)?;
        let injected: Injected = serde_json::from_str(annotation).unwrap_or_default();
        let progress = pod.annotations().get(names::ANNOTATION_PROGRESS);
        Some(Self {
            namespace: pod.namespace().unwrap_or_default(),
            pod: pod.name_any(),
            uid: pod.uid().unwrap_or_default(),
            identity: clean_identity(identity(pod)),
            profile: clean(&injected.profile),
            state: lifecycle::state(pod, &injected),
            boot: boot(pod),
            run: run(pod, &injected),
            created: pod.creation_timestamp().map(|time| time.0),
            node: pod.spec.as_ref().and_then(|spec| spec.node_name.clone()),
            progress: progress.map(|text| clean(text)).filter(|text| !text.is_empty()),
            links: written_links(pod, &injected),
        })
    }

    /// The task with its map index: `load[3]`.
    pub(super) fn name(&self) -> Option<String> {
        let Identity { task, map_index, .. } = &self.identity;
        match (task, map_index) {
            (Some(task), Some(index)) => Some(format!("{task}[{index}]")),
            (None, Some(index)) => Some(format!("[{index}]")),
            (task, None) => task.clone(),
        }
    }

    /// What lists are sorted by: tasks of a run are together, in the order in which they were created.
    pub(super) fn order(&self) -> impl Ord + '_ {
        let Identity { workflow, run, .. } = &self.identity;
        (&self.namespace, workflow, run, self.created, &self.pod)
    }
}

/// The identity that the pod boots with. Only boot of an unknown version has none that can be read.
fn identity(pod: &Pod) -> Identity {
    #[derive(Deserialize)]
    struct Spec {
        task: Identity,
    }
    let init = pod.spec.iter().filter_map(|spec| spec.init_containers.as_ref()).flatten();
    let boot = init.into_iter().find(|container| container.name == names::CONTAINER_BOOT);
    let spec = boot.map(|boot| {
        let parts = (0..).map_while(|position| variable(boot, &boot_spec::env_name(position)));
        parts.collect::<String>()
    });
    let spec = spec.and_then(|text| serde_json::from_str::<Spec>(&text).ok());
    spec.map_or_else(|| identify(pod).unwrap_or_default(), |spec| spec.task)
}

/// The identity that the webhook would find in the pod now.
fn identify(pod: &Pod) -> Option<Identity> {
    let value = serde_json::to_value(pod).ok()?;
    let json = Json::from(&value);
    let pod = bootlace_core::pod::Pod::read(&json).ok()?;
    Some(Schedulers::built_in().identify(&pod))
}

fn variable<'c>(container: &'c Container, name: &str) -> Option<&'c str> {
    container.env.iter().flatten().find(|variable| variable.name == name)?.value.as_deref()
}

fn clean_identity(identity: Identity) -> Identity {
    let cleaned = |value: Option<String>| value.map(|text| clean(&text)).filter(|text| !text.is_empty());
    Identity {
        scheduler: cleaned(identity.scheduler),
        workflow: cleaned(identity.workflow),
        run: cleaned(identity.run),
        task: cleaned(identity.task),
        attempt: cleaned(identity.attempt),
        map_index: cleaned(identity.map_index),
        scheduled_time: cleaned(identity.scheduled_time),
    }
}

/// When the newest boot ran.
fn boot(pod: &Pod) -> Option<Span> {
    let init = pod.status.iter().filter_map(|status| status.init_container_statuses.as_ref()).flatten();
    span(init.into_iter().find(|status| status.name == names::CONTAINER_BOOT)?)
}

/// When the task containers ran.
fn run(pod: &Pod, injected: &Injected) -> Option<Span> {
    let status = pod.status.as_ref()?;
    let lists = [&status.init_container_statuses, &status.container_statuses];
    let all = lists.into_iter().flatten().flatten();
    let tasks = all.filter(|status| injected.containers.contains(&status.name));
    let spans: Vec<_> = tasks.filter_map(span).collect();
    let begin = spans.iter().map(|span| span.begin).min()?;
    let end = spans.iter().map(|span| span.end).collect::<Option<Vec<_>>>();
    Some(Span { begin, end: end.and_then(|ends| ends.into_iter().max()) })
}

/// When a container ran, or ran last.
fn span(status: &ContainerStatus) -> Option<Span> {
    let running = status.state.as_ref().and_then(|state| state.running.as_ref());
    if let Some(running) = running {
        return Some(Span { begin: running.started_at.as_ref()?.0, end: None });
    }
    let end = terminated(status.state.as_ref()).or_else(|| terminated(status.last_state.as_ref()))?;
    let finished = end.finished_at.as_ref().map(|time| time.0);
    Some(Span { begin: end.started_at.as_ref()?.0, end: finished })
}

/// The links that Bootlace has added and that still are links. Those of the pod itself are not shown.
fn written_links(pod: &Pod, injected: &Injected) -> BTreeMap<String, String> {
    let link = |name: &String| {
        let link = pod.annotations().get(&names::link_annotation(name))?;
        links::check_written(link).ok().map(|()| (clean(name), clean(link)))
    };
    injected.links.iter().take(links::MAX_LINKS).filter_map(link).collect()
}
