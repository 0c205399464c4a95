//! Merges the containers of a partial pod: `*` stands for every task container, a container with an image is
//! added, and one without changes the container of that name.

use serde_json::{Map, Value};

use super::ALL_TASKS;
use super::error::OverlayProblem;
use super::merge::{Merged, Merger, RENAME, RENAME_OR_OVERRIDE, covers};
use super::merge_keys::{KeyedList, Merge, Type};
use crate::pod::{Fields, Json, List};

/// The lists of containers, in the order of their start.
pub(super) const LISTS: [(&str, List); 2] = [("initContainers", List::Init), ("containers", List::App)];

/// The place of a task container.
pub(super) type Place = (List, usize);

/// The containers of a pod in a list.
pub(super) fn containers<'s, 'a>(spec: &'s Fields<'a>, list: &str) -> &'s [Json<'a>] {
    match spec.get(list) {
        Some(Json::Array(containers)) => containers,
        _ => &[],
    }
}

/// The name of a container or volume.
pub(super) fn name_of<'s>(object: &'s Json<'_>) -> &'s str {
    object.as_object().and_then(|object| object.get("name")).and_then(Json::as_str).unwrap_or_default()
}

/// The list that has a container of this name, and its index.
pub(super) fn find(spec: &Fields<'_>, name: &str) -> Option<(&'static str, usize)> {
    LISTS.into_iter().find_map(|(list, _)| {
        Some((list, containers(spec, list).iter().position(|container| name_of(container) == name)?))
    })
}

/// Whether a container of the pod and one of an overlay with the same name are different containers.
pub(super) fn differs(present: &Json<'_>, value: &Value) -> bool {
    value.get("image").is_some() && !covers(present, value)
}

impl Merger {
    /// Merges the containers of an overlay into `spec`, whose path is the current one.
    pub(super) fn containers(
        &mut self,
        spec: &mut Fields<'_>,
        values: &Map<String, Value>,
        tasks: &[Place],
    ) -> Merged {
        for (list, _) in LISTS {
            for value in values.get(list).and_then(Value::as_array).into_iter().flatten() {
                let Value::Object(fields) = value else { continue };
                match fields.get("name").and_then(Value::as_str).unwrap_or_default() {
                    ALL_TASKS => {
                        for (task, index) in tasks {
                            let list = field_of(*task);
                            self.amend(spec, list, *index, fields)?;
                        }
                    }
                    name => self.container(spec, list, name, value, fields)?,
                }
            }
        }
        Ok(())
    }

    fn container(
        &mut self,
        spec: &mut Fields<'_>,
        list: &str,
        name: &str,
        value: &Value,
        fields: &Map<String, Value>,
    ) -> Merged {
        match find(spec, name) {
            Some((found, index)) => {
                let present = containers(spec, found).get(index);
                let is_other = present.is_some_and(|present| differs(present, value));
                if is_other && (found != list || !self.overrides) {
                    self.enter(found);
                    // Names are unique among both lists, and a container cannot move to the other one.
                    let remedy = if found == list { RENAME_OR_OVERRIDE } else { RENAME };
                    return Err(self.taken(name.to_owned(), remedy));
                }
                self.amend(spec, found, index, fields)
            }
            None if fields.get("image").is_none() => {
                self.enter(list);
                Err(self.unknown_container(spec, name))
            }
            None => self.field(spec, list, &Value::Array(vec![value.clone()]), LIST_OF_NEW),
        }
    }

    /// The error for a container without an image that the pod does not have.
    fn unknown_container(&self, spec: &Fields<'_>, name: &str) -> OverlayProblem {
        let containers = LISTS.into_iter().flat_map(|(list, _)| containers(spec, list));
        OverlayProblem::UnknownContainer {
            list: self.place(),
            name: name.to_owned(),
            available: containers.map(|container| name_of(container).to_owned()).collect(),
        }
    }

    /// Merges a container of an overlay into one of the pod.
    fn amend(
        &mut self,
        spec: &mut Fields<'_>,
        list: &str,
        index: usize,
        fields: &Map<String, Value>,
    ) -> Merged {
        let Some(Json::Array(containers)) = spec.get_mut(list) else { return Ok(()) };
        let Some(Json::Object(container)) = containers.get_mut(index) else { return Ok(()) };
        let outer = self.enter(list);
        self.enter(&index.to_string());
        self.fields(container, fields, Type::container(), Some("name"))?;
        self.leave(outer);
        Ok(())
    }
}

/// A container that the list does not have yet is added like an element of a set.
const LIST_OF_NEW: Merge = Merge::Set;

/// The field of a list.
fn field_of(list: List) -> &'static str {
    match list {
        List::Init => "initContainers",
        List::App => "containers",
    }
}

/// Whether a JSON patch must add a container, because the pod does not have the same one. The current path is
/// that of the list.
pub(super) fn check_new(
    merger: &Merger,
    spec: &Fields<'_>,
    value: &Value,
    list: &KeyedList,
) -> Result<bool, OverlayProblem> {
    let name = list.describe(value);
    let Some((found, index)) = find(spec, &name) else {
        let has_image = value.get("image").is_some();
        return if has_image { Ok(true) } else { Err(merger.unknown_container(spec, &name)) };
    };
    match containers(spec, found).get(index) {
        Some(present) if covers(present, value) => Ok(false),
        _ => Err(merger.taken(name, "rename to true and use `pod`")),
    }
}
