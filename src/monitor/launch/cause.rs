//! Why a pod has not started or has failed, as a message, as the scheduler, the kubelet or the container
//! gave it. Pure.

use k8s_openapi::api::core::v1::{ContainerStateTerminated, Event, Pod};

use super::containers::{ContainerView, Kind, containers};
use super::settings::Settings;
use super::verdict::{Failure, scheduled, tasks};
use crate::pod_status::event_time;
use crate::text;
use bootlace_core::code::truncate;
use bootlace_core::names;

/// Maximum bytes of a part of a message that comes from another program.
pub(super) const MAX_PART_BYTES: usize = 500;
/// Maximum bytes of the whole message, without its code. An Event accepts 1 KiB.
const MAX_MESSAGE_BYTES: usize = 980;
/// Maximum number of outputs that a message names.
const MAX_OUTPUTS: usize = 3;

/// The message of a failure, with its code: what did not happen in which time, the setting, and the cause.
/// `events` are those of the pod.
#[must_use]
pub fn message(failure: &Failure, pod: &Pod, settings: &Settings, events: &[Event]) -> String {
    let profile = &settings.profile;
    let text = match failure {
        Failure::Schedule { seconds } => format!(
            "the pod has no node after {seconds} s (launch.scheduleSeconds of BootProfile {profile:?}): {}",
            unscheduled(pod)
        ),
        Failure::Start { seconds } => format!(
            "the task has not started {seconds} s after the pod got a node (launch.startSeconds of BootProfile \
             {profile:?}): {}",
            not_started(pod, settings, events)
        ),
        Failure::Sidecar { container } => format!(
            "{} while the task has not ended (onSidecarFailure of BootProfile {profile:?})",
            containers(pod).find(|found| found.name == container).map_or_else(
                || format!("container {container:?} has failed"),
                |found| format!("{} {:?} has failed: {}", found.kind.noun(), found.name, state(&found))
            )
        ),
    };
    failure.code().append_to(&text::one_line(&text), MAX_MESSAGE_BYTES)
}

/// Why the scheduler has found no node.
fn unscheduled(pod: &Pod) -> String {
    let condition = scheduled(pod).filter(|condition| condition.status != "True");
    let text = |text: Option<&str>| text.filter(|text| !text.is_empty()).map(part);
    let found = condition.and_then(|condition| {
        text(condition.message.as_deref()).or_else(|| text(condition.reason.as_deref()))
    });
    found.unwrap_or_else(|| {
        let scheduler = pod.spec.as_ref().and_then(|spec| spec.scheduler_name.as_deref());
        format!("the scheduler {:?} has not tried to find one", scheduler.unwrap_or("default-scheduler"))
    })
}

/// Why the tasks have not started: the first container that the others wait for, or the first task.
fn not_started(pod: &Pod, settings: &Settings, events: &[Event]) -> String {
    let init = containers(pod).find(|found| found.kind != Kind::Regular && !found.lets_others_start());
    let Some(container) = init.or_else(|| tasks(pod, settings).find(|task| !task.has_started())) else {
        return "the kubelet has reported no container".to_owned();
    };
    if is_unexplained(&container) {
        let sandbox = newest_warning(events).map(|event| {
            let (reason, message) = (event.reason.as_deref(), event.message.as_deref());
            format!("{}: {}", reason.unwrap_or("Warning"), part(message.unwrap_or_default()))
        });
        return sandbox.unwrap_or_else(|| describe(&container, settings));
    }
    describe(&container, settings)
}

/// Whether the state of a container does not say why it has not started. The kubelet reports problems of
/// volumes and of the network in Events only.
fn is_unexplained(container: &ContainerView<'_>) -> bool {
    let Some(state) = container.state() else { return true };
    let reason = state.waiting.as_ref().map(|waiting| waiting.reason.as_deref().unwrap_or_default());
    reason.is_some_and(|reason| ["", "PodInitializing", "ContainerCreating"].contains(&reason))
}

fn describe(container: &ContainerView<'_>, settings: &Settings) -> String {
    let is_running = container.state().is_some_and(|state| state.running.is_some());
    match container.name {
        names::CONTAINER_WAIT if is_running => format!("the pod still waits for {}", awaited(settings)),
        names::CONTAINER_BOOT if is_running => "bootlace-boot still fetches the sources".to_owned(),
        name => format!("{} {name:?}: {}", container.kind.noun(), state(container)),
    }
}

/// The outputs that the pod waits for.
fn awaited(settings: &Settings) -> String {
    let keys: Vec<_> = settings
        .awaits
        .iter()
        .take(MAX_OUTPUTS)
        .map(|awaits| format!("output {}", part(&awaits.key)))
        .collect();
    let more = settings.awaits.len().saturating_sub(MAX_OUTPUTS);
    match (keys.is_empty(), more) {
        (true, _) => "an output of an earlier task".to_owned(),
        (false, 0) => keys.join(" and "),
        (false, more) => format!("{} and {more} more", keys.join(", ")),
    }
}

/// The state of a container as text.
fn state(container: &ContainerView<'_>) -> String {
    let Some(state) = container.state() else { return "not created yet".to_owned() };
    if let Some(waiting) = &state.waiting {
        let reason = waiting.reason.as_deref().filter(|reason| !reason.is_empty()).unwrap_or("waiting");
        let message = waiting.message.as_deref().filter(|message| !message.is_empty());
        let mut text = part(reason);
        if let Some(message) = message {
            text += ": ";
            text += &part(message);
        }
        let last = container.status.and_then(|status| status.last_state.as_ref());
        if let Some(end) = last.and_then(|last| last.terminated.as_ref()) {
            text += "; before, it ";
            text += &ended(container.name, end);
        }
        return text;
    }
    if let Some(end) = &state.terminated {
        return ended(container.name, end);
    }
    let waits_for_probe = container.kind == Kind::Sidecar && !container.lets_others_start();
    if waits_for_probe { "running, but its startupProbe has not succeeded" } else { "still running" }
        .to_owned()
}

/// How a container ended. The termination message of a task can contain secrets; those of Bootlace's own
/// containers do not.
fn ended(name: &str, end: &ContainerStateTerminated) -> String {
    let message =
        end.message.as_deref().filter(|message| !message.is_empty() && names::is_own_container(name));
    let reason = end.reason.as_deref().filter(|reason| !["", "Error", "Completed"].contains(reason));
    let detail = message.or(reason).map(|detail| format!(" ({})", part(detail.trim()))).unwrap_or_default();
    format!("exited with code {}{detail}", end.exit_code)
}

/// The newest warning of other programs. Of two in the same second, such as those of the kubelet about an
/// image, the longer one has more details.
fn newest_warning(events: &[Event]) -> Option<&Event> {
    let warnings = events.iter().filter(|event| {
        event.type_.as_deref() == Some("Warning")
            && event.reporting_component.as_deref() != Some(names::EVENT_CONTROLLER_MONITOR)
    });
    warnings.max_by_key(|event| (event_time(event), event.message.as_ref().map_or(0, String::len)))
}

/// A text of another program, shortened.
pub(super) fn part(text: &str) -> String {
    truncate(text.trim(), MAX_PART_BYTES).into_owned()
}
