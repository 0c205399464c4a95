//! Gives containers and volumes of an overlay another name if theirs is taken, and changes the references of
//! the overlay to them.

use std::borrow::Cow;
use std::collections::BTreeMap;

use serde_json::Value;

use super::containers::{self, LISTS};
use super::merge::covers;
use crate::pod::{Fields, Json};

/// Maximum characters of a name.
const MAX_NAME: usize = 63;
/// Maximum number in a new name, because each is compared with all names of the pod.
const MAX_NUMBER: usize = 99;

/// The new names, by the old ones.
#[derive(Debug, Default)]
struct Names {
    containers: BTreeMap<String, String>,
    volumes: BTreeMap<String, String>,
}

/// The overlay with names that the pod with this `spec` does not have.
pub(super) fn rename<'v>(overlay: Cow<'v, Value>, spec: &Fields<'_>) -> Cow<'v, Value> {
    let names = names(&overlay, spec);
    if names.containers.is_empty() && names.volumes.is_empty() {
        return overlay;
    }
    let mut overlay = overlay.into_owned();
    if let Some(spec) = overlay.get_mut("spec") {
        names.apply(spec);
    }
    Cow::Owned(overlay)
}

/// The elements of a list of the overlay.
fn elements<'v>(overlay: &'v Value, list: &str) -> impl Iterator<Item = (&'v str, &'v Value)> {
    let elements = overlay.get("spec").and_then(|spec| spec.get(list)).and_then(Value::as_array);
    elements.into_iter().flatten().filter_map(|value| Some((value.get("name")?.as_str()?, value)))
}

fn names(overlay: &Value, spec: &Fields<'_>) -> Names {
    let mut names = Names::default();
    let taken_container = |name: &str| {
        containers::find(spec, name).is_some()
            || LISTS.iter().any(|(list, _)| elements(overlay, list).any(|(other, _)| other == name))
    };
    for (list, _) in LISTS {
        for (name, value) in elements(overlay, list) {
            let Some((found, index)) = containers::find(spec, name) else { continue };
            let present = containers::containers(spec, found).get(index);
            if present.is_some_and(|present| containers::differs(present, value)) {
                names.containers.insert(name.to_owned(), fresh(name, taken_container));
            }
        }
    }
    let volumes = match spec.get("volumes") {
        Some(Json::Array(volumes)) => volumes.as_slice(),
        _ => &[],
    };
    let taken_volume = |name: &str| {
        volumes.iter().any(|volume| containers::name_of(volume) == name)
            || elements(overlay, "volumes").any(|(other, _)| other == name)
    };
    for (name, value) in elements(overlay, "volumes") {
        let present = volumes.iter().find(|volume| containers::name_of(volume) == name);
        if present.is_some_and(|present| !covers(present, value)) {
            names.volumes.insert(name.to_owned(), fresh(name, taken_volume));
        }
    }
    names
}

/// The first of `name-2`, `name-3`, … that is not taken; the same name if all are.
fn fresh(name: &str, is_taken: impl Fn(&str) -> bool) -> String {
    let candidate = |number: usize| {
        let suffix = format!("-{number}");
        let start: String = name.chars().take(MAX_NAME - suffix.len()).collect();
        format!("{}{suffix}", start.trim_end_matches('-'))
    };
    let mut candidates = (2..=MAX_NUMBER).map(candidate);
    candidates.find(|candidate| !is_taken(candidate)).unwrap_or_else(|| name.to_owned())
}

impl Names {
    fn apply(&self, spec: &mut Value) {
        rename_in(spec.get_mut("volumes"), "name", &self.volumes);
        for (list, _) in LISTS {
            rename_in(spec.get_mut(list), "name", &self.containers);
            for container in spec.get_mut(list).and_then(Value::as_array_mut).into_iter().flatten() {
                for mounts in ["volumeMounts", "volumeDevices"] {
                    rename_in(container.get_mut(mounts), "name", &self.volumes);
                }
            }
        }
        self.rename_in_references(spec);
    }

    /// Renames the containers in every `resourceFieldRef`: of variables and of downward API volumes.
    fn rename_in_references(&self, value: &mut Value) {
        match value {
            Value::Array(elements) => {
                for element in elements {
                    self.rename_in_references(element);
                }
            }
            Value::Object(fields) => {
                for (name, value) in fields {
                    if name == "resourceFieldRef" {
                        set(value, "containerName", &self.containers);
                    } else {
                        self.rename_in_references(value);
                    }
                }
            }
            _ => {}
        }
    }
}

/// Renames in a field of each element of a list.
fn rename_in(list: Option<&mut Value>, field: &str, names: &BTreeMap<String, String>) {
    for element in list.and_then(Value::as_array_mut).into_iter().flatten() {
        set(element, field, names);
    }
}

fn set(object: &mut Value, field: &str, names: &BTreeMap<String, String>) {
    let Some(value) = object.get_mut(field) else { return };
    if let Some(name) = value.as_str().and_then(|name| names.get(name)) {
        *value = Value::String(name.clone());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fresh_name_is_free_and_short_enough() {
        assert_eq!(fresh("data", |_| false), "data-2");
        assert_eq!(fresh("data", |name| ["data-2", "data-3"].contains(&name)), "data-4");
        let long = format!("{}-x", "a".repeat(60));
        assert_eq!(fresh(&long, |_| false), format!("{}-2", "a".repeat(60)));
    }
}
