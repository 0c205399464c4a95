//! Variables of templates, and where their values come from.

use std::collections::BTreeMap;
use std::sync::{Arc, PoisonError};

use minijinja::Value;
use minijinja::value::Object;

use super::{Missed, MissedName, MissedVariable, UsedMaps};
use crate::identity::spec::IdentityField;
use crate::identity::{self, Scheduler};
use crate::names;
use crate::pod::{Container, Pod, Strings};

/// The variables of a pod. An empty value counts as undefined: a path with an empty component is worse than a
/// refusal.
///
/// | variable | value |
/// |---|---|
/// | `scheduler`, `workflow`, `run`, `task`, `attempt`, `mapIndex`, `scheduledTime` | identity of the task, see [`crate::identity`] |
/// | `namespace` | namespace of the pod |
/// | `pod` | name of the pod; undefined if the API server generates it from `generateName` after admission |
/// | `labels["…"]`, `annotations["…"]` | labels and annotations of the pod |
/// | `env.NAME` | variable of the task container whose value is in the spec, with `$(NAME)` of earlier variables resolved |
#[derive(Debug)]
pub struct Context {
    root: Arc<Root>,
}

#[derive(Debug, Clone)]
struct Root {
    plain: Arc<BTreeMap<&'static str, String>>,
    /// The scheduler that created the pod, if it is known, for messages.
    scheduler: Option<Arc<Scheduler>>,
    /// Whether the pod has a run annotation.
    has_run_annotation: bool,
    labels: Arc<Map>,
    annotations: Arc<Map>,
    env: Arc<Map>,
    missed: Missed,
}

/// Labels, annotations or env.
#[derive(Debug)]
struct Map {
    name: &'static str,
    /// Where the values come from, for messages.
    place: String,
    values: BTreeMap<String, String>,
    /// Why a value is unknown at admission, by name.
    unknown: BTreeMap<String, String>,
    missed: Missed,
}

impl Context {
    /// The variables of `pod`, which `scheduler` creates in `namespace`. `container` runs the task.
    #[must_use]
    pub fn new(
        pod: &Pod<'_>,
        namespace: &str,
        container: Option<&Container<'_>>,
        scheduler: Option<&Arc<Scheduler>>,
    ) -> Self {
        Self::reading(UsedMaps::ALL, pod, namespace, container, scheduler)
    }

    /// Like [`new`](Self::new), for templates that only read the maps in `used`.
    #[must_use]
    pub fn reading(
        used: UsedMaps,
        pod: &Pod<'_>,
        namespace: &str,
        container: Option<&Container<'_>>,
        scheduler: Option<&Arc<Scheduler>>,
    ) -> Self {
        let missed = Missed::default();
        let identity = identity::identify(pod, scheduler);
        let identity_is_joined = identity.is_joined();
        let plain = [
            ("scheduler", identity.scheduler),
            ("workflow", identity.workflow),
            ("run", identity.run),
            ("task", identity.task),
            ("attempt", identity.attempt),
            ("mapIndex", identity.map_index),
            ("scheduledTime", identity.scheduled_time),
            ("namespace", Some(namespace.to_owned())),
            ("pod", pod.name.map(str::to_owned)),
        ];
        let (place, values, unknown) = env(container.filter(|_| used.env));
        let read = |is_used, strings| if is_used { owned(strings) } else { BTreeMap::new() };
        Self {
            root: Arc::new(Root {
                plain: Arc::new(plain.into_iter().filter_map(|(name, value)| Some((name, value?))).collect()),
                scheduler: scheduler.cloned(),
                has_run_annotation: identity_is_joined,
                labels: Map::of_metadata("labels", read(used.labels, pod.labels), &missed),
                annotations: Map::of_metadata(
                    "annotations",
                    read(used.annotations, pod.annotations),
                    &missed,
                ),
                env: Arc::new(Map { name: "env", place, values, unknown, missed: Arc::clone(&missed) }),
                missed,
            }),
        }
    }

    /// Variables with these values, for templates that are not rendered for a pod at admission. `scheduler`
    /// created the pod, if it is known, and `is_joined` is whether the run comes from an annotation.
    #[must_use]
    pub fn of_values(
        values: BTreeMap<&'static str, String>,
        is_joined: bool,
        scheduler: Option<&Arc<Scheduler>>,
    ) -> Self {
        let missed = Missed::default();
        let empty = |name| Map::of_metadata(name, BTreeMap::new(), &missed);
        Self {
            root: Arc::new(Root {
                plain: Arc::new(values),
                scheduler: scheduler.cloned(),
                has_run_annotation: is_joined,
                labels: empty("labels"),
                annotations: empty("annotations"),
                env: empty("env"),
                missed: Arc::clone(&missed),
            }),
        }
    }

    /// The same variables, with the labels and annotations that the pod has after a change; `None` if they
    /// have not changed.
    #[must_use]
    pub fn with_metadata(&self, labels: Option<Strings<'_>>, annotations: Option<Strings<'_>>) -> Self {
        let mut root = Root::clone(&self.root);
        let changed = |name, strings| Map::of_metadata(name, owned(strings), &self.root.missed);
        if let Some(labels) = labels {
            root.labels = changed("labels", labels);
        }
        if let Some(annotations) = annotations {
            root.annotations = changed("annotations", annotations);
        }
        Self { root: Arc::new(root) }
    }

    pub(super) fn root(&self) -> Value {
        Value::from_dyn_object(Arc::clone(&self.root))
    }

    /// The last variable that had no value.
    pub(super) fn missed(&self) -> Option<MissedVariable> {
        let MissedName { map, name } =
            self.root.missed.lock().unwrap_or_else(PoisonError::into_inner).take()?;
        Some(match map {
            None => self.root.missed_variable(&name),
            Some(map) => self.root.map(map)?.missed_variable(&name),
        })
    }
}

fn owned(strings: Strings<'_>) -> BTreeMap<String, String> {
    strings.iter().map(|(name, value)| (name.to_owned(), value.to_owned())).collect()
}

impl Map {
    /// The labels or annotations of a pod.
    fn of_metadata(name: &'static str, values: BTreeMap<String, String>, missed: &Missed) -> Arc<Self> {
        let (place, unknown) = (format!("metadata.{name}"), BTreeMap::new());
        Arc::new(Self { name, place, values, unknown, missed: Arc::clone(missed) })
    }

    /// The value of `key`, which is missing or empty.
    fn missed_variable(&self, key: &str) -> MissedVariable {
        let (reason, remedy) = match self.unknown.get(key) {
            Some(reason) => (
                format!("its value is only known when the container starts, because {reason}"),
                "set the value directly",
            ),
            None => (format!("looked in {}", self.place), "set it there"),
        };
        let variable = format!("{}[{key:?}]", self.name);
        MissedVariable { variable, reason, remedy: remedy.to_owned() }
    }
}

/// Where the variables of a container come from, their values, and why others are unknown.
fn env(container: Option<&Container<'_>>) -> (String, BTreeMap<String, String>, BTreeMap<String, String>) {
    let Some(container) = container else {
        return ("env of the task container".to_owned(), BTreeMap::new(), BTreeMap::new());
    };
    let (mut values, mut unknown) = (BTreeMap::new(), BTreeMap::new());
    for (name, value) in container.env_values() {
        match value {
            Ok(value) => values.insert(name.to_owned(), value.into_owned()),
            Err(reason) => unknown.insert(name.to_owned(), reason.to_string()),
        };
    }
    let env_from = if container.has_env_from() { ", whose envFrom is only read when it starts" } else { "" };
    (format!("env of container {:?}{env_from}", container.name), values, unknown)
}

/// Records a name that has no value. A template can have a default for it, so the message is only written if
/// rendering fails.
fn note(missed: &Missed, map: Option<&'static str>, name: &str) {
    *missed.lock().unwrap_or_else(PoisonError::into_inner) = Some(MissedName { map, name: name.to_owned() });
}

impl Root {
    /// The map that is a variable.
    fn map(&self, name: &str) -> Option<&Arc<Map>> {
        match name {
            "labels" => Some(&self.labels),
            "annotations" => Some(&self.annotations),
            "env" => Some(&self.env),
            _ => None,
        }
    }

    /// The variable `name`, which has no value.
    fn missed_variable(&self, name: &str) -> MissedVariable {
        let (run, workflow) = (names::ANNOTATION_RUN, names::ANNOTATION_WORKFLOW);
        let reason = match name {
            "namespace" => "looked in the admission request".to_owned(),
            "abort" => "the task has written nothing to the file in BOOTLACE_ABORT".to_owned(),
            "pod" => {
                "looked in metadata.name, which the API server generates after admission if generateName is set"
                    .to_owned()
            }
            _ => self.missed_reason(name),
        };
        let remedy = match name {
            "namespace" => "create the pod in a namespace".to_owned(),
            "abort" => "write the file in the task".to_owned(),
            "pod" => "set metadata.name".to_owned(),
            "run" => format!("set annotation {run} of the pod"),
            "workflow" if self.has_run_annotation => format!("set annotation {workflow} of the pod"),
            "workflow" => format!("set annotations {workflow} and {run} of the pod"),
            // With that annotation, the task is named after the pod.
            "task" if !self.has_run_annotation => {
                format!("set annotation {run} of the pod, so that the task has the name of the pod")
            }
            _ => "set a label or an annotation of the pod and use labels[\"…\"] or annotations[\"…\"]"
                .to_owned(),
        };
        MissedVariable { variable: name.to_owned(), reason, remedy }
    }

    /// Why a field of the identity is missing.
    fn missed_reason(&self, name: &str) -> String {
        let Some(scheduler) = &self.scheduler else {
            return "looked in the labels and annotations of the pod, which was not created by a known scheduler"
                .to_owned();
        };
        let title = scheduler.title();
        let field = IdentityField::ALL.into_iter().find(|field| field.as_str() == name);
        match field.and_then(|field| scheduler.unknown(field)) {
            Some(reason) => format!("pods of {title} do not contain it: {reason}"),
            None => format!("looked in the labels, annotations and env that {title} sets"),
        }
    }
}

impl Object for Root {
    fn get_value(self: &Arc<Self>, key: &Value) -> Option<Value> {
        let name = key.as_str()?;
        if let Some(map) = self.map(name) {
            return Some(Value::from_dyn_object(Arc::clone(map)));
        }
        let value = self.plain.get(name).filter(|value| !value.is_empty());
        if value.is_none() {
            note(&self.missed, None, name);
        }
        value.map(|value| Value::from(value.as_str()))
    }
}

impl Object for Map {
    fn get_value(self: &Arc<Self>, key: &Value) -> Option<Value> {
        let key = key.as_str()?;
        let value = self.values.get(key).filter(|value| !value.is_empty());
        if value.is_none() {
            note(&self.missed, Some(self.name), key);
        }
        value.map(|value| Value::from(value.as_str()))
    }
}
