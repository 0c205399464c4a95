//! The Events about boot, wait, outputs and hooks. They are recorded on the pod, where `kubectl describe`,
//! Airflow and others show them. Pure functions.

use k8s_openapi::api::core::v1::Pod;
use k8s_openapi::api::events::v1::Event;
use k8s_openapi::jiff::Timestamp;
use parking_lot::Mutex;
use sha2::{Digest as _, Sha256};

use super::authorize;
use super::caller::PodIdentity;
use super::newest::Newest;
use crate::server::pod_event::{self, EventContent};
use crate::store_client::protocol::{EventKind, EventRequest, MAX_NOTE_BYTES};
use crate::text;
use bootlace_core::code::truncate;
use bootlace_core::names;

/// Leaves space for the hash in the name of an object, which can have 253 bytes.
const MAX_BASE_BYTES: usize = 230;
/// Later boots of a pod share the Event of this boot, so that a task that never boots successfully creates
/// few Events.
const MAX_BOOTS: u32 = 7;

impl EventKind {
    /// The reason of the Event.
    #[must_use]
    pub fn reason(self) -> &'static str {
        match self {
            Self::Booted => "Booted",
            Self::Failed => "BootFailed",
            Self::OutputsNotStored => "OutputsNotStored",
            Self::WaitFailed => "WaitFailed",
            Self::Aborted => "Aborted",
            Self::AbortFailed => "AbortFailed",
            Self::HookFailed => "HookFailed",
        }
    }

    fn kind(self) -> &'static str {
        match self {
            Self::Booted | Self::Aborted => "Normal",
            Self::Failed
            | Self::OutputsNotStored
            | Self::WaitFailed
            | Self::AbortFailed
            | Self::HookFailed => "Warning",
        }
    }

    /// The action, the container that performed it, and the reporting controller.
    fn action(self) -> (&'static str, &'static str, &'static str) {
        match self {
            Self::Booted | Self::Failed => ("Boot", names::CONTAINER_BOOT, names::EVENT_CONTROLLER),
            Self::OutputsNotStored => ("StoreOutputs", names::CONTAINER_PIPE, names::EVENT_CONTROLLER_PIPE),
            Self::WaitFailed => ("Wait", names::CONTAINER_WAIT, names::EVENT_CONTROLLER_WAIT),
            Self::Aborted | Self::AbortFailed => {
                ("Abort", names::CONTAINER_PIPE, names::EVENT_CONTROLLER_HOOKS)
            }
            Self::HookFailed => ("RunHooks", names::CONTAINER_PIPE, names::EVENT_CONTROLLER_HOOKS),
        }
    }
}

/// How many different notes of a pod and outcome one replica of the store records.
const MAX_NOTES: usize = 16;
/// The notes of this many pods are remembered, those of the newest.
const MAX_PODS: usize = 4096;

/// Remembers which notes pods have sent, and limits the Events of each pod to [`MAX_NOTES`] per replica and
/// outcome.
#[derive(Debug, Default)]
pub struct EventQuota {
    /// Hashes of the notes of a pod and an outcome.
    sent: Mutex<Newest<(String, &'static str), Vec<u64>, MAX_PODS>>,
}

impl EventQuota {
    /// Whether the store may record an Event for the report.
    #[must_use]
    pub fn may_send(&self, report: &EventRequest, id: &PodIdentity) -> bool {
        let EventRequest { outcome, note } = report;
        if matches!(outcome, EventKind::Booted | EventKind::Failed) {
            // [`MAX_BOOTS`] limits these.
            return true;
        }
        let mut sent = self.sent.lock();
        let (key, hash) = ((id.uid.clone(), outcome.reason()), note_hash(note));
        if let Some(notes) = sent.get_mut(&key) {
            if notes.contains(&hash) {
                return true;
            }
            let has_room = notes.len() < MAX_NOTES;
            if has_room {
                notes.push(hash);
            }
            return has_room;
        }
        sent.add(key, vec![hash]);
        true
    }
}

/// The Event of a report. The same boot and outcome have the same name, so that a report that is sent twice
/// is recorded once.
#[must_use]
pub fn event(report: &EventRequest, id: &PodIdentity, pod: &Pod, now: Timestamp) -> Event {
    let EventRequest { outcome, note } = report;
    let (action, container, controller) = outcome.action();
    let discriminator = match outcome {
        EventKind::Booted | EventKind::Failed => authorize::earlier_boots(pod).min(MAX_BOOTS).into(),
        _ => note_hash(note),
    };
    EventContent {
        namespace: &id.namespace,
        pod: &id.name,
        uid: &id.uid,
        name: name(*outcome, id, discriminator),
        type_: outcome.kind(),
        reason: outcome.reason(),
        action,
        // A code at its end is kept.
        note: text::one_line(&truncate(note, MAX_NOTE_BYTES)),
        field_path: Some(format!("spec.initContainers{{{container}}}")),
        controller,
        instance: &id.name,
    }
    .at(now)
}

/// Selects the Event of a note. Equal notes have the same Event, in all replicas.
fn note_hash(note: &str) -> u64 {
    Sha256::digest(note).iter().take(8).fold(0, |hash, byte| hash << 8 | u64::from(*byte))
}

fn name(outcome: EventKind, id: &PodIdentity, discriminator: u64) -> String {
    let hash = Sha256::new()
        .chain_update(id.uid.as_bytes())
        .chain_update(outcome.reason())
        .chain_update(discriminator.to_be_bytes())
        .finalize();
    let base = pod_event::base_name(&id.name, MAX_BASE_BYTES);
    format!("{base}.{}", hex::encode(hash.split_at(8).0))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn id(name: &str) -> PodIdentity {
        PodIdentity { namespace: "etl".to_owned(), name: name.to_owned(), uid: "u-1".to_owned() }
    }

    fn report(outcome: EventKind, note: &str) -> EventRequest {
        EventRequest { outcome, note: note.to_owned() }
    }

    fn after(boots: i32) -> Pod {
        let boot = json!({"name": "bootlace-boot", "restartCount": boots});
        serde_json::from_value(json!({"status": {"initContainerStatuses": [boot]}})).unwrap()
    }

    #[test]
    fn a_failure_is_a_warning_on_the_pod_in_one_line() {
        let failure = |note: &str| {
            event(&report(EventKind::Failed, note), &id("load"), &after(0), Timestamp::UNIX_EPOCH)
        };
        let event = failure(&format!("bootlace: no\nsuch {}", "ü".repeat(600)));
        assert_eq!((event.type_.as_deref(), event.reason.as_deref()), (Some("Warning"), Some("BootFailed")));
        let note = event.note.unwrap();
        assert!(note.starts_with("bootlace: no such ü") && note.len() <= MAX_NOTE_BYTES, "{note}");
        let note = failure(&format!("{} [BL4101]", "ü".repeat(600))).note.unwrap();
        assert!(note.ends_with("ü… [BL4101]") && note.len() <= MAX_NOTE_BYTES, "{note}");
        let regarding = event.regarding.unwrap();
        assert_eq!((regarding.kind.as_deref(), regarding.uid.as_deref()), (Some("Pod"), Some("u-1")));
    }

    #[test]
    fn a_report_that_is_sent_twice_is_one_event_and_the_events_of_a_pod_are_limited() {
        let name = |outcome, boots| {
            event(&report(outcome, "x"), &id("load"), &after(boots), Timestamp::now()).metadata.name.unwrap()
        };
        assert_eq!(name(EventKind::Failed, 0), name(EventKind::Failed, 0));
        assert_ne!(name(EventKind::Failed, 0), name(EventKind::Booted, 0));
        let names: std::collections::BTreeSet<_> =
            (0..1000).map(|boots| name(EventKind::Failed, boots)).collect();
        assert_eq!(names.len(), 8);
    }

    #[test]
    fn outputs_that_are_not_stored_are_a_warning_of_the_sidecar() {
        let event = |note: &str| {
            event(&report(EventKind::OutputsNotStored, note), &id("load"), &after(0), Timestamp::now())
        };
        let warning = event("container base: output A: no");
        assert_eq!(
            (warning.type_.as_deref(), warning.reason.as_deref()),
            (Some("Warning"), Some("OutputsNotStored"))
        );
        assert_eq!(warning.regarding.unwrap().field_path.unwrap(), "spec.initContainers{bootlace-pipe}");
        assert_eq!(event("a").metadata.name, event("a").metadata.name);
        let names: std::collections::BTreeSet<_> =
            (0..100).map(|number| event(&format!("note {number}")).metadata.name.unwrap()).collect();
        assert_eq!(names.len(), 100);
    }

    #[test]
    fn a_pod_that_sends_many_different_notes_has_few_events() {
        let quota = EventQuota::default();
        for outcome in [EventKind::OutputsNotStored, EventKind::WaitFailed] {
            let sent = |pod: &str, number: usize| {
                let id = PodIdentity { uid: pod.to_owned(), ..id(pod) };
                quota.may_send(&report(outcome, &format!("note {number}")), &id)
            };
            assert_eq!((0..1000).filter(|number| sent("one", *number)).count(), MAX_NOTES);
            // An equal note has the same Event, and each pod has its own limit.
            assert!(sent("one", 0) && !sent("one", 2000) && sent("other", 2000));
            assert_eq!((0..10_000).filter(|pod| sent(&format!("many {pod}"), 0)).count(), 10_000);
        }
        assert!(quota.sent.lock().len() <= MAX_PODS);
    }

    #[test]
    fn the_event_of_a_pod_with_a_long_name_has_a_valid_name() {
        let long = format!("{}.{}", "a".repeat(229), "b".repeat(23));
        let event = event(&report(EventKind::Booted, ""), &id(&long), &after(0), Timestamp::now());
        let name = event.metadata.name.unwrap();
        assert!(name.len() <= 253 && !name.contains(".."), "{name}");
        assert_eq!(event.reporting_instance.unwrap().len(), 128);
    }
}
