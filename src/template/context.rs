//! What a template can name, and where that comes from.

use std::collections::BTreeMap;
use std::sync::{Arc, PoisonError};

use minijinja::Value;
use minijinja::value::Object;

use super::Missed;
use crate::identity;
use crate::pod::{Container, Pod};

/// The variables of one pod. An empty value counts as none: a path with a hole in it is worse than a refusal.
///
/// | variable | what |
/// |---|---|
/// | `scheduler`, `workflow`, `run`, `task`, `attempt`, `mapIndex`, `scheduledTime` | who the task is, see [`identity`] |
/// | `namespace` | the pod's namespace |
/// | `pod` | the pod's name; not there where the API server makes it from `generateName` after admission |
/// | `labels["…"]`, `annotations["…"]` | the pod's |
/// | `env.NAME` | env of the task container with a literal value in the pod's spec |
#[derive(Debug)]
pub struct Context {
    root: Arc<Root>,
}

#[derive(Debug)]
struct Root {
    plain: BTreeMap<&'static str, String>,
    maker: String,
    labels: Arc<Map>,
    annotations: Arc<Map>,
    env: Arc<Map>,
    missed: Missed,
}

/// Labels, annotations or env.
#[derive(Debug)]
struct Map {
    name: &'static str,
    place: String,
    values: BTreeMap<String, String>,
    missed: Missed,
}

impl Context {
    /// What `pod` tells, on its way into `namespace`; `container` is the one that runs the task.
    #[must_use]
    pub fn new(pod: &Pod<'_>, namespace: &str, container: Option<&Container<'_>>) -> Self {
        let missed = Missed::default();
        let identity = identity::identify(pod);
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
        let map = |name, place: String, values: BTreeMap<String, String>| {
            Arc::new(Map { name, place, values, missed: Arc::clone(&missed) })
        };
        let owned = |pairs: &mut dyn Iterator<Item = (&str, &str)>| {
            pairs.map(|(name, value)| (name.to_owned(), value.to_owned())).collect()
        };
        let (container_name, env) = container.map_or_else(
            || ("(none)", BTreeMap::new()),
            |container| (container.name, owned(&mut container.literal_env())),
        );
        let env_place = format!("env of container {container_name:?}, among what has a literal value");
        Self {
            root: Arc::new(Root {
                plain: plain.into_iter().filter_map(|(name, value)| Some((name, value?))).collect(),
                maker: identity::recognise(pod).map_or_else(
                    || "the pod's marks, but no scheduler that Bootlace knows made it".to_owned(),
                    |scheduler| format!("the marks that {} puts on its pods", scheduler.title()),
                ),
                labels: map("labels", "metadata.labels".to_owned(), owned(&mut pod.labels.iter())),
                annotations: map(
                    "annotations",
                    "metadata.annotations".to_owned(),
                    owned(&mut pod.annotations.iter()),
                ),
                env: map("env", env_place, env),
                missed,
            }),
        }
    }

    pub(super) fn root(&self) -> Value {
        Value::from_dyn_object(Arc::clone(&self.root))
    }

    /// What was last asked for in vain, and where it was looked for.
    pub(super) fn missed(&self) -> Option<(String, String)> {
        self.root.missed.lock().unwrap_or_else(PoisonError::into_inner).take()
    }
}

fn note(missed: &Missed, variable: String, place: String) {
    *missed.lock().unwrap_or_else(PoisonError::into_inner) = Some((variable, place));
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
                let place = match name {
                    "namespace" => "the review".to_owned(),
                    "pod" => "metadata.name, which the API server makes after admission where there is a generateName"
                        .to_owned(),
                    _ => self.maker.clone(),
                };
                note(&self.missed, name.to_owned(), place);
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
            note(&self.missed, format!("{}[{key:?}]", self.name), self.place.clone());
        }
        value.map(|value| Value::from(value.as_str()))
    }
}
