//! JSON answers: an object's names and values, as env or as files.
//!
//! An object is read pair by pair: a map would keep the last of two values of the same name, and not tell.

mod text;

use std::fmt;

use serde::de::{Deserialize, Deserializer, MapAccess, Visitor};
use serde_json::value::RawValue;

use super::exclude::ExcludedKeys;
use super::sink::{EntryKind, Sink};
use super::source::SourceError;
use crate::http::Body;
pub(crate) use text::JsonText;

/// How many bytes of JSON boot takes: it keeps them in memory, as nothing in an object can be found without
/// reading it all. Twice as much, while it grows, leaves boot below 32 MB.
pub(crate) const MAX_BYTES: u64 = 8 << 20;

/// The whole body, where memory holds it: while it comes, it grows to twice its size.
pub(crate) async fn read(body: &mut Body, sink: &Sink<'_>) -> Result<Vec<u8>, SourceError> {
    sink.has_memory(body.announced().unwrap_or_default().saturating_mul(2))?;
    Ok(body.read(MAX_BYTES).await?)
}

/// An object's names and values in their order, with what comes twice. Values are [`RawValue`]s, read one by one: all of
/// them beside the JSON would take its room twice.
pub(crate) struct Pairs<V>(pub(crate) Vec<(String, V)>);

impl<V> Default for Pairs<V> {
    fn default() -> Self {
        Self(Vec::new())
    }
}

impl<'de, V: Deserialize<'de>> Deserialize<'de> for Pairs<V> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Read<V>(std::marker::PhantomData<V>);

        impl<'de, V: Deserialize<'de>> Visitor<'de> for Read<V> {
            type Value = Pairs<V>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
                let mut pairs = Vec::new();
                while let Some(pair) = map.next_entry()? {
                    pairs.push(pair);
                }
                Ok(Pairs(pairs))
            }

            /// Go writes an empty map like this.
            fn visit_unit<E>(self) -> Result<Self::Value, E> {
                Ok(Pairs::default())
            }
        }

        deserializer.deserialize_any(Read(std::marker::PhantomData))
    }
}

/// What is wrong with JSON, without a word of it: the parser's own sentence may quote values.
pub(crate) fn broken(error: &serde_json::Error) -> SourceError {
    let (line, column) = (error.line(), error.column());
    let what = match error.classify() {
        serde_json::error::Category::Data => "JSON of another shape than it should be",
        serde_json::error::Category::Eof => "JSON that breaks off",
        _ => "no JSON",
    };
    SourceError::Content(format!(
        "the answer is {what}, at line {line} column {column}: correct the request, or the server"
    ))
}

/// The names and values of the object at `pointer`.
pub(crate) fn object<'j>(json: &'j [u8], pointer: &str) -> Result<Pairs<&'j RawValue>, SourceError> {
    let mut at: &RawValue = serde_json::from_slice(json).map_err(|error| broken(&error))?;
    for token in pointer.split('/').skip(1) {
        let token = token.replace("~1", "/").replace("~0", "~");
        at = step(at, &token).ok_or_else(|| {
            SourceError::Content(format!(
                "the answer has nothing at {pointer:?} (looking for {token:?}): correct json[].pointer"
            ))
        })?;
    }
    // Only an object's braces are looked at: what is in there is the source's.
    if !at.get().starts_with('{') {
        return Err(SourceError::Content(format!(
            "the answer has no object at {pointer:?}: point json[].pointer at one"
        )));
    }
    serde_json::from_str(at.get()).map_err(|error| broken(&error))
}

fn step<'j>(at: &'j RawValue, token: &str) -> Option<&'j RawValue> {
    if let Ok(items) = serde_json::from_str::<Vec<&RawValue>>(at.get()) {
        return items.get(token.parse::<usize>().ok()?).copied();
    }
    let Pairs(pairs) = serde_json::from_str::<Pairs<&RawValue>>(at.get()).ok()?;
    pairs.into_iter().rev().find_map(|(name, value)| (name == token).then_some(value))
}

/// Gives each pair whose name `exclude` does not leave out, its name behind `prefix`.
pub(crate) fn give(
    pairs: Pairs<&RawValue>,
    gives: EntryKind,
    prefix: &str,
    exclude: &[String],
    sink: &mut Sink<'_>,
) -> Result<(), SourceError> {
    let mut excluded = ExcludedKeys::by(exclude);
    for (name, value) in pairs.0 {
        if excluded.leaves_out(&name) {
            continue;
        }
        let (text, name) = (JsonText::parse(&name, value)?, format!("{prefix}{name}"));
        match gives {
            EntryKind::Env | EntryKind::Secrets => {
                sink.write_entry(gives, &name, text.whole()?.as_bytes())?
            }
            EntryKind::Files => give_file(text, &name, sink)?,
        }
    }
    excluded.note(sink);
    Ok(())
}

fn give_file(mut text: JsonText<'_>, path: &str, sink: &mut Sink<'_>) -> Result<(), SourceError> {
    let mut file = sink.create(path)?;
    while let Some(piece) = text.piece()? {
        file.write(piece.as_bytes())?;
    }
    sink.finish(file)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pointer_finds_an_object() {
        let json = br#"{"a/b": [{"x": 1}, {"y": {"B": "2", "A": "1", "B": "3"}}], "m~n": {"C": true}, "t": "hunter2"}"#;
        let names = |pointer: &str| {
            object(json, pointer)
                .map(|pairs| pairs.0.into_iter().map(|(name, _)| name).collect::<Vec<_>>().join(" "))
                .map_err(|error| error.to_string())
        };
        assert_eq!(names("/a~1b/1/y").unwrap(), "B A B");
        assert_eq!(names("/m~0n").unwrap(), "C");
        assert_eq!(names("").unwrap(), "a/b m~n t");
        for (pointer, why) in [
            ("/gone/x", r#"nothing at "/gone/x" (looking for "gone")"#),
            ("/a~1b/2", r#"(looking for "2")"#),
            ("/t", r#"no object at "/t""#),
            ("/t/u", r#"(looking for "u")"#),
        ] {
            let error = names(pointer).unwrap_err();
            assert!(error.contains(why) && !error.contains("hunter2"), "{error}");
        }
    }

    #[test]
    fn what_is_no_json_is_not_quoted() {
        for json in ["hunter2", "{\"a\": hunter2}", "{\"a\": \"hunter2", "", "\"hunter2\""] {
            let error = object(json.as_bytes(), "").err().unwrap().to_string();
            assert!(!error.contains("hunter2"), "{error}");
        }
    }
}
