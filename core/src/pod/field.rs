//! Reads fields of raw JSON: `null` is the same as absent, and a wrong type is an error that names the field.

use std::borrow::Cow;
use std::fmt::Write as _;

use super::amount::Amount;
use super::{Fields, Json};
use crate::quantity::Quantity;

/// A field has a type that differs from the Kubernetes API.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{path} must be {expected}, but is {found}: {}", self.remedy())]
pub struct WrongType {
    /// The field, as in `spec.containers[0].env`.
    pub path: String,
    /// The type in the Kubernetes API.
    pub expected: &'static str,
    /// The actual type.
    pub found: &'static str,
}

impl WrongType {
    /// `value` of `pod` has the wrong type. The path is only determined here, so that reading need not record
    /// paths.
    fn new(pod: &Json<'_>, value: &Json<'_>, expected: &'static str) -> Self {
        let mut path = String::new();
        find(pod, value, &mut path);
        if path.is_empty() {
            path.push_str("the pod");
        }
        Self { path, expected, found: type_of(value) }
    }

    /// In YAML, `true`, `yes` and `1` are only strings in quotes.
    fn remedy(&self) -> &'static str {
        match (self.expected, self.found) {
            (STRING, BOOLEAN | NUMBER) => "put it in quotes",
            _ => "correct the field",
        }
    }
}

const STRING: &str = "a string";
const BOOLEAN: &str = "a boolean";
const NUMBER: &str = "a number";

/// Whether `json` contains `value` itself, compared by address. If so, its path is appended to `path`.
fn find(json: &Json<'_>, value: &Json<'_>, path: &mut String) -> bool {
    if std::ptr::eq(json, value) {
        return true;
    }
    let length = path.len();
    // Writing to a String cannot fail.
    match json {
        Json::Object(fields) => fields.iter().any(|(name, field)| {
            path.truncate(length);
            let plain = name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_');
            let _ = match (plain, path.is_empty()) {
                (true, true) => write!(path, "{name}"),
                (true, false) => write!(path, ".{name}"),
                // The key of a label or annotation.
                (false, _) => write!(path, "[{name:?}]"),
            };
            find(field, value, path)
        }),
        Json::Array(elements) => elements.iter().enumerate().any(|(index, element)| {
            path.truncate(length);
            let _ = write!(path, "[{index}]");
            find(element, value, path)
        }),
        _ => false,
    }
}

/// The name of the type of a JSON value, for messages.
fn type_of(value: &Json<'_>) -> &'static str {
    match value {
        Json::Null => "null",
        Json::Bool(_) => BOOLEAN,
        Json::Number(_) => NUMBER,
        Json::String(_) => STRING,
        Json::Array(_) => "an array",
        Json::Object(_) => "an object",
    }
}

/// An object of the pod. An absent object is empty.
#[derive(Debug, Clone, Copy)]
pub(super) struct Object<'a> {
    fields: Option<&'a Fields<'a>>,
    pod: &'a Json<'a>,
}

impl<'a> Object<'a> {
    pub(super) fn root(pod: &'a Json<'a>) -> Result<Self, WrongType> {
        Self::of(pod, pod)
    }

    fn of(pod: &'a Json<'a>, value: &'a Json<'a>) -> Result<Self, WrongType> {
        let fields = value.as_object().ok_or_else(|| WrongType::new(pod, value, "an object"))?;
        Ok(Self { fields: Some(fields), pod })
    }

    fn get(&self, name: &str) -> Option<&'a Json<'a>> {
        self.fields?.get(name).filter(|value| !matches!(value, Json::Null))
    }

    /// Converts a field with `read`, if it is present.
    fn read<T>(
        &self,
        name: &str,
        expected: &'static str,
        read: impl FnOnce(&'a Json<'a>) -> Option<T>,
    ) -> Result<Option<T>, WrongType> {
        let read = |value| read(value).ok_or_else(|| WrongType::new(self.pod, value, expected));
        self.get(name).map(read).transpose()
    }

    pub(super) fn is_present(&self) -> bool {
        self.fields.is_some()
    }

    /// A field without conversion.
    pub(super) fn raw(&self, name: &str) -> Option<&'a Json<'a>> {
        self.get(name)
    }

    /// Whether a field is `true`.
    pub(super) fn is_true(&self, name: &str) -> bool {
        self.get(name) == Some(&Json::Bool(true))
    }

    pub(super) fn has(&self, name: &str) -> bool {
        self.get(name).is_some()
    }

    /// The fields that are objects, whatever their names are.
    pub(super) fn objects(&self) -> impl Iterator<Item = Object<'a>> + use<'a> {
        let pod = self.pod;
        let fields = self.fields.into_iter().flat_map(Fields::iter);
        fields.filter_map(move |(_, value)| Some(Object { fields: Some(value.as_object()?), pod }))
    }

    pub(super) fn object(&self, name: &str) -> Result<Object<'a>, WrongType> {
        Ok(Object { fields: self.read(name, "an object", Json::as_object)?, pod: self.pod })
    }

    pub(super) fn str(&self, name: &str) -> Result<Option<&'a str>, WrongType> {
        self.read(name, STRING, Json::as_str)
    }

    pub(super) fn integer(&self, name: &str) -> Result<Option<i64>, WrongType> {
        self.read(name, "an integer", Json::as_i64)
    }

    /// A quantity: a string or a number, as the API server reads it.
    pub(super) fn quantity(&self, name: &str) -> Result<Option<Amount<'a>>, WrongType> {
        self.read(name, "a quantity such as 500m or 64Mi", |value| {
            let text = match value {
                Json::String(text) => Cow::Borrowed(text.trim()),
                Json::Number(number) => number.to_string().into(),
                _ => return None,
            };
            let value = Quantity::parse(&text).ok()?;
            Some(Amount { text, value })
        })
    }

    /// Whether the name of a field starts with `start`.
    pub(super) fn has_name_with(&self, start: &str) -> bool {
        self.fields.into_iter().flat_map(Fields::iter).any(|(name, _)| name.starts_with(start))
    }

    /// A string or an integer, which are equivalent for ports in Kubernetes.
    pub(super) fn int_or_string(&self, name: &str) -> Result<Option<String>, WrongType> {
        self.read(name, "a string or a number", |value| match value {
            Json::String(text) => Some(text.as_ref().to_owned()),
            Json::Number(number) => Some(number.to_string()),
            _ => None,
        })
    }

    pub(super) fn strings(&self, name: &str) -> Result<Strings<'a>, WrongType> {
        let strings = Strings(self.object(name)?.fields);
        let is_wrong = |value: &&Json<'_>| !matches!(value, Json::String(_) | Json::Null);
        let mut values = strings.0.into_iter().flat_map(Fields::iter).map(|(_, value)| value);
        match values.find(is_wrong) {
            Some(value) => Err(WrongType::new(self.pod, value, STRING)),
            None => Ok(strings),
        }
    }

    pub(super) fn array(&self, name: &str) -> Result<Option<Array<'a>>, WrongType> {
        self.read(name, "an array", |value| match value {
            Json::Array(elements) => Some(Array { elements, pod: self.pod }),
            _ => None,
        })
    }
}

/// An array of the pod.
#[derive(Debug, Clone, Copy)]
pub(super) struct Array<'a> {
    elements: &'a [Json<'a>],
    pod: &'a Json<'a>,
}

impl<'a> Array<'a> {
    pub(super) fn objects(self) -> impl Iterator<Item = Result<Object<'a>, WrongType>> {
        self.elements.iter().map(move |value| Object::of(self.pod, value))
    }

    pub(super) fn strs(self) -> Result<Vec<&'a str>, WrongType> {
        let str = |value: &'a Json<'a>| value.as_str().ok_or_else(|| WrongType::new(self.pod, value, STRING));
        self.elements.iter().map(str).collect()
    }
}

/// Labels or annotations. All values are strings.
#[derive(Debug, Clone, Copy)]
pub struct Strings<'a>(Option<&'a Fields<'a>>);

impl<'a> Strings<'a> {
    /// The labels or annotations in an object.
    #[must_use]
    pub fn of(fields: Option<&'a Fields<'a>>) -> Self {
        Self(fields)
    }

    /// The value of `key`.
    #[must_use]
    pub fn get(&self, key: &str) -> Option<&'a str> {
        self.0?.get(key)?.as_str()
    }

    /// All entries.
    pub fn iter(&self) -> impl Iterator<Item = (&'a str, &'a str)> + use<'a> {
        let pairs = self.0.into_iter().flat_map(Fields::iter);
        pairs.filter_map(|(key, value)| Some((key, value.as_str()?)))
    }

    /// Whether the object itself is present, so that a key can be added to it.
    #[must_use]
    pub fn is_present(&self) -> bool {
        self.0.is_some()
    }
}
