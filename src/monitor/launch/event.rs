//! The Event about a pod that the monitor fails. Pure.

use k8s_openapi::api::core::v1::{ObjectReference, Pod};
use k8s_openapi::api::events::v1::Event;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::MicroTime;
use k8s_openapi::jiff::Timestamp;
use kube::ResourceExt as _;
use kube::api::ObjectMeta;

use super::verdict::Failure;
use bootlace_core::names;

/// Maximum bytes of `reportingInstance`.
const MAX_INSTANCE_BYTES: usize = 128;
/// Leaves space for the suffix in the name of an object, which can have 253 bytes.
const MAX_BASE_BYTES: usize = 200;

/// The Event. The same failure of a pod has the same name, so that a second replica, or a second attempt,
/// creates no second Event.
#[must_use]
pub fn event(pod: &Pod, failure: &Failure, message: &str, instance: &str, now: Timestamp) -> Event {
    let (name, uid) = (pod.name_any(), pod.uid().unwrap_or_default());
    let base = prefix(&name, MAX_BASE_BYTES).trim_end_matches(['.', '-']);
    let object_name = format!("{base}.{uid}.{}", failure.reason().to_lowercase());
    Event {
        metadata: ObjectMeta {
            name: Some(prefix(&object_name, 253).to_owned()),
            namespace: pod.namespace(),
            labels: Some([(names::LABEL_MANAGED_BY.to_owned(), names::MANAGED_BY.to_owned())].into()),
            ..ObjectMeta::default()
        },
        type_: Some("Warning".to_owned()),
        reason: Some(failure.reason().to_owned()),
        action: Some("Fail".to_owned()),
        note: Some(message.to_owned()),
        regarding: Some(ObjectReference {
            api_version: Some("v1".to_owned()),
            kind: Some("Pod".to_owned()),
            namespace: pod.namespace(),
            name: Some(name),
            uid: Some(uid),
            ..ObjectReference::default()
        }),
        reporting_controller: Some(names::EVENT_CONTROLLER_MONITOR.to_owned()),
        reporting_instance: Some(prefix(instance, MAX_INSTANCE_BYTES).to_owned()),
        event_time: Some(MicroTime(now)),
        ..Event::default()
    }
}

fn prefix(text: &str, bytes: usize) -> &str {
    text.get(..text.floor_char_boundary(bytes)).unwrap_or(text)
}
