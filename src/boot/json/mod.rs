//! JSON responses: names and values of an object, as env or as files.
//!
//! An object is read pair by pair, because a map would silently keep the last of two values with the same
//! name.

mod text;

use std::fmt;

use serde::de::{Deserializer as _, Error as _, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde_json::value::RawValue;

use super::exclude::ExcludedKeys;
use super::sink::{EntryKind, Sink};
use super::source::SourceError;
use crate::http::Body;
pub(crate) use text::JsonText;

/// Maximum size of a JSON response. It is kept in memory, because nothing in an object can be found without
/// reading all of it. Twice this size, while the buffer grows, keeps boot below 32 MB.
pub(crate) const MAX_BYTES: u64 = 8 << 20;

/// Reads the whole body, if there is enough memory. The buffer is allocated at once if the size is announced;
/// otherwise it doubles, with a memory check before each step.
pub(crate) async fn read(body: &mut Body, sink: &Sink<'_>) -> Result<Vec<u8>, SourceError> {
    body.limit(MAX_BYTES);
    let mut all = Vec::new();
    let announced = body.announced().unwrap_or_default().min(MAX_BYTES);
    make_room(&mut all, usize::try_from(announced).unwrap_or_default(), sink)?;
    while let Some(chunk) = body.chunk().await? {
        make_room(&mut all, chunk.len(), sink)?;
        all.extend_from_slice(&chunk);
    }
    Ok(all)
}

fn make_room(all: &mut Vec<u8>, more: usize, sink: &Sink<'_>) -> Result<(), SourceError> {
    let needed = all.len().saturating_add(more);
    if needed <= all.capacity() {
        return Ok(());
    }
    let capacity = needed.max(all.capacity().saturating_mul(2));
    // The old buffer is still allocated while its bytes are copied.
    sink.has_memory(capacity as u64)?;
    all.reserve_exact(capacity.saturating_sub(all.len()));
    Ok(())
}

/// An object as raw JSON; empty if it is `null`, as Go writes an empty map. Its pairs are read one by one,
/// because a list of them would need many times the memory.
#[derive(Clone, Copy, Default, serde::Deserialize)]
#[serde(transparent)]
pub(crate) struct Object<'j>(#[serde(borrow)] Option<&'j RawValue>);

impl<'j> Object<'j> {
    /// Visits names and values in order, including duplicates.
    pub(crate) fn each(
        self,
        mut visit: impl FnMut(String, &'j RawValue) -> Result<(), SourceError>,
    ) -> Result<(), SourceError> {
        let Some(value) = self.0 else { return Ok(()) };
        let mut stopped = None;
        let visitor = Pairs(|name, value| visit(name, value).map_err(|error| stopped = Some(error)).is_ok());
        let read = serde_json::Deserializer::from_str(value.get()).deserialize_map(visitor);
        match stopped {
            Some(error) => Err(error),
            None => read.map_err(|error| json_error(&error)),
        }
    }
}

/// A visitor of pairs that stops when its function returns false.
struct Pairs<F>(F);

impl<'de, F: FnMut(String, &'de RawValue) -> bool> Visitor<'de> for Pairs<F> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(mut self, mut map: A) -> Result<(), A::Error> {
        while let Some((name, value)) = map.next_entry()? {
            if !(self.0)(name, value) {
                return Err(A::Error::custom("stopped"));
            }
        }
        Ok(())
    }
}

/// Finds the item at a position of an array.
struct Nth(usize);

impl<'de> Visitor<'de> for Nth {
    type Value = Option<&'de RawValue>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a list")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Self::Value, A::Error> {
        for _ in 0..self.0 {
            if items.next_element::<IgnoredAny>()?.is_none() {
                return Ok(None);
            }
        }
        let found = items.next_element()?;
        while items.next_element::<IgnoredAny>()?.is_some() {}
        Ok(found)
    }
}

/// Describes a JSON error without quoting the input: the parser's own message may contain values.
pub(crate) fn json_error(error: &serde_json::Error) -> SourceError {
    let (line, column) = (error.line(), error.column());
    let problem = match error.classify() {
        serde_json::error::Category::Data => "JSON with an unexpected structure",
        serde_json::error::Category::Eof => "truncated JSON",
        _ => "not JSON",
    };
    SourceError::Content(format!(
        "the response is {problem}, at line {line} column {column}: correct the request, or the server"
    ))
}

/// Finds the object at `pointer`.
pub(crate) fn object<'j>(json: &'j [u8], pointer: &str) -> Result<Object<'j>, SourceError> {
    let mut value: &RawValue = serde_json::from_slice(json).map_err(|error| json_error(&error))?;
    for token in pointer.split('/').skip(1) {
        let token = token.replace("~1", "/").replace("~0", "~");
        value = step(value, &token).ok_or_else(|| {
            SourceError::Content(format!(
                "the response has no {pointer:?} ({token:?} not found): correct json[].pointer"
            ))
        })?;
    }
    // Only the brace is checked: the pairs are parsed when they are visited.
    if !value.get().starts_with('{') {
        return Err(SourceError::Content(format!(
            "the response has no object at {pointer:?}: correct json[].pointer"
        )));
    }
    Ok(Object(Some(value)))
}

fn step<'j>(at: &'j RawValue, token: &str) -> Option<&'j RawValue> {
    if at.get().starts_with('[') {
        return serde_json::Deserializer::from_str(at.get())
            .deserialize_seq(Nth(token.parse().ok()?))
            .ok()?;
    }
    if !at.get().starts_with('{') {
        return None;
    }
    let mut found = None;
    let visited = Object(Some(at)).each(|name, value| {
        if name == token {
            found = Some(value);
        }
        Ok(())
    });
    visited.ok().and(found)
}

/// Writes each pair that is not excluded to the sink, with `prefix` before its name.
pub(crate) fn write_entries(
    object: Object<'_>,
    kind: EntryKind,
    prefix: &str,
    exclude: &[String],
    sink: &mut Sink<'_>,
) -> Result<(), SourceError> {
    let mut excluded = ExcludedKeys::new(exclude);
    object.each(|name, value| {
        if excluded.excludes(&name) {
            return Ok(());
        }
        write_text(JsonText::parse(&name, value)?, kind, &format!("{prefix}{name}"), sink)
    })?;
    excluded.note(sink);
    Ok(())
}

/// Writes a value to the sink, as the variable or file `name`.
pub(crate) fn write_text(
    text: JsonText<'_>,
    kind: EntryKind,
    name: &str,
    sink: &mut Sink<'_>,
) -> Result<(), SourceError> {
    match kind {
        EntryKind::Env | EntryKind::Secrets => sink.write_entry(kind, name, text.whole()?.as_bytes()),
        EntryKind::Files => write_file(text, name, sink),
    }
}

fn write_file(mut text: JsonText<'_>, path: &str, sink: &mut Sink<'_>) -> Result<(), SourceError> {
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
            let mut names = Vec::new();
            object(json, pointer)
                .and_then(|object| {
                    object.each(|name, _| {
                        names.push(name);
                        Ok(())
                    })
                })
                .map(|()| names.join(" "))
                .map_err(|error| error.to_string())
        };
        assert_eq!(names("/a~1b/1/y").unwrap(), "B A B");
        assert_eq!(names("/a~1b/0").unwrap(), "x");
        assert_eq!(names("/m~0n").unwrap(), "C");
        assert_eq!(names("").unwrap(), "a/b m~n t");
        for (pointer, part) in [
            ("/gone/x", r#"no "/gone/x" ("gone" not found)"#),
            ("/a~1b/2", r#"("2" not found)"#),
            ("/t", r#"no object at "/t""#),
            ("/t/u", r#"("u" not found)"#),
        ] {
            let error = names(pointer).unwrap_err();
            assert!(error.contains(part) && !error.contains("hunter2"), "{error}");
        }
    }

    #[test]
    fn errors_of_invalid_json_quote_no_values() {
        for json in ["hunter2", "{\"a\": hunter2}", "{\"a\": \"hunter2", "", "\"hunter2\""] {
            let error = object(json.as_bytes(), "").err().unwrap().to_string();
            assert!(!error.contains("hunter2"), "{error}");
        }
    }
}
