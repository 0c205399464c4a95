//! What the monitor saw when it failed a pod, as one object: states of the containers, conditions, events and
//! node. Pure.

use k8s_openapi::api::core::v1::{ContainerState, Event, Node, Pod};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use k8s_openapi::jiff::Timestamp;
use kube::ResourceExt as _;
use serde::Serialize;

use super::cause::part;
use super::containers::{ContainerView, containers};
use super::settings::Settings;
use super::verdict::Failure;
use crate::pod_status::event_time;

/// Maximum bytes of a diagnosis. The annotations of a pod can have 256 KiB together, and each watcher of pods
/// gets them.
pub const MAX_BYTES: usize = 16 * 1024;
/// The newest events that it contains.
const MAX_EVENTS: usize = 20;
/// The conditions of a pod or node that it contains.
const MAX_CONDITIONS: usize = 16;

/// A diagnosis.
#[derive(Serialize, Debug, Clone, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct Diagnosis {
    time: Time,
    reason: &'static str,
    message: String,
    namespace: String,
    pod: String,
    uid: String,
    profile: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    created: Option<Time>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    conditions: Vec<ConditionRecord>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    containers: Vec<ContainerRecord>,
    /// The newest last.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    events: Vec<EventRecord>,
    #[serde(skip_serializing_if = "Option::is_none")]
    node: Option<NodeRecord>,
}

#[derive(Serialize, Debug, Clone, PartialEq)]
struct ConditionRecord {
    #[serde(rename = "type")]
    type_: String,
    status: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    message: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    since: Option<Time>,
}

#[derive(Serialize, Debug, Clone, PartialEq)]
#[serde(rename_all = "camelCase")]
struct ContainerRecord {
    name: String,
    kind: &'static str,
    state: StateRecord,
    #[serde(skip_serializing_if = "Option::is_none")]
    last_state: Option<StateRecord>,
    #[serde(skip_serializing_if = "is_zero")]
    restarts: i32,
}

#[derive(Serialize, Debug, Clone, PartialEq)]
#[serde(rename_all = "camelCase")]
struct StateRecord {
    state: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    message: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    exit_code: Option<i32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    since: Option<Time>,
}

#[derive(Serialize, Debug, Clone, PartialEq)]
struct EventRecord {
    #[serde(skip_serializing_if = "Option::is_none")]
    time: Option<Time>,
    #[serde(rename = "type", skip_serializing_if = "Option::is_none")]
    type_: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    message: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    count: Option<i32>,
}

#[derive(Serialize, Debug, Clone, PartialEq)]
struct NodeRecord {
    name: String,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    unschedulable: bool,
    conditions: Vec<ConditionRecord>,
}

#[allow(clippy::trivially_copy_pass_by_ref, reason = "serde passes references")]
fn is_zero(number: &i32) -> bool {
    *number == 0
}

impl Diagnosis {
    /// What is known about `pod` at `now`, when it fails with `message`.
    #[must_use]
    pub fn new(
        (pod, settings, node): (&Pod, &Settings, Option<&Node>),
        (failure, message): (&Failure, &str),
        events: &[Event],
        now: Timestamp,
    ) -> Self {
        let conditions =
            pod.status.as_ref().and_then(|status| status.conditions.as_deref()).unwrap_or_default();
        let conditions = conditions.iter().map(|found| {
            condition(
                (&found.type_, &found.status),
                [found.reason.as_deref(), found.message.as_deref()],
                found.last_transition_time.as_ref(),
            )
        });
        let mut events: Vec<_> = events.iter().collect();
        events.sort_by_key(|event| event_time(event));
        let oldest = events.len().saturating_sub(MAX_EVENTS);
        Self {
            time: Time(now),
            reason: failure.reason(),
            message: message.to_owned(),
            namespace: pod.namespace().unwrap_or_default(),
            pod: pod.name_any(),
            uid: pod.uid().unwrap_or_default(),
            profile: settings.profile.clone(),
            created: pod.metadata.creation_timestamp.clone(),
            conditions: conditions.take(MAX_CONDITIONS).collect(),
            containers: containers(pod).map(|found| container(&found)).collect(),
            events: events.into_iter().skip(oldest).map(event).collect(),
            node: node.map(node_record),
        }
    }

    /// The diagnosis as JSON of at most [`MAX_BYTES`]. If it is larger, it is without its oldest events,
    /// then without its last containers, and so on.
    #[must_use]
    pub fn to_json(mut self) -> String {
        loop {
            let text = serde_json::to_string(&self).unwrap_or_default();
            if text.len() <= MAX_BYTES {
                return text;
            }
            // What remains after these has fixed limits, which are far below the maximum.
            if !self.events.is_empty() {
                self.events.remove(0);
            } else if self.containers.pop().is_none()
                && self.conditions.pop().is_none()
                && self.node.take().is_none()
            {
                return String::new();
            }
        }
    }
}

fn text(text: Option<&str>) -> Option<String> {
    text.filter(|text| !text.is_empty()).map(part)
}

fn condition(
    (type_, status): (&str, &str),
    [reason, message]: [Option<&str>; 2],
    since: Option<&Time>,
) -> ConditionRecord {
    ConditionRecord {
        type_: part(type_),
        status: part(status),
        reason: text(reason),
        message: text(message),
        since: since.cloned(),
    }
}

fn container(found: &ContainerView<'_>) -> ContainerRecord {
    let last = found.status.and_then(|status| status.last_state.as_ref());
    ContainerRecord {
        name: found.name.to_owned(),
        kind: found.kind.noun(),
        state: found.state().map_or_else(|| StateRecord::of("unknown"), state),
        last_state: last.map(state).filter(|last| last.state != "unknown"),
        restarts: found.status.map_or(0, |status| status.restart_count),
    }
}

impl StateRecord {
    fn of(state: &'static str) -> Self {
        Self { state, reason: None, message: None, exit_code: None, since: None }
    }
}

/// The state of a container, without its termination message, which can contain secrets of a task.
fn state(state: &ContainerState) -> StateRecord {
    if let Some(waiting) = &state.waiting {
        let (reason, message) = (text(waiting.reason.as_deref()), text(waiting.message.as_deref()));
        return StateRecord { reason, message, ..StateRecord::of("waiting") };
    }
    if let Some(end) = &state.terminated {
        return StateRecord {
            reason: text(end.reason.as_deref()),
            exit_code: Some(end.exit_code),
            since: end.finished_at.clone(),
            ..StateRecord::of("terminated")
        };
    }
    match &state.running {
        Some(running) => StateRecord { since: running.started_at.clone(), ..StateRecord::of("running") },
        None => StateRecord::of("unknown"),
    }
}

fn event(event: &Event) -> EventRecord {
    EventRecord {
        time: event_time(event).map(Time),
        type_: text(event.type_.as_deref()),
        reason: text(event.reason.as_deref()),
        message: text(event.message.as_deref()),
        count: event.series.as_ref().and_then(|series| series.count).or(event.count),
    }
}

fn node_record(node: &Node) -> NodeRecord {
    let conditions = node.status.as_ref().and_then(|status| status.conditions.as_deref()).unwrap_or_default();
    let conditions = conditions.iter().map(|found| {
        condition(
            (&found.type_, &found.status),
            [found.reason.as_deref(), found.message.as_deref()],
            found.last_transition_time.as_ref(),
        )
    });
    NodeRecord {
        name: node.name_any(),
        unschedulable: node.spec.as_ref().is_some_and(|spec| spec.unschedulable == Some(true)),
        conditions: conditions.take(MAX_CONDITIONS).collect(),
    }
}
