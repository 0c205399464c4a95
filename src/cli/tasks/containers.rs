//! The state of a task whose pod has a node, from the statuses of its containers, in the order in which the
//! kubelet starts them.

use k8s_openapi::api::core::v1::{ContainerStateTerminated, ContainerStatus, Pod, PodStatus};

use super::failure::describe_end;
use super::injected::Injected;
use super::state::{Phase, State};
use super::status::{reason_and_message, terminated};
use crate::pod_status::is_sidecar;
use bootlace_core::names;

/// The reasons of a container that waits for others, or for the kubelet.
const HARMLESS: [&str; 2] = ["PodInitializing", "ContainerCreating"];
const CRASH_LOOP: &str = "CrashLoopBackOff";

/// The state of a pod that has not ended.
pub(super) fn state(pod: &Pod, status: &PodStatus, injected: &Injected) -> State {
    let spec = pod.spec.as_ref();
    let apps = spec.map(|spec| spec.containers.as_slice()).unwrap_or_default();
    let app_statuses: Vec<_> = status.container_statuses.iter().flatten().collect();
    // A native sidecar that restarts later does not make the pod boot again.
    let has_started = app_statuses.iter().any(|status| started(status));
    if !has_started && let Some(state) = init_state(pod, status, injected) {
        return state;
    }
    let is_task = |name: &str| injected.containers.iter().any(|task| task == name);
    let tasks: Vec<_> = app_statuses.iter().copied().filter(|status| is_task(&status.name)).collect();
    let tasks = if tasks.is_empty() { app_statuses.clone() } else { tasks };
    if tasks.is_empty() {
        return State::needing_events(Phase::Starting);
    }
    let is_single = apps.len() == 1;
    if let Some(problem) = tasks.iter().find_map(|status| problem(status, is_single)) {
        return State::new(Phase::Starting, Some(problem));
    }
    if tasks.iter().any(|status| is_waiting(status)) {
        return State::needing_events(Phase::Starting);
    }
    let failure = tasks.iter().find_map(|status| failed(status, is_single));
    if let Some(running) = tasks.iter().find(|status| is_running(status)) {
        return State::new(Phase::Running, failure.or_else(|| restarts(running)));
    }
    ended(status, &app_statuses, failure)
}

/// The state while the init containers run; `None` if all of them have done their work.
fn init_state(pod: &Pod, status: &PodStatus, injected: &Injected) -> Option<State> {
    let specs = pod.spec.iter().filter_map(|spec| spec.init_containers.as_ref()).flatten();
    let statuses = status.init_container_statuses.as_deref().unwrap_or_default();
    for spec in specs {
        let is_sidecar = is_sidecar(spec);
        let Some(status) = statuses.iter().find(|status| status.name == spec.name) else {
            return Some(State::needing_events(Phase::Starting));
        };
        let is_done = if is_sidecar {
            status.started == Some(true)
        } else {
            terminated(status.state.as_ref()).is_some_and(|end| end.exit_code == 0)
        };
        if !is_done {
            return Some(init_container(status, is_sidecar, injected));
        }
    }
    None
}

/// The state of a pod whose init container `status` has not done its work.
fn init_container(status: &ContainerStatus, is_sidecar: bool, injected: &Injected) -> State {
    let name = status.name.as_str();
    let phase = match name {
        names::CONTAINER_WAIT | names::CONTAINER_VOLUME_WAIT => Phase::Waiting,
        names::CONTAINER_BOOT | names::CONTAINER_INSTALL | names::CONTAINER_INIT => Phase::Booting,
        _ if injected.containers.iter().any(|task| task == name) => Phase::Running,
        _ => Phase::Starting,
    };
    if is_running(status) {
        let reason = match phase {
            Phase::Waiting => inputs(injected),
            Phase::Starting if is_sidecar => Some(format!("sidecar {name} is not ready")),
            Phase::Starting => Some(format!("init container {name} runs")),
            _ => restarts(status),
        };
        return State::new(phase, reason);
    }
    let is_own = names::is_own_container(name);
    let again = || Some(format!("{}, and will start again", failed(status, is_own)?));
    match problem(status, is_own).or_else(again) {
        // The container itself has not started: nothing boots or waits yet.
        Some(problem) if last_end(status).is_none() => State::new(Phase::Starting, Some(problem)),
        Some(problem) => State::new(phase, Some(problem)),
        None => State::needing_events(Phase::Starting),
    }
}

/// The keys that the pod waits for.
fn inputs(injected: &Injected) -> Option<String> {
    let keys: Vec<_> = injected.awaits.iter().map(|awaited| awaited.key.as_str()).collect();
    (!keys.is_empty()).then(|| keys.join(", "))
}

/// The state of a pod whose tasks have ended.
fn ended(status: &PodStatus, apps: &[&ContainerStatus], failure: Option<String>) -> State {
    let init = status.init_container_statuses.iter().flatten();
    let mut sidecars = init.filter(|status| is_running(status));
    if sidecars.any(|sidecar| sidecar.name == names::CONTAINER_PIPE) {
        return State::new(Phase::Storing, failure);
    }
    let others: Vec<_> =
        apps.iter().filter(|status| is_running(status)).map(|status| status.name.as_str()).collect();
    let end = failure.unwrap_or_else(|| "the task has ended".to_owned());
    let reason = match others.as_slice() {
        [] => end,
        names => format!("{end}, and the pod waits for {}", names.join(", ")),
    };
    State::new(Phase::Running, Some(reason))
}

/// Why a container does not start, if someone has to do something about it.
fn problem(status: &ContainerStatus, is_single: bool) -> Option<String> {
    let waiting = status.state.as_ref()?.waiting.as_ref()?;
    let reason = waiting.reason.as_deref().unwrap_or_default();
    if reason == CRASH_LOOP {
        let end = last_end(status).map(describe_end).unwrap_or_default();
        return Some(format!("{}failed and will start again: {end}", prefix(status, is_single)));
    }
    if reason.is_empty() || HARMLESS.contains(&reason) {
        return None;
    }
    let reason = reason_and_message(Some(reason), waiting.message.as_deref())?;
    Some(if is_single { reason } else { format!("container {}: {reason}", status.name) })
}

/// How a container has failed, if it has.
fn failed(status: &ContainerStatus, is_single: bool) -> Option<String> {
    let end = terminated(status.state.as_ref()).filter(|end| end.exit_code != 0)?;
    Some(format!("{}failed: {}", prefix(status, is_single), describe_end(end)))
}

/// The container, where the pod has others.
fn prefix(status: &ContainerStatus, is_single: bool) -> String {
    if is_single { String::new() } else { format!("container {} ", status.name) }
}

/// How often a running container has started before, and how it ended.
fn restarts(status: &ContainerStatus) -> Option<String> {
    let count = status.restart_count;
    let times = if count == 1 { "once".to_owned() } else { format!("{count} times") };
    let end = last_end(status).map(|end| format!(", last after {}", describe_end(end))).unwrap_or_default();
    (count > 0).then(|| format!("restarted {times}{end}"))
}

/// The newest end of a container.
fn last_end(status: &ContainerStatus) -> Option<&ContainerStateTerminated> {
    terminated(status.state.as_ref()).or_else(|| terminated(status.last_state.as_ref()))
}

fn is_running(status: &ContainerStatus) -> bool {
    status.state.as_ref().is_some_and(|state| state.running.is_some())
}

fn is_waiting(status: &ContainerStatus) -> bool {
    !is_running(status) && terminated(status.state.as_ref()).is_none()
}

/// Whether a container has run at least once.
fn started(status: &ContainerStatus) -> bool {
    is_running(status) || last_end(status).is_some()
}
