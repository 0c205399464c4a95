//! Decides whether a pod fails, and when to check it again. Pure.
//!
//! There are two clocks. One runs from the creation of the pod until it has a node, except while it has
//! scheduling gates. The other one runs from then until all its tasks have started.

use std::time::Duration;

use k8s_openapi::api::core::v1::{Pod, PodCondition};
use k8s_openapi::jiff::Timestamp;

use super::containers::{ContainerView, Kind, containers};
use super::settings::Settings;
use crate::pod_status::condition;
use bootlace_core::code::Code;
use bootlace_core::names;
use bootlace_core::profile::launch::OnSidecarFailure;

/// How long another container may have failed before the pod fails. At the end of a pod, containers often end
/// at the same time, some of them with an error.
const SIDECAR_GRACE: Duration = Duration::from_secs(30);
/// How often a container must have restarted before a crash loop counts as a failure.
const MIN_RESTARTS: i32 = 3;

/// What to do with a pod.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    /// Nothing, unless the pod changes.
    Nothing,
    /// Check it again then, if it has not changed before.
    Wait(Timestamp),
    /// Fail it.
    Fail(Failure),
}

/// Why a pod fails.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Failure {
    /// It has no node.
    Schedule {
        /// The limit in seconds.
        seconds: u32,
    },
    /// Its tasks have not started.
    Start {
        /// The limit in seconds.
        seconds: u32,
    },
    /// Another container has failed while a task has not ended.
    Sidecar {
        /// Name of the container.
        container: String,
    },
}

impl Failure {
    /// The reason in the status and the conditions of the pod, and in the Event.
    #[must_use]
    pub fn reason(&self) -> &'static str {
        match self {
            Self::Schedule { .. } => "ScheduleTimeout",
            Self::Start { .. } => "StartTimeout",
            Self::Sidecar { .. } => "SidecarFailed",
        }
    }

    /// The code of its message.
    #[must_use]
    pub fn code(&self) -> Code {
        match self {
            Self::Schedule { .. } => Code::ScheduleTimeout,
            Self::Start { .. } => Code::StartTimeout,
            Self::Sidecar { .. } => Code::SidecarFailed,
        }
    }

    /// Type and status of the condition of the pod. Never `DisruptionTarget`, with which many schedulers
    /// start the task again without end.
    #[must_use]
    pub fn condition(&self) -> (&'static str, &'static str) {
        match self {
            Self::Schedule { .. } | Self::Start { .. } => (names::CONDITION_LAUNCHED, "False"),
            Self::Sidecar { .. } => (names::CONDITION_SIDECAR_FAILED, "True"),
        }
    }
}

/// What to do with `pod` at `now`. `ungated` is when the monitor saw for the first time that the pod had no
/// scheduling gates any more (see [`was_gated`]).
#[must_use]
pub fn verdict(pod: &Pod, settings: &Settings, ungated: Option<Timestamp>, now: Timestamp) -> Verdict {
    if is_over(pod) {
        return Verdict::Nothing;
    }
    match launch(pod, settings, ungated, now) {
        Verdict::Fail(failure) => Verdict::Fail(failure),
        launch => earlier(launch, sidecars(pod, settings, now)),
    }
}

fn earlier(one: Verdict, other: Verdict) -> Verdict {
    match (one, other) {
        (Verdict::Wait(one), Verdict::Wait(other)) => Verdict::Wait(one.min(other)),
        (Verdict::Nothing, verdict) | (verdict, Verdict::Nothing) => verdict,
        (Verdict::Fail(failure), _) | (_, Verdict::Fail(failure)) => Verdict::Fail(failure),
    }
}

/// Whether the pod has ended or is ending already.
fn is_over(pod: &Pod) -> bool {
    let phase = pod.status.as_ref().and_then(|status| status.phase.as_deref());
    pod.metadata.deletion_timestamp.is_some() || matches!(phase, Some("Succeeded" | "Failed"))
}

/// Whether the pod may have been created with scheduling gates and has none any more. The API does not
/// contain when they were removed: the transition time of the condition is that of its creation, because its
/// status stays `False`. But the removal is a change of the spec, which the generation counts since
/// Kubernetes 1.33. Before, the condition of such a pod had no transition time.
#[must_use]
pub fn was_gated(pod: &Pod) -> bool {
    let has_changed = pod.metadata.generation.is_some_and(|generation| generation > 1);
    let has_no_time = scheduled(pod).is_some_and(|condition| condition.last_transition_time.is_none());
    !has_gates(pod) && (has_changed || has_no_time)
}

fn has_gates(pod: &Pod) -> bool {
    let gates = pod.spec.as_ref().and_then(|spec| spec.scheduling_gates.as_ref());
    gates.is_some_and(|gates| !gates.is_empty())
}

/// The condition `PodScheduled`.
pub(super) fn scheduled(pod: &Pod) -> Option<&PodCondition> {
    condition(pod.status.as_ref()?, "PodScheduled")
}

fn launch(pod: &Pod, settings: &Settings, ungated: Option<Timestamp>, now: Timestamp) -> Verdict {
    let limits = &settings.launch;
    let (since, seconds, failure): (_, _, fn(u32) -> Failure) = match node_since(pod) {
        Some(since) => {
            if tasks(pod, settings).all(|task| task.has_started()) {
                return Verdict::Nothing;
            }
            (Some(since), limits.start_seconds, |seconds| Failure::Start { seconds })
        }
        None if has_gates(pod) => return Verdict::Nothing,
        None => {
            let since = if was_gated(pod) { ungated } else { unscheduled_since(pod) };
            (since, limits.schedule_seconds, |seconds| Failure::Schedule { seconds })
        }
    };
    let Some(seconds) = seconds else { return Verdict::Nothing };
    let since = since.unwrap_or(now);
    match since.checked_add(Duration::from_secs(seconds.into())) {
        Ok(end) if end <= now => Verdict::Fail(failure(seconds)),
        Ok(end) => Verdict::Wait(end),
        Err(_) => Verdict::Nothing,
    }
}

/// Since when the pod has a node; `None` if it has none.
fn node_since(pod: &Pod) -> Option<Timestamp> {
    let condition = scheduled(pod).filter(|condition| condition.status == "True");
    let has_node = pod.spec.as_ref().is_some_and(|spec| spec.node_name.is_some());
    if condition.is_none() && !has_node {
        return None;
    }
    let status = pod.status.as_ref();
    let time = condition
        .and_then(|condition| condition.last_transition_time.as_ref())
        .or_else(|| status.and_then(|status| status.start_time.as_ref()))
        .or(pod.metadata.creation_timestamp.as_ref());
    Some(time.map_or(Timestamp::MAX, |time| time.0))
}

/// Since when a pod that never had gates waits for a node.
fn unscheduled_since(pod: &Pod) -> Option<Timestamp> {
    pod.metadata.creation_timestamp.as_ref().map(|time| time.0)
}

/// The task containers of the pod. If the annotation names none that exists, all regular containers.
pub(super) fn tasks<'p>(pod: &'p Pod, settings: &Settings) -> impl Iterator<Item = ContainerView<'p>> {
    let is_named =
        |container: &ContainerView<'_>| settings.containers.iter().any(|name| name == container.name);
    let named: Vec<_> = containers(pod).filter(is_named).collect();
    let regular = named.is_empty().then(|| containers(pod).filter(|found| found.kind == Kind::Regular));
    named.into_iter().chain(regular.into_iter().flatten())
}

/// Whether another container has failed, for which a task may wait.
fn sidecars(pod: &Pod, settings: &Settings, now: Timestamp) -> Verdict {
    if settings.on_sidecar_failure == OnSidecarFailure::Ignore
        || tasks(pod, settings).all(|task| task.has_ended())
    {
        return Verdict::Nothing;
    }
    let is_task = |name: &str| tasks(pod, settings).any(|task| task.name == name);
    let others = containers(pod).filter(|found| found.kind != Kind::Init && !is_task(found.name));
    others.fold(Verdict::Nothing, |verdict, other| earlier(verdict, failed(&other, now)))
}

/// The verdict because of one container that is not a task.
fn failed(container: &ContainerView<'_>, now: Timestamp) -> Verdict {
    let fails = || Verdict::Fail(Failure::Sidecar { container: container.name.to_owned() });
    let Some(state) = container.state() else { return Verdict::Nothing };
    let restarts = container.status.map_or(0, |status| status.restart_count);
    if let Some(waiting) = &state.waiting {
        let is_loop = waiting.reason.as_deref() == Some("CrashLoopBackOff") && restarts >= MIN_RESTARTS;
        return if is_loop { fails() } else { Verdict::Nothing };
    }
    let Some(end) = state.terminated.as_ref().filter(|end| end.exit_code != 0) else {
        return Verdict::Nothing;
    };
    // A native sidecar, or a container with another restart policy, restarts.
    if container.kind == Kind::Sidecar {
        return Verdict::Nothing;
    }
    let end = end.finished_at.as_ref().map_or(now, |time| time.0);
    match end.checked_add(SIDECAR_GRACE) {
        Ok(due) if due > now => Verdict::Wait(due),
        _ => fails(),
    }
}
