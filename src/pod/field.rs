//! Reading fields of raw JSON: absent and `null` are the same, a wrong type is an error that names the field.

use std::fmt::Write as _;

use serde_json::{Map, Value};

/// A field of another type than the API gives it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{path} must be {expected}, but it is {found}: correct the field")]
pub struct WrongType {
    /// The field, as in `spec.containers[0].env`.
    pub path: String,
    /// What the API gives it.
    pub expected: &'static str,
    /// What was there.
    pub found: &'static str,
}

/// Where a value stands, as a chain of steps up to the root: nothing is allocated unless an error is told.
#[derive(Debug, Clone, Copy)]
enum Step {
    Root,
    Field(&'static str),
    Element(&'static str, usize),
}

/// The steps to a value; six are enough for every field that is read.
#[derive(Debug, Clone, Copy)]
struct Path([Step; 6]);

impl Path {
    const ROOT: Self = Self([Step::Root; 6]);

    fn then(mut self, step: Step) -> Self {
        if let Some(free) = self.0.iter_mut().find(|step| matches!(step, Step::Root)) {
            *free = step;
        }
        self
    }

    fn wrong(self, last: Step, expected: &'static str, found: &Value) -> WrongType {
        let mut path = String::new();
        for step in self.0.into_iter().chain([last]) {
            let dot = if path.is_empty() { "" } else { "." };
            // Writing to a String cannot fail.
            let _ = match step {
                Step::Root => Ok(()),
                Step::Field(name) => write!(path, "{dot}{name}"),
                Step::Element(name, index) => write!(path, "{dot}{name}[{index}]"),
            };
        }
        if path.is_empty() {
            path.push_str("the pod");
        }
        WrongType { path, expected, found: type_of(found) }
    }
}

/// The name of a JSON value's type, for messages.
fn type_of(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "a boolean",
        Value::Number(_) => "a number",
        Value::String(_) => "a string",
        Value::Array(_) => "an array",
        Value::Object(_) => "an object",
    }
}

/// An object of the pod; one that is absent reads as empty.
#[derive(Debug, Clone, Copy)]
pub(super) struct Object<'a> {
    map: Option<&'a Map<String, Value>>,
    path: Path,
}

impl<'a> Object<'a> {
    pub(super) fn root(value: &'a Value) -> Result<Self, WrongType> {
        let map = value.as_object().ok_or_else(|| Path::ROOT.wrong(Step::Root, "an object", value))?;
        Ok(Self { map: Some(map), path: Path::ROOT })
    }

    fn get(&self, name: &str) -> Option<&'a Value> {
        self.map?.get(name).filter(|value| !value.is_null())
    }

    pub(super) fn is_present(&self) -> bool {
        self.map.is_some()
    }

    /// A field as it is.
    pub(super) fn raw(&self, name: &str) -> Option<&'a Value> {
        self.get(name)
    }

    /// Whether a field is `true`.
    pub(super) fn is_true(&self, name: &str) -> bool {
        self.get(name) == Some(&Value::Bool(true))
    }

    pub(super) fn has(&self, name: &str) -> bool {
        self.get(name).is_some()
    }

    pub(super) fn object(&self, name: &'static str) -> Result<Object<'a>, WrongType> {
        let step = Step::Field(name);
        let map = self
            .get(name)
            .map(|value| value.as_object().ok_or_else(|| self.path.wrong(step, "an object", value)))
            .transpose()?;
        Ok(Object { map, path: self.path.then(step) })
    }

    pub(super) fn str(&self, name: &'static str) -> Result<Option<&'a str>, WrongType> {
        self.get(name)
            .map(|value| value.as_str().ok_or_else(|| self.path.wrong(Step::Field(name), "a string", value)))
            .transpose()
    }

    pub(super) fn integer(&self, name: &'static str) -> Result<Option<i64>, WrongType> {
        self.get(name)
            .map(|value| {
                value.as_i64().ok_or_else(|| self.path.wrong(Step::Field(name), "an integer", value))
            })
            .transpose()
    }

    /// A string or an integer, which Kubernetes takes as the same for ports and quantities.
    pub(super) fn int_or_string(&self, name: &'static str) -> Result<Option<String>, WrongType> {
        self.get(name)
            .map(|value| match value {
                Value::String(text) => Ok(text.clone()),
                Value::Number(number) => Ok(number.to_string()),
                other => Err(self.path.wrong(Step::Field(name), "a string or a number", other)),
            })
            .transpose()
    }

    pub(super) fn strings(&self, name: &'static str) -> Result<Strings<'a>, WrongType> {
        let object = self.object(name)?;
        if let Some(value) = object.map.into_iter().flat_map(Map::values).find(|value| !value.is_string()) {
            return Err(self.path.wrong(Step::Field(name), "an object of strings", value));
        }
        Ok(Strings(object.map))
    }

    pub(super) fn array(&self, name: &'static str) -> Result<Option<Array<'a>>, WrongType> {
        self.get(name)
            .map(|value| match value {
                Value::Array(elements) => Ok(Array { elements, name, path: self.path }),
                other => Err(self.path.wrong(Step::Field(name), "an array", other)),
            })
            .transpose()
    }
}

/// An array of the pod.
#[derive(Debug, Clone, Copy)]
pub(super) struct Array<'a> {
    elements: &'a [Value],
    name: &'static str,
    path: Path,
}

impl<'a> Array<'a> {
    pub(super) fn objects(self) -> impl Iterator<Item = Result<Object<'a>, WrongType>> {
        let Self { elements, name, path } = self;
        elements.iter().enumerate().map(move |(index, value)| {
            let step = Step::Element(name, index);
            let map = value.as_object().ok_or_else(|| path.wrong(step, "an object", value))?;
            Ok(Object { map: Some(map), path: path.then(step) })
        })
    }

    pub(super) fn strs(self) -> Result<Vec<&'a str>, WrongType> {
        let Self { elements, name, path } = self;
        elements
            .iter()
            .enumerate()
            .map(|(index, value)| {
                value.as_str().ok_or_else(|| path.wrong(Step::Element(name, index), "a string", value))
            })
            .collect()
    }
}

/// Labels or annotations: checked to hold strings only.
#[derive(Debug, Clone, Copy)]
pub struct Strings<'a>(Option<&'a Map<String, Value>>);

impl<'a> Strings<'a> {
    /// The value of `key`.
    #[must_use]
    pub fn get(&self, key: &str) -> Option<&'a str> {
        self.0?.get(key)?.as_str()
    }

    /// All of them.
    pub fn iter(&self) -> impl Iterator<Item = (&'a str, &'a str)> + use<'a> {
        let pairs = self.0.into_iter().flat_map(Map::iter);
        pairs.filter_map(|(key, value)| Some((key.as_str(), value.as_str()?)))
    }

    /// Whether the object itself is there, so that a key can be added to it.
    #[must_use]
    pub fn is_present(&self) -> bool {
        self.0.is_some()
    }
}
