//! Merges a partial pod into a pod, by the rules of the API. Each change is made to the pod and recorded.

use std::borrow::Cow;

use json_patch::jsonptr::{Pointer, PointerBuf, Token};
use serde_json::{Map, Value};

use super::edit::{Change, Edit};
use super::error::OverlayProblem;
use super::merge_keys::{KeyedList, Merge, Type};
use crate::pod::{Fields, Json};

/// Maximum number of values that all overlays of a profile add to a pod. A container named `*` is added to
/// each of up to 256 task containers.
const MAX_ADDED: usize = 20_000;

/// Merges the values of one overlay.
#[derive(Debug)]
pub(super) struct Merger {
    /// Whether a value that is already set is replaced.
    pub(super) overrides: bool,
    /// The path of the current value, a JSON pointer.
    path: String,
    /// The changes so far.
    pub(super) edits: Vec<Edit>,
    /// The paths of values that the overlay would set, but that are already set.
    pub(super) kept: Vec<String>,
    /// How many values the overlays have added so far.
    pub(super) added: usize,
}

/// What can be set in an overlay if a name is taken.
pub(super) const RENAME: &str = "rename to true";
pub(super) const OVERRIDE: &str = "override to true";
pub(super) const RENAME_OR_OVERRIDE: &str = "rename or override to true";

/// The result of a merge.
pub(super) type Merged = Result<(), OverlayProblem>;

impl Merger {
    pub(super) fn new(overrides: bool, added: usize) -> Self {
        Self { overrides, path: String::new(), edits: Vec::new(), kept: Vec::new(), added }
    }

    /// Enters a field or element of the current value. Returns what [`leave`](Self::leave) needs.
    pub(super) fn enter(&mut self, token: &str) -> usize {
        let length = self.path.len();
        self.path.push('/');
        self.path.push_str(Token::new(token).encoded());
        length
    }

    /// Goes back to the value that was the current one.
    pub(super) fn leave(&mut self, length: usize) {
        self.path.truncate(length);
    }

    /// Makes the value at `path` the current one.
    pub(super) fn go_to(&mut self, path: &Pointer) {
        path.as_str().clone_into(&mut self.path);
    }

    /// The path of the current value, for messages.
    pub(super) fn place(&self) -> String {
        self.path.clone()
    }

    /// Merges the fields of an object, except the one that is named `skipped`.
    pub(super) fn fields(
        &mut self,
        target: &mut Fields<'_>,
        values: &Map<String, Value>,
        of: Type,
        skipped: Option<&str>,
    ) -> Merged {
        for (name, value) in values.iter().filter(|(name, _)| Some(name.as_str()) != skipped) {
            self.field(target, name, value, of.field(name))?;
        }
        Ok(())
    }

    /// Merges one field of an object.
    pub(super) fn field(
        &mut self,
        target: &mut Fields<'_>,
        name: &str,
        value: &Value,
        merge: Merge,
    ) -> Merged {
        let outer = self.enter(name);
        if let Some(present) = target.get_mut(name).filter(|present| **present != Json::Null) {
            self.value(present, value, merge)?;
        } else {
            self.record(Change::Add(value.clone()))?;
            target.set(Cow::Owned(name.to_owned()), Json::owned(value));
        }
        self.leave(outer);
        Ok(())
    }

    /// Merges a value into one that is present.
    fn value(&mut self, present: &mut Json<'_>, value: &Value, merge: Merge) -> Merged {
        match (present, value, merge) {
            (Json::Object(target), Value::Object(values), Merge::Fields(of)) => {
                self.fields(target, values, of, None)
            }
            (Json::Array(elements), Value::Array(values), Merge::Keyed(list)) => {
                let is_volumes = self.path == "/spec/volumes";
                let remedy = if is_volumes { RENAME_OR_OVERRIDE } else { OVERRIDE };
                values.iter().try_for_each(|value| self.element(elements, value, list, remedy))
            }
            (Json::Array(elements), Value::Array(values), Merge::Set) => {
                let mut values = values.iter();
                values.try_for_each(|value| {
                    if elements.iter().any(|element| covers(element, value)) {
                        return Ok(());
                    }
                    self.append(elements, value)
                })
            }
            // For the API, an empty list is the same as none.
            (present @ Json::Array(_), Value::Array(values), _)
                if *present == Json::Array(Vec::new()) && !values.is_empty() =>
            {
                self.replace(present, value)
            }
            (present, value, _) => self.whole(present, value),
        }
    }

    /// Keeps a value that is present, or replaces it.
    pub(super) fn whole(&mut self, present: &mut Json<'_>, value: &Value) -> Merged {
        if covers(present, value) {
            return Ok(());
        }
        if self.overrides {
            return self.replace(present, value);
        }
        let (found, wanted) = (kind(present), kind_of(value));
        if found != wanted && (is_compound(found) || is_compound(wanted)) {
            return Err(OverlayProblem::TypeDiffers { path: self.place(), found, wanted });
        }
        self.kept.push(self.place());
        Ok(())
    }

    /// Adds an element to a list with keys, unless the list has it. `remedy` is what can be set in the
    /// overlay if the list has another one with these keys.
    pub(super) fn element(
        &mut self,
        elements: &mut Vec<Json<'_>>,
        value: &Value,
        list: &KeyedList,
        remedy: &'static str,
    ) -> Merged {
        let found = list.find(elements, value).and_then(|index| Some((index, elements.get_mut(index)?)));
        match found {
            None => self.append(elements, value),
            Some((_, present)) if covers(present, value) => Ok(()),
            // As a whole: an env variable with `value` and `valueFrom`, or a volume of two kinds, is invalid.
            Some((index, present)) if self.overrides => {
                let outer = self.enter(&index.to_string());
                self.replace(present, value)?;
                self.leave(outer);
                Ok(())
            }
            Some(_) => Err(self.taken(list.describe(value), remedy)),
        }
    }

    /// The error for an element of the current list.
    pub(super) fn taken(&self, name: String, remedy: &'static str) -> OverlayProblem {
        // The chain knows who has set it.
        OverlayProblem::NameTaken { list: self.place(), name, holder: String::new(), remedy }
    }

    /// Adds an element at the end of the current list.
    pub(super) fn append(&mut self, elements: &mut Vec<Json<'_>>, value: &Value) -> Merged {
        let outer = self.enter("-");
        self.record(Change::Add(value.clone()))?;
        self.leave(outer);
        elements.push(Json::owned(value));
        Ok(())
    }

    /// Replaces the current value.
    pub(super) fn replace(&mut self, present: &mut Json<'_>, value: &Value) -> Merged {
        self.record(Change::Replace(value.clone()))?;
        *present = Json::owned(value);
        Ok(())
    }

    /// Records a change to the current value.
    pub(super) fn record(&mut self, change: Change) -> Merged {
        let (Change::Add(value) | Change::Replace(value)) = &change;
        self.added += count(value);
        if self.added > MAX_ADDED {
            return Err(OverlayProblem::TooLarge { limit: MAX_ADDED });
        }
        // It is valid, because its tokens are escaped.
        let path = PointerBuf::parse(self.path.as_str()).unwrap_or_default();
        self.edits.push(Edit { path, change });
        Ok(())
    }
}

/// The number of values in a value, including itself.
fn count(value: &Value) -> usize {
    1 + match value {
        Value::Array(elements) => elements.iter().map(count).sum(),
        Value::Object(fields) => fields.values().map(count).sum(),
        _ => 0,
    }
}

/// Whether `present` has every field of `value` with the same content. It can have more, because the API
/// server adds defaults before it calls webhooks.
pub(super) fn covers(present: &Json<'_>, value: &Value) -> bool {
    match (present, value) {
        (Json::Object(present), Value::Object(fields)) => {
            fields.iter().all(|(name, value)| present.get(name).is_some_and(|present| covers(present, value)))
        }
        (Json::Array(present), Value::Array(values)) => {
            present.len() == values.len()
                && present.iter().zip(values).all(|(present, value)| covers(present, value))
        }
        (Json::String(present), Value::String(value)) => present == value,
        (Json::Number(present), Value::Number(value)) => present == value,
        (Json::Bool(present), Value::Bool(value)) => present == value,
        (Json::Null, Value::Null) => true,
        _ => false,
    }
}

const OBJECT: &str = "an object";
const LIST: &str = "a list";
const SCALAR: &str = "a single value";

fn is_compound(kind: &str) -> bool {
    kind != SCALAR
}

fn kind(json: &Json<'_>) -> &'static str {
    match json {
        Json::Object(_) => OBJECT,
        Json::Array(_) => LIST,
        _ => SCALAR,
    }
}

fn kind_of(value: &Value) -> &'static str {
    match value {
        Value::Object(_) => OBJECT,
        Value::Array(_) => LIST,
        _ => SCALAR,
    }
}
