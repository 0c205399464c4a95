//! Events about pods, which `kubectl describe` and schedulers show.

use k8s_openapi::api::core::v1::ObjectReference;
use k8s_openapi::api::events::v1::Event;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::MicroTime;
use k8s_openapi::jiff::Timestamp;
use kube::api::ObjectMeta;

use bootlace_core::names;

/// The API server accepts up to 128 bytes in `reportingInstance`.
const MAX_INSTANCE_BYTES: usize = 128;

/// What an Event about a pod contains.
pub(crate) struct EventContent<'a> {
    pub(crate) namespace: &'a str,
    pub(crate) pod: &'a str,
    pub(crate) uid: &'a str,
    /// Name of the Event, of at most 253 bytes; see [`base_name`].
    pub(crate) name: String,
    /// `Normal` or `Warning`.
    pub(crate) type_: &'static str,
    pub(crate) reason: &'static str,
    pub(crate) action: &'static str,
    /// At most 1 KiB.
    pub(crate) note: String,
    /// The part of the pod.
    pub(crate) field_path: Option<String>,
    pub(crate) controller: &'static str,
    /// What acted; shortened.
    pub(crate) instance: &'a str,
}

impl EventContent<'_> {
    /// The Event, which happened at `now`.
    pub(crate) fn at(self, now: Timestamp) -> Event {
        let namespace = self.namespace.to_owned();
        Event {
            metadata: ObjectMeta {
                name: Some(self.name),
                namespace: Some(namespace.clone()),
                labels: Some([(names::LABEL_MANAGED_BY.to_owned(), names::MANAGED_BY.to_owned())].into()),
                ..ObjectMeta::default()
            },
            type_: Some(self.type_.to_owned()),
            reason: Some(self.reason.to_owned()),
            action: Some(self.action.to_owned()),
            note: Some(self.note),
            regarding: Some(ObjectReference {
                api_version: Some("v1".to_owned()),
                kind: Some("Pod".to_owned()),
                namespace: Some(namespace),
                name: Some(self.pod.to_owned()),
                uid: Some(self.uid.to_owned()),
                field_path: self.field_path,
                ..ObjectReference::default()
            }),
            reporting_controller: Some(self.controller.to_owned()),
            reporting_instance: Some(prefix(self.instance, MAX_INSTANCE_BYTES).to_owned()),
            event_time: Some(MicroTime(now)),
            ..Event::default()
        }
    }
}

/// The start of the name of an Event: the name of the pod, shortened to `bytes`. A dot can follow it.
pub(crate) fn base_name(pod: &str, bytes: usize) -> &str {
    prefix(pod, bytes).trim_end_matches(['.', '-'])
}

/// The first bytes of a text, without a part of a character.
pub(crate) fn prefix(text: &str, bytes: usize) -> &str {
    text.get(..text.floor_char_boundary(bytes)).unwrap_or(text)
}
