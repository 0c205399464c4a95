//! A JSON document that borrows its strings from the parsed bytes.
//!
//! `serde_json::Value` owns every string and hashes every name of an object. For a pod, of which little is
//! read and nothing is copied, that is most of the time of a review. `serde_json_borrow` parses the same
//! tree, but its objects do not accept names that are created at run time, which a patch adds.

use std::borrow::Cow;
use std::fmt;

use serde::Deserialize;
use serde::de::{Deserializer, Error, MapAccess, SeqAccess, Visitor};
use serde_json::{Number, Value};

/// A JSON value.
#[derive(Clone, Debug, Default, PartialEq)]
pub enum Json<'a> {
    /// `null`.
    #[default]
    Null,
    /// `true` or `false`.
    Bool(bool),
    /// A number.
    Number(Number),
    /// A string.
    String(Cow<'a, str>),
    /// An array.
    Array(Vec<Json<'a>>),
    /// An object.
    Object(Fields<'a>),
}

/// Fields of an object in their original order. Lookups are linear, because objects of a pod are small.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Fields<'a>(Vec<(Cow<'a, str>, Json<'a>)>);

impl<'a> Fields<'a> {
    /// The value of `name`. If it occurs twice, the last one is used, as by the API server.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&Json<'a>> {
        self.0.iter().rfind(|(other, _)| other == name).map(|(_, value)| value)
    }

    /// Like [`get`](Self::get), but mutable.
    pub fn get_mut(&mut self, name: &str) -> Option<&mut Json<'a>> {
        self.0.iter_mut().rfind(|(other, _)| other == name).map(|(_, value)| value)
    }

    /// Sets `name`: in its place if it is present, else at the end.
    pub fn set(&mut self, name: Cow<'a, str>, value: Json<'a>) {
        match self.get_mut(&name) {
            Some(held) => *held = value,
            None => self.0.push((name, value)),
        }
    }

    /// All fields.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &Json<'a>)> {
        self.0.iter().map(|(name, value)| (&**name, value))
    }
}

impl<'a> FromIterator<(Cow<'a, str>, Json<'a>)> for Fields<'a> {
    fn from_iter<I: IntoIterator<Item = (Cow<'a, str>, Json<'a>)>>(fields: I) -> Self {
        Self(fields.into_iter().collect())
    }
}

impl<'a> Json<'a> {
    /// The string, if it is one.
    #[must_use]
    pub fn as_str(&self) -> Option<&str> {
        if let Self::String(text) = self { Some(text) } else { None }
    }

    /// The integer, if it is one that fits into `i64`.
    #[must_use]
    pub fn as_i64(&self) -> Option<i64> {
        if let Self::Number(number) = self { number.as_i64() } else { None }
    }

    /// The fields, if it is an object.
    #[must_use]
    pub fn as_object(&self) -> Option<&Fields<'a>> {
        if let Self::Object(fields) = self { Some(fields) } else { None }
    }
}

impl Json<'_> {
    /// A copy of a value that borrows nothing.
    #[must_use]
    pub fn owned(value: &Value) -> Self {
        match value {
            Value::Null => Self::Null,
            Value::Bool(yes) => Self::Bool(*yes),
            Value::Number(number) => Self::Number(number.clone()),
            Value::String(text) => Self::String(Cow::Owned(text.clone())),
            Value::Array(elements) => Self::Array(elements.iter().map(Self::owned).collect()),
            Value::Object(map) => Self::Object(
                map.iter().map(|(name, value)| (Cow::Owned(name.clone()), Self::owned(value))).collect(),
            ),
        }
    }
}

impl<'a> From<&'a Value> for Json<'a> {
    fn from(value: &'a Value) -> Self {
        match value {
            Value::Null => Self::Null,
            Value::Bool(yes) => Self::Bool(*yes),
            Value::Number(number) => Self::Number(number.clone()),
            Value::String(text) => Self::String(text.into()),
            Value::Array(elements) => Self::Array(elements.iter().map(Self::from).collect()),
            Value::Object(map) => {
                Self::Object(map.iter().map(|(name, value)| (name.into(), value.into())).collect())
            }
        }
    }
}

impl From<&Json<'_>> for Value {
    fn from(json: &Json<'_>) -> Self {
        match json {
            Json::Null => Self::Null,
            Json::Bool(yes) => Self::Bool(*yes),
            Json::Number(number) => Self::Number(number.clone()),
            Json::String(text) => Self::String(text.as_ref().to_owned()),
            Json::Array(elements) => elements.iter().map(Self::from).collect(),
            Json::Object(fields) => fields.iter().map(|(name, value)| (name.to_owned(), value)).collect(),
        }
    }
}

impl<'de: 'a, 'a> Deserialize<'de> for Json<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(Read)
    }
}

struct Read;

impl<'de> Visitor<'de> for Read {
    type Value = Json<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("any JSON value")
    }

    fn visit_unit<E>(self) -> Result<Json<'de>, E> {
        Ok(Json::Null)
    }

    fn visit_bool<E>(self, yes: bool) -> Result<Json<'de>, E> {
        Ok(Json::Bool(yes))
    }

    fn visit_i64<E>(self, number: i64) -> Result<Json<'de>, E> {
        Ok(Json::Number(number.into()))
    }

    fn visit_u64<E>(self, number: u64) -> Result<Json<'de>, E> {
        Ok(Json::Number(number.into()))
    }

    fn visit_f64<E: Error>(self, number: f64) -> Result<Json<'de>, E> {
        Number::from_f64(number).map(Json::Number).ok_or_else(|| E::custom("a number is not finite"))
    }

    fn visit_borrowed_str<E>(self, text: &'de str) -> Result<Json<'de>, E> {
        Ok(Json::String(text.into()))
    }

    fn visit_str<E>(self, text: &str) -> Result<Json<'de>, E> {
        Ok(Json::String(text.to_owned().into()))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut array: A) -> Result<Json<'de>, A::Error> {
        let mut elements = Vec::new();
        while let Some(element) = array.next_element()? {
            elements.push(element);
        }
        Ok(Json::Array(elements))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut object: A) -> Result<Json<'de>, A::Error> {
        #[derive(Deserialize)]
        struct Name<'n>(#[serde(borrow)] Cow<'n, str>);

        let mut fields = Vec::new();
        while let Some((Name(name), value)) = object.next_entry()? {
            fields.push((name, value));
        }
        Ok(Json::Object(Fields(fields)))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    fn any_json() -> impl Strategy<Value = Value> {
        let leaf = prop_oneof![
            Just(Value::Null),
            any::<bool>().prop_map(Value::from),
            any::<i64>().prop_map(Value::from),
            any::<u64>().prop_map(Value::from),
            any::<f64>()
                .prop_filter("JSON has no infinities", |number| number.is_finite())
                .prop_map(Value::from),
            ".{0,5}".prop_map(Value::from),
        ];
        leaf.prop_recursive(4, 40, 5, |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..5).prop_map(Value::from),
                prop::collection::vec((".{0,3}", inner), 0..5).prop_map(|pairs| pairs.into_iter().collect()),
            ]
        })
    }

    proptest! {
        /// Both parsers return the same document.
        #[test]
        fn it_is_what_serde_json_reads(value in any_json()) {
            let text = serde_json::to_string(&value).unwrap();
            let json: Json<'_> = serde_json::from_str(&text).unwrap();
            // Parsed again, because `serde_json` does not round-trip all floating-point numbers exactly.
            let value: Value = serde_json::from_str(&text).unwrap();
            prop_assert_eq!(&json, &Json::from(&value));
            prop_assert_eq!(serde_json::to_string(&Value::from(&json)).unwrap(), serde_json::to_string(&value).unwrap());
        }
    }

    #[test]
    fn strings_are_borrowed_where_nothing_in_them_is_escaped() {
        let json: Json<'_> = serde_json::from_str(r#"{"plain": "text", "es\"caped": "li\nes"}"#).unwrap();
        let Json::Object(Fields(fields)) = json else { panic!("it is an object") };
        let borrowed: Vec<_> = fields
            .iter()
            .map(|(name, value)| {
                let Json::String(text) = value else { panic!("it is a string") };
                (matches!(name, Cow::Borrowed(_)), matches!(text, Cow::Borrowed(_)))
            })
            .collect();
        assert_eq!(borrowed, [(true, true), (false, false)]);
    }

    #[test]
    fn the_last_of_two_counts() {
        let text = r#"{"a": 1, "b": 2, "a": 3}"#;
        let json: Json<'_> = serde_json::from_str(text).unwrap();
        assert_eq!(json.as_object().unwrap().get("a"), Some(&Json::Number(3.into())));
        assert_eq!(Value::from(&json), serde_json::from_str::<Value>(text).unwrap());
    }

    #[test]
    fn a_field_is_set_in_its_place() {
        let object = json!({"a": 1, "b": 2});
        let Json::Object(mut fields) = Json::from(&object) else { panic!("it is an object") };
        fields.set("a".into(), Json::Null);
        fields.set("c".into(), Json::from(&object));
        assert_eq!(Value::from(&Json::Object(fields)).to_string(), r#"{"a":null,"b":2,"c":{"a":1,"b":2}}"#);
    }
}
