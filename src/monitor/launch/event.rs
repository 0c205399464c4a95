//! The Event about a pod that the monitor fails. Pure.

use k8s_openapi::api::core::v1::Pod;
use k8s_openapi::api::events::v1::Event;
use k8s_openapi::jiff::Timestamp;
use kube::ResourceExt as _;

use super::verdict::Failure;
use crate::server::pod_event::{EventContent, base_name, prefix};
use bootlace_core::names;

/// Leaves space for the suffix in the name of an object, which can have 253 bytes.
const MAX_BASE_BYTES: usize = 200;

/// The Event. The same failure of a pod has the same name, so that a second replica, or a second attempt,
/// creates no second Event.
#[must_use]
pub fn event(pod: &Pod, failure: &Failure, message: &str, instance: &str, now: Timestamp) -> Event {
    let (namespace, name) = (pod.namespace().unwrap_or_default(), pod.name_any());
    let uid = pod.uid().unwrap_or_default();
    let base = base_name(&name, MAX_BASE_BYTES);
    let event = format!("{base}.{uid}.{}", failure.reason().to_lowercase());
    EventContent {
        namespace: &namespace,
        pod: &name,
        uid: &uid,
        name: prefix(&event, 253).to_owned(),
        type_: "Warning",
        reason: failure.reason(),
        action: "Fail",
        note: message.to_owned(),
        field_path: None,
        controller: names::EVENT_CONTROLLER_MONITOR,
        instance,
    }
    .at(now)
}
