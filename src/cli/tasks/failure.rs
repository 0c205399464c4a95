//! Why a pod has failed, in the order of causes: what someone did to the pod explains how its containers
//! ended, and not the other way round.

use k8s_openapi::api::core::v1::{ContainerStateTerminated, ContainerStatus, Pod, PodStatus};

use super::injected::Injected;
use super::status::{condition, describe, disruption, reason_and_message, terminated};
use super::text::{abridge, clean};
use crate::pod_status::is_sidecar;
use bootlace_core::names;

/// Maximum characters of the message of a container. It can have 4 KiB, its beginning or end tells most.
const MAX_MESSAGE_CHARS: usize = 400;

/// Why the pod has failed, if its status tells.
pub(super) fn reason(pod: &Pod, status: &PodStatus, injected: &Injected) -> Option<String> {
    let of_pod = || reason_and_message(status.reason.as_deref(), status.message.as_deref());
    let not_launched = condition(status, names::CONDITION_LAUNCHED, "False").map(describe);
    not_launched
        .or_else(|| status.reason.as_ref().and_then(|_| of_pod()))
        .or_else(|| disruption(status).map(describe))
        .or_else(|| init_failure(pod, status))
        .or_else(|| app_failure(status, injected))
        .or_else(of_pod)
}

/// How an init container has failed. Sidecars are stopped at the end of the pod, whatever happened.
fn init_failure(pod: &Pod, status: &PodStatus) -> Option<String> {
    let specs = pod.spec.iter().filter_map(|spec| spec.init_containers.as_ref()).flatten();
    let sidecars: Vec<_> = specs.filter(|spec| is_sidecar(spec)).map(|spec| spec.name.as_str()).collect();
    let mut init = status.init_container_statuses.iter().flatten();
    init.find_map(|status| {
        let end = failure(status).filter(|_| !sidecars.contains(&status.name.as_str()))?;
        let own = names::is_own_container(&status.name).then(|| own_message(end)).flatten();
        Some(own.unwrap_or_else(|| format!("init container {}: {}", status.name, describe_end(end))))
    })
}

/// How a container has failed, first of the tasks.
fn app_failure(status: &PodStatus, injected: &Injected) -> Option<String> {
    let apps = status.container_statuses.as_deref().unwrap_or_default();
    let is_task = |status: &&ContainerStatus| injected.containers.contains(&status.name);
    let (tasks, others): (Vec<_>, Vec<_>) = apps.iter().partition(is_task);
    tasks.into_iter().chain(others).find_map(|status| {
        let end = describe_end(failure(status)?);
        Some(if apps.len() == 1 { end } else { format!("container {}: {end}", status.name) })
    })
}

fn failure(status: &ContainerStatus) -> Option<&ContainerStateTerminated> {
    terminated(status.state.as_ref()).filter(|end| end.exit_code != 0)
}

/// The message of a container of Bootlace, which says everything and ends with a code.
fn own_message(end: &ContainerStateTerminated) -> Option<String> {
    let message = clean(end.message.as_deref()?);
    (!message.is_empty()).then_some(message)
}

/// How a container has ended: its exit code, and the message that it has left.
pub(super) fn describe_end(end: &ContainerStateTerminated) -> String {
    let code = end.exit_code;
    let exit = match signal(code) {
        Some(signal) => format!("exit code {code} ({signal})"),
        None => format!("exit code {code}"),
    };
    let exit = match end.reason.as_deref().unwrap_or_default() {
        "OOMKilled" => "out of memory (OOMKilled)".to_owned(),
        "" | "Error" | "Completed" => exit,
        reason => format!("{reason} ({exit})"),
    };
    let message = end.message.as_deref().map(clean).filter(|message| !message.is_empty());
    match message {
        Some(message) => format!("{exit}: {}", abridge(&message, MAX_MESSAGE_CHARS)),
        None => exit,
    }
}

/// The signal that an exit code of a runtime means.
fn signal(code: i32) -> Option<&'static str> {
    match code {
        130 => Some("SIGINT"),
        134 => Some("SIGABRT"),
        137 => Some("SIGKILL"),
        139 => Some("SIGSEGV"),
        143 => Some("SIGTERM"),
        _ => None,
    }
}
