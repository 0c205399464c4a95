//! Parts of pods and of their Events, as the API has them.

use k8s_openapi::api::core::v1::{Container, Event, PodCondition, PodStatus};
use k8s_openapi::jiff::Timestamp;

/// Whether an init container is a native sidecar.
pub(crate) fn is_sidecar(container: &Container) -> bool {
    container.restart_policy.as_deref() == Some("Always")
}

/// The condition of this type.
pub(crate) fn condition<'s>(status: &'s PodStatus, type_: &str) -> Option<&'s PodCondition> {
    status.conditions.iter().flatten().find(|condition| condition.type_ == type_)
}

/// When an Event happened last.
pub(crate) fn event_time(event: &Event) -> Option<Timestamp> {
    let series = event.series.as_ref().and_then(|series| series.last_observed_time.as_ref());
    let last = event.last_timestamp.as_ref().map(|time| time.0);
    let created = event.metadata.creation_timestamp.as_ref().map(|time| time.0);
    series.map(|time| time.0).or(last).or(event.event_time.as_ref().map(|time| time.0)).or(created)
}
