//! The state of a task, from the status of its pod. Pure functions.

use k8s_openapi::api::core::v1::{Pod, PodStatus};

use super::injected::Injected;
use super::state::{Phase, State};
use super::status::{condition, describe, disruption};
use super::{containers, failure};

/// The state of a task, without its Events.
pub(super) fn state(pod: &Pod, injected: &Injected) -> State {
    let empty = PodStatus::default();
    let status = pod.status.as_ref().unwrap_or(&empty);
    match status.phase.as_deref() {
        Some("Succeeded") => return State::new(Phase::Succeeded, None),
        Some("Failed") => return State::new(Phase::Failed, failure::reason(pod, status, injected)),
        _ => {}
    }
    if pod.metadata.deletion_timestamp.is_some() {
        return State::new(Phase::Deleting, disruption(status).map(describe));
    }
    if pod.spec.as_ref().is_none_or(|spec| spec.node_name.is_none()) {
        return unscheduled(pod, status);
    }
    containers::state(pod, status, injected)
}

/// A pod that no node was selected for.
fn unscheduled(pod: &Pod, status: &PodStatus) -> State {
    let gates = pod.spec.as_ref().and_then(|spec| spec.scheduling_gates.as_deref()).unwrap_or_default();
    if !gates.is_empty() {
        let gates: Vec<_> = gates.iter().map(|gate| gate.name.as_str()).collect();
        return State::new(Phase::Scheduling, Some(format!("held by scheduling gate {}", gates.join(", "))));
    }
    match condition(status, "PodScheduled", "False") {
        Some(condition) => State::new(Phase::Scheduling, condition.message.clone()),
        None => State::needing_events(Phase::Scheduling),
    }
}
