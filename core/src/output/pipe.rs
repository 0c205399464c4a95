//! The `Pipe` custom resource: the record of a stored output, which owns the object with its data.
//!
//! The CRD in the chart is generated from these types (`bootlace crds`); a test fails if they differ.

use std::cmp::Ordering;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use k8s_openapi::jiff::Timestamp;
use kube::CustomResource;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

use super::sidecar_config::ObjectKind;
use crate::crd::{self, READY};
use crate::hash;
use crate::identity::Identity;

/// A stored output of a task: the object that contains it, the task that wrote it, and how long it is kept.
///
/// The store creates Pipes. If a Pipe is deleted, its object is deleted too.
#[derive(CustomResource, JsonSchema, Deserialize, Serialize, Clone, Debug, PartialEq)]
#[kube(
    group = "bootlace.dev",
    version = "v1alpha1",
    kind = "Pipe",
    plural = "pipes",
    category = "bootlace",
    namespaced,
    status = "PipeStatus",
    derive = "PartialEq",
    doc = "A Pipe records a stored output of a task. It owns the ConfigMap or Secret that contains the output.",
    printcolumn = r#"{"name":"Run","type":"string","jsonPath":".spec.producer.run"}"#,
    printcolumn = r#"{"name":"Task","type":"string","jsonPath":".spec.producer.task"}"#,
    printcolumn = r#"{"name":"Key","type":"string","jsonPath":".spec.key"}"#,
    printcolumn = r#"{"name":"Kind","type":"string","jsonPath":".spec.kind"}"#,
    printcolumn = r#"{"name":"Size","type":"integer","jsonPath":".spec.size","description":"Size of the data with the names of its keys, in bytes"}"#,
    printcolumn = r#"{"name":"Ready","type":"string","jsonPath":".status.conditions[?(@.type==\"Ready\")].status","description":"Whether the output is stored, so that later tasks can use it"}"#,
    printcolumn = r#"{"name":"Age","type":"date","jsonPath":".metadata.creationTimestamp"}"#,
    printcolumn = r#"{"name":"Object","type":"string","priority":1,"jsonPath":".spec.object"}"#,
    printcolumn = r#"{"name":"Stored","type":"date","priority":1,"jsonPath":".status.stored"}"#,
    printcolumn = r#"{"name":"Expires","type":"string","priority":1,"jsonPath":".spec.expires"}"#
)]
#[serde(rename_all = "camelCase")]
#[schemars(transform = crd::known_integers)]
#[schemars(extend("x-kubernetes-validations" = [{
    "rule": "self.key == oldSelf.key && self.kind == oldSelf.kind && self.object == oldSelf.object && self.size == oldSelf.size && self.files == oldSelf.files && self.hash == oldSelf.hash",
    "message": "key, kind, object, size, files and hash are immutable, like the object itself: create another Pipe",
}, {
    "rule": "!has(oldSelf.awaited) || (has(self.awaited) && self.awaited == oldSelf.awaited)",
    "message": "awaited is immutable once it is set, because waiting pods reference this name: create another Pipe",
}]))]
pub struct PipeSpec {
    /// Key that later tasks use. Required.
    #[schemars(length(min = 1, max = 253))]
    pub key: String,
    /// Kind of the object: `ConfigMap` or `Secret`. Required.
    pub kind: ObjectKind,
    /// Name of the object, in the namespace of the Pipe. Required.
    #[schemars(length(min = 1, max = 253))]
    pub object: String,
    /// Size of the data of the object with the names of its keys, in bytes. Required.
    pub size: u32,
    /// Names of the files, which are the keys of the data of the object. At most 100.
    #[serde(default)]
    #[schemars(length(max = 100), inner(length(max = 253)))]
    pub files: Vec<String>,
    /// Hash of the data: `sha256:` and 64 hexadecimal digits. Required.
    #[schemars(regex(pattern = "^sha256:[0-9a-f]{64}$"))]
    pub hash: String,
    /// Name of a second object with the same data, if the output is declared as awaited: pods that wait for
    /// the output can reference this name before it exists.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 253))]
    pub awaited: Option<String>,
    /// The task that wrote the output last. If a later attempt writes the same content, only this field
    /// changes. Required.
    pub producer: Producer,
    /// Time at which the Pipe is deleted (RFC 3339), if no object of its run owns it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(extend("format" = "date-time"))]
    pub expires: Option<String>,
}

/// The task that wrote an output, and its pod.
#[derive(JsonSchema, Deserialize, Serialize, Clone, Debug, Default, PartialEq, Eq)]
#[serde(rename_all = "camelCase", default)]
pub struct Producer {
    /// Short name of the scheduler.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub scheduler: Option<String>,
    /// Workflow: a DAG, workflow template or pipeline.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub workflow: Option<String>,
    /// Run of the workflow.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub run: Option<String>,
    /// Task of the workflow.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub task: Option<String>,
    /// Attempt of the task, as the scheduler counts.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub attempt: Option<String>,
    /// Index in a mapped or indexed task.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub map_index: Option<String>,
    /// Name of the pod.
    pub pod: String,
    /// UID of the pod.
    pub pod_uid: String,
    /// Name of the container.
    pub container: String,
}

impl Producer {
    /// A container of a task in a pod.
    #[must_use]
    pub fn new(task: &Identity, pod: &str, pod_uid: &str, container: &str) -> Self {
        // The scheduled time is a property of the run and does not identify the producer.
        let Identity { scheduler, workflow, run, task, attempt, map_index, scheduled_time: _ } = task.clone();
        let (pod, pod_uid, container) = (pod.to_owned(), pod_uid.to_owned(), container.to_owned());
        Self { scheduler, workflow, run, task, attempt, map_index, pod, pod_uid, container }
    }

    /// Whether it belongs to the same run as `task`: compares scheduler, workflow and run exactly, which
    /// labels and names do not allow.
    #[must_use]
    pub fn is_of_run(&self, task: &Identity) -> bool {
        (&self.scheduler, &self.workflow, &self.run) == (&task.scheduler, &task.workflow, &task.run)
    }

    /// Whether it is the same task of the same run, with the same map index. Attempt and pod are ignored.
    #[must_use]
    pub fn is_of_task(&self, other: &Self) -> bool {
        fn exact(one: &Producer) -> ([&Option<String>; 5], &str) {
            let Producer { scheduler, workflow, run, task, map_index, container, .. } = one;
            ([scheduler, workflow, run, task, map_index], container)
        }
        exact(self) == exact(other)
    }

    /// Attempt of the task, if the scheduler counts attempts.
    #[must_use]
    pub fn attempt(&self) -> Option<u64> {
        self.attempt.as_deref()?.parse().ok()
    }
}

/// Status of the Pipe, written by the store.
#[derive(JsonSchema, Deserialize, Serialize, Clone, Debug, Default, PartialEq)]
#[serde(rename_all = "camelCase", default)]
// kstatus considers an object without conditions ready.
#[schemars(extend("default" = {"conditions": [pending()]}))]
pub struct PipeStatus {
    /// Conditions of the Pipe. `Ready`: whether the output is stored, so that later tasks can use it. The
    /// stored data never changes, so `Ready` stays `True` if another attempt writes the same data.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schemars(schema_with = "crd::conditions")]
    pub conditions: Vec<Condition>,
    /// Time at which the output was stored (RFC 3339, in UTC, with microseconds). If it is not set, the
    /// object may not exist, and tasks do not use it.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(extend("format" = "date-time"))]
    pub stored: Option<String>,
    /// State of the second object, if the output is declared as awaited: `Stored`, or `Taken` if it contains
    /// the data of another attempt.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub awaited: Option<AwaitedStatus>,
}

/// The condition of a Pipe without a status.
fn pending() -> Condition {
    let message = "the output is not stored yet".to_owned();
    crd::condition(READY, "Unknown", "Pending", message, &[], Timestamp::UNIX_EPOCH)
}

impl PipeStatus {
    /// The conditions of a stored Pipe. They keep the transition time of `before` if the Pipe was already
    /// stored.
    #[must_use]
    pub fn stored_conditions(record: &PipeSpec, before: Option<&Self>, now: Timestamp) -> Vec<Condition> {
        let before = before.map_or(&[][..], |status| &status.conditions);
        let message = format!("stored as {} {}", record.kind, record.object);
        vec![crd::condition(READY, "True", "Stored", message, before, now)]
    }
}

/// State of the object under the name that pods wait for.
#[derive(JsonSchema, Deserialize, Serialize, Clone, Copy, Debug, PartialEq, Eq)]
pub enum AwaitedStatus {
    /// It contains the data of this Pipe.
    Stored,
    /// It contains different data of an earlier attempt.
    Taken,
}

impl Pipe {
    /// Time at which it was stored; `None` while the object may not exist.
    #[must_use]
    pub fn stored(&self) -> Option<&str> {
        self.status.as_ref()?.stored.as_deref()
    }

    /// Whether tasks can use it: it is stored, and is not being deleted.
    #[must_use]
    pub fn is_there(&self) -> bool {
        self.stored().is_some() && self.metadata.deletion_timestamp.is_none()
    }

    /// State of the object under the name that pods wait for.
    #[must_use]
    pub fn by_name(&self) -> Option<AwaitedStatus> {
        self.status.as_ref()?.awaited
    }

    /// Orders by age. For the same task and map index, a later attempt is newer if the scheduler counts
    /// attempts; otherwise the one that was stored later is newer.
    #[must_use]
    pub fn by_age(&self, other: &Self) -> Ordering {
        let (one, two) = (&self.spec.producer, &other.spec.producer);
        let by_attempt = match (one.attempt(), two.attempt()) {
            (Some(first), Some(second)) if one.is_of_task(two) => first.cmp(&second),
            _ => Ordering::Equal,
        };
        // The store writes all times in one format, whose lexical order is the order of time.
        by_attempt.then_with(|| self.stored().cmp(&other.stored()))
    }
}

/// Value of the label of the Pipes of a run ([`crate::names::LABEL_PIPE_RUN`]): a hash of the exact
/// scheduler, workflow and run, so that runs whose names only differ in characters that labels do not allow
/// are distinguished. Readers still compare the Pipe ([`Producer::is_of_run`]), because anyone who can write
/// Pipes can set labels.
#[must_use]
pub fn run_label(task: &Identity) -> String {
    let mut hash = Sha256::new_with_prefix(b"bootlace run\0");
    for part in [&task.scheduler, &task.workflow, &task.run] {
        hash::add(&mut hash, part.as_deref().map(str::as_bytes));
    }
    hash::hex_prefix(&hash.finalize(), 16)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn run(scheduler: Option<&str>, workflow: Option<&str>, run: Option<&str>) -> Identity {
        let own = |part: Option<&str>| part.map(str::to_owned);
        Identity { scheduler: own(scheduler), workflow: own(workflow), run: own(run), ..Identity::default() }
    }

    fn pipe(task: &str, attempt: Option<&str>, stored: &str) -> Pipe {
        let spec = json!({
            "key": "A", "kind": "Secret", "object": "a", "size": 1, "hash": "", "producer": {
                "task": task, "attempt": attempt, "pod": "p", "podUid": "u", "container": "c",
            },
        });
        serde_json::from_value(json!({"metadata": {"name": "a"}, "spec": spec, "status": {"stored": stored}}))
            .unwrap()
    }

    #[test]
    fn similar_runs_have_different_labels() {
        let labels: Vec<_> = [
            run(None, None, None),
            run(None, None, Some("")),
            run(None, Some("a"), Some("b")),
            run(Some("a"), None, Some("b")),
            run(Some("a"), Some("b"), None),
            run(None, Some("ab"), Some("")),
            run(None, Some("A"), Some("b")),
            run(None, Some("a"), Some("b.")),
        ]
        .iter()
        .map(run_label)
        .collect();
        for (at, label) in labels.iter().enumerate() {
            assert_eq!(label.len(), 32);
            assert!(!labels[..at].contains(label), "{at}");
        }
    }

    #[test]
    fn a_later_attempt_is_newer_however_early_it_was_stored() {
        let (early, late) = ("2026-11-21T10:00:00.000000Z", "2026-11-21T10:00:00.000001Z");
        for (older, newer) in [
            (pipe("t", Some("9"), late), pipe("t", Some("10"), early)),
            (pipe("t", Some("1"), early), pipe("t", Some("1"), late)),
            (pipe("t", None, early), pipe("t", None, late)),
            (pipe("t", Some("x"), early), pipe("t", Some("1"), late)),
            // Attempts of different tasks are not comparable.
            (pipe("t", Some("2"), early), pipe("other", Some("1"), late)),
        ] {
            assert_eq!(older.by_age(&newer), Ordering::Less, "{older:?} {newer:?}");
            assert_eq!(newer.by_age(&older), Ordering::Greater);
        }
    }

    #[test]
    fn what_is_not_stored_or_being_deleted_is_not_there() {
        let mut pipe = pipe("t", None, "2026-11-21T10:00:00.000000Z");
        assert!(pipe.is_there());
        pipe.metadata.deletion_timestamp = serde_json::from_value(json!("2026-11-21T10:00:00Z")).unwrap();
        assert!(!pipe.is_there());
        pipe.metadata.deletion_timestamp = None;
        pipe.status = None;
        assert!(!pipe.is_there());
    }

    #[test]
    fn a_producer_is_its_run_to_the_letter() {
        let task = run(Some("airflow"), Some("etl"), Some("r"));
        let producer = Producer::new(&task, "p", "u", "base");
        assert!(producer.is_of_run(&task));
        assert!(!producer.is_of_run(&run(Some("airflow"), Some("etl"), Some("R"))));
        assert!(!producer.is_of_run(&run(Some("airflow"), Some("etl"), None)));
    }
}
