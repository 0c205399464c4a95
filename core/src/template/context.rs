//! What a template can name, and where that comes from.

use std::collections::BTreeMap;
use std::sync::{Arc, PoisonError};

use minijinja::Value;
use minijinja::value::Object;

use super::Missed;
use crate::identity;
use crate::names;
use crate::pod::{Container, Pod, Strings};

/// The variables of one pod. An empty value counts as none: a path with a hole in it is worse than a refusal.
///
/// | variable | what |
/// |---|---|
/// | `scheduler`, `workflow`, `run`, `task`, `attempt`, `mapIndex`, `scheduledTime` | who the task is, see [`identity`] |
/// | `namespace` | the pod's namespace |
/// | `pod` | the pod's name; not there where the API server makes it from `generateName` after admission |
/// | `labels["…"]`, `annotations["…"]` | the pod's |
/// | `env.NAME` | env of the task container whose value the pod's spec gives, `$(NAME)` of earlier variables resolved |
#[derive(Debug)]
pub struct Context {
    root: Arc<Root>,
}

#[derive(Debug)]
struct Root {
    plain: BTreeMap<&'static str, String>,
    /// Where the words on who the task is were looked for.
    maker: String,
    /// Whether the pod names its run itself.
    is_joined: bool,
    labels: Arc<Map>,
    annotations: Arc<Map>,
    env: Arc<Map>,
    missed: Missed,
}

/// Labels, annotations or env.
#[derive(Debug)]
struct Map {
    name: &'static str,
    /// Where values were looked for.
    place: String,
    values: BTreeMap<String, String>,
    /// Why a value is not known at admission, by name.
    not_known: BTreeMap<String, String>,
    missed: Missed,
}

impl Context {
    /// What `pod` tells, on its way into `namespace`; `container` is the one that runs the task.
    #[must_use]
    pub fn new(pod: &Pod<'_>, namespace: &str, container: Option<&Container<'_>>) -> Self {
        let missed = Missed::default();
        let identity = identity::identify(pod);
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
        let map = |name, place: String, values: BTreeMap<String, String>, not_known| {
            Arc::new(Map { name, place, values, not_known, missed: Arc::clone(&missed) })
        };
        let owned = |strings: &Strings<'_>| {
            strings.iter().map(|(name, value)| (name.to_owned(), value.to_owned())).collect()
        };
        let (place, values, not_known) = env(container);
        Self {
            root: Arc::new(Root {
                plain: plain.into_iter().filter_map(|(name, value)| Some((name, value?))).collect(),
                maker: identity::detect(pod).map_or_else(
                    || {
                        "the pod's labels and annotations, but no scheduler that Bootlace knows made it"
                            .to_owned()
                    },
                    |scheduler| format!("the marks that {} puts on its pods", scheduler.title()),
                ),
                is_joined: identity_is_joined,
                labels: map("labels", "metadata.labels".to_owned(), owned(&pod.labels), BTreeMap::new()),
                annotations: map(
                    "annotations",
                    "metadata.annotations".to_owned(),
                    owned(&pod.annotations),
                    BTreeMap::new(),
                ),
                env: map("env", place, values, not_known),
                missed,
            }),
        }
    }

    pub(super) fn root(&self) -> Value {
        Value::from_dyn_object(Arc::clone(&self.root))
    }

    /// What was last asked for in vain, and why there is nothing and what to do.
    pub(super) fn missed(&self) -> Option<(String, String)> {
        self.root.missed.lock().unwrap_or_else(PoisonError::into_inner).take()
    }
}

/// Where a container's variables are looked for, their values, and why others are not known.
fn env(container: Option<&Container<'_>>) -> (String, BTreeMap<String, String>, BTreeMap<String, String>) {
    let Some(container) = container else {
        return ("env of the task's container".to_owned(), BTreeMap::new(), BTreeMap::new());
    };
    let (mut values, mut not_known) = (BTreeMap::new(), BTreeMap::new());
    for (name, value) in container.env_values() {
        match value {
            Ok(value) => values.insert(name.to_owned(), value.into_owned()),
            Err(why) => not_known.insert(name.to_owned(), why.to_string()),
        };
    }
    let env_from = if container.has_env_from() { ", whose envFrom is read only when it starts" } else { "" };
    (format!("env of container {:?}{env_from}", container.name), values, not_known)
}

fn note(missed: &Missed, variable: String, why: String) {
    *missed.lock().unwrap_or_else(PoisonError::into_inner) = Some((variable, why));
}

impl Root {
    /// Why the variable `name` has no value, and where to give it one.
    fn why_missing(&self, name: &str) -> String {
        let (run, workflow) = (names::ANNOTATION_RUN, names::ANNOTATION_WORKFLOW);
        let remedy = match name {
            "namespace" => return "looked for it in the review; create the pod in a namespace".to_owned(),
            "pod" => {
                return "looked for it in metadata.name, which the API server makes after admission where there is a \
                        generateName; give it there"
                    .to_owned();
            }
            "run" => format!("name the run in the pod's annotation {run}"),
            "workflow" if self.is_joined => format!("name it in the pod's annotation {workflow}"),
            "workflow" => format!("name it in the pod's annotation {workflow}, and the run in {run}"),
            // What joins a run to others takes its own name for the task's.
            "task" if !self.is_joined => {
                format!("name the run in the pod's annotation {run}, and the pod's name is the task")
            }
            _ => "give it in a label or an annotation, and write labels[\"…\"] or annotations[\"…\"] in the profile"
                .to_owned(),
        };
        format!("looked for it in {}; {remedy}", self.maker)
    }
}

impl Object for Root {
    fn get_value(self: &Arc<Self>, key: &Value) -> Option<Value> {
        let name = key.as_str()?;
        let map = match name {
            "labels" => &self.labels,
            "annotations" => &self.annotations,
            "env" => &self.env,
            _ => {
                if let Some(value) = self.plain.get(name).filter(|value| !value.is_empty()) {
                    return Some(Value::from(value.as_str()));
                }
                note(&self.missed, name.to_owned(), self.why_missing(name));
                return None;
            }
        };
        Some(Value::from_dyn_object(Arc::clone(map)))
    }
}

impl Object for Map {
    fn get_value(self: &Arc<Self>, key: &Value) -> Option<Value> {
        let key = key.as_str()?;
        let value = self.values.get(key).filter(|value| !value.is_empty());
        if value.is_none() {
            let why = match self.not_known.get(key) {
                Some(why) => format!(
                    "its value is known only when the container starts, as {why}; write the value itself"
                ),
                None => format!("looked for it in {}; give it there", self.place),
            };
            note(&self.missed, format!("{}[{key:?}]", self.name), why);
        }
        value.map(|value| Value::from(value.as_str()))
    }
}
