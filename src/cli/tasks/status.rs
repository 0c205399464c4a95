//! Parts of the status of a pod.

use k8s_openapi::api::core::v1::{ContainerState, ContainerStateTerminated, PodCondition, PodStatus};

use crate::pod_status;

/// The condition of a pod that is ended by someone else than its own process: eviction, preemption, a taint.
pub(super) fn disruption(status: &PodStatus) -> Option<&PodCondition> {
    condition(status, "DisruptionTarget", "True")
}

/// The condition of this type, if it has this status.
pub(super) fn condition<'s>(status: &'s PodStatus, type_: &str, value: &str) -> Option<&'s PodCondition> {
    pod_status::condition(status, type_).filter(|condition| condition.status == value)
}

/// Reason and message of a condition.
pub(super) fn describe(condition: &PodCondition) -> String {
    reason_and_message(condition.reason.as_deref(), condition.message.as_deref()).unwrap_or_default()
}

/// A reason and a message of Kubernetes, each of which can be missing.
pub(super) fn reason_and_message(reason: Option<&str>, message: Option<&str>) -> Option<String> {
    let reason = reason.filter(|reason| !reason.is_empty());
    let message = message.map(str::trim).filter(|message| !message.is_empty());
    match (reason, message) {
        (Some(reason), Some(message)) => Some(format!("{reason}: {message}")),
        (one, other) => one.or(other).map(str::to_owned),
    }
}

/// How a container has ended, if it has.
pub(super) fn terminated(state: Option<&ContainerState>) -> Option<&ContainerStateTerminated> {
    state.and_then(|state| state.terminated.as_ref())
}
