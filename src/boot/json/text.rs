//! A JSON value as text, read in pieces: the JSON is already in memory, and the content of a file should not
//! be there a second time.
//!
//! `serde_json` only parses whole strings, so the raw text is split between characters and escapes, and each
//! piece is parsed as a string.

use serde_json::Number;
use serde_json::value::RawValue;

use super::json_error;
use crate::boot::source::SourceError;

/// Size of a piece in bytes of JSON.
const PIECE: usize = 64 * 1024;

/// The rest of a value that is still to be read.
pub(crate) enum JsonText<'j> {
    /// The inside of a string, with its escapes.
    Escaped(&'j str),
    /// Text without escapes.
    Plain(String),
}

impl<'j> JsonText<'j> {
    /// Parses the value of `name`, which must be a string, a number or a boolean. The first byte determines
    /// the type; parsing an array or an object would need many times its size.
    pub(crate) fn parse(name: &str, value: &'j RawValue) -> Result<Self, SourceError> {
        let json = value.get();
        match json.as_bytes().first() {
            Some(b'"') => Ok(Self::Escaped(
                json.strip_prefix('"').and_then(|rest| rest.strip_suffix('"')).unwrap_or_default(),
            )),
            Some(b't' | b'f') => Ok(Self::Plain(json.to_owned())),
            Some(b'-' | b'0'..=b'9') => serde_json::from_str(json)
                .map(|number: Number| Self::Plain(number.to_string()))
                .map_err(|error| json_error(&error)),
            _ => Err(SourceError::Content(format!(
                "the value of {name:?} is null, a list or an object: must be a string, a number or a boolean; let the \
                 server return it as a string"
            ))),
        }
    }

    /// Returns the next piece, or `None` at the end.
    pub(crate) fn piece(&mut self) -> Result<Option<String>, SourceError> {
        match self {
            Self::Escaped("") => Ok(None),
            Self::Plain(text) => Ok(Some(std::mem::take(text)).filter(|text| !text.is_empty())),
            Self::Escaped(text) => {
                let (piece, rest) = text.split_at_checked(end_of_piece(text)).unwrap_or((text, ""));
                *text = rest;
                serde_json::from_str(&format!("\"{piece}\"")).map(Some).map_err(|error| json_error(&error))
            }
        }
    }

    /// Returns the whole text.
    pub(crate) fn whole(mut self) -> Result<String, SourceError> {
        let mut whole = String::new();
        while let Some(piece) = self.piece()? {
            whole.push_str(&piece);
        }
        Ok(whole)
    }

    /// Whether the text contains `words`.
    pub(crate) fn contains(mut self, words: &str) -> Result<bool, SourceError> {
        let mut window = String::new();
        while let Some(piece) = self.piece()? {
            window.push_str(&piece);
            if window.contains(words) {
                return Ok(true);
            }
            // The words may continue in the next piece.
            let kept = window.floor_char_boundary(window.len().saturating_sub(words.len()));
            window.drain(..kept);
        }
        Ok(false)
    }
}

/// Finds the end of the first piece of a string: between two characters, and not inside an escape.
fn end_of_piece(text: &str) -> usize {
    let most = text.floor_char_boundary(PIECE);
    let mut end = 0;
    while end < most {
        let Some(plain) = text.get(end..most).and_then(|rest| rest.find('\\')) else { return most };
        end += plain + escape(text.get(end + plain..).unwrap_or_default());
    }
    end.min(text.len())
}

/// The length of the escape at the start of `text`. A surrogate pair has two escapes and is only valid as a
/// whole.
fn escape(text: &str) -> usize {
    let unicode =
        |text: &str| text.strip_prefix("\\u").and_then(|rest| rest.get(..4)).map(str::to_ascii_lowercase);
    match unicode(text) {
        Some(first) if matches!(first.get(..2), Some("d8" | "d9" | "da" | "db")) => {
            if text.get(6..).and_then(unicode).is_some() { 12 } else { 6 }
        }
        Some(_) => 6,
        None => 2,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn text(json: &str) -> Result<String, String> {
        let value: &RawValue = serde_json::from_str(json).unwrap();
        JsonText::parse("X", value).and_then(JsonText::whole).map_err(|error| error.to_string())
    }

    #[test]
    fn values_are_converted_to_text() {
        for (json, expected) in [
            (r#""a\u00e9\n\"b\"""#, "a\u{e9}\n\"b\""),
            (r#""\"""#, "\""),
            (r#""\\""#, "\\"),
            (r#""""#, ""),
            ("true", "true"),
            ("false", "false"),
            ("-1.50", "-1.5"),
            ("7", "7"),
        ] {
            assert_eq!(text(json).unwrap(), expected);
        }
        for json in ["null", r#"["hunter2"]"#, r#"{"a": "hunter2"}"#] {
            let error = text(json).unwrap_err();
            assert!(error.starts_with("the value of \"X\" is null, a list or an object"), "{error}");
        }
        // Lone surrogates, which are not valid text.
        for json in [r#""hunter2 \ud800""#, r#""\ud800hunter2""#, r#""\udc00\ud800 hunter2""#] {
            let error = text(json).unwrap_err();
            assert!(!error.contains("hunter2"), "{error}");
        }
    }

    #[test]
    fn words_across_pieces_are_found() {
        for before in PIECE - 12..PIECE + 2 {
            for words in ["<no value>", "\u{20ac}"] {
                let json =
                    serde_json::to_string(&format!("{}{words}, and more", "x".repeat(before))).unwrap();
                // Go escapes `<`.
                for json in [json.clone(), json.replace('<', "\\u003c")] {
                    let value: &RawValue = serde_json::from_str(&json).unwrap();
                    assert!(JsonText::parse("X", value).unwrap().contains(words).unwrap(), "{before}");
                    assert!(
                        !JsonText::parse("X", value).unwrap().contains("<no values>").unwrap(),
                        "{before}"
                    );
                }
            }
        }
    }

    /// A string of `units`, repeated until it has several pieces, after `shift` other bytes.
    fn string(units: &[&str], shift: usize) -> String {
        let unit: String = units.concat();
        format!("\"{}{}\"", "x".repeat(shift), unit.repeat(2 * PIECE / unit.len().max(1) + 1))
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(32))]

        /// Pieces yield the same text as `serde_json`, wherever they end.
        #[test]
        fn pieces_yield_the_same_text_as_serde_json(
            units in prop::collection::vec(
                prop::sample::select([
                    "a", "\u{e9}", "\u{1f600}", "\\n", "\\\\", "\\\"", "\\u00e9", "\\ud83d\\ude00", "\\uD83D\\uDE00",
                ].as_slice()),
                1..8,
            ),
            shift in 0_usize..16,
        ) {
            let json = string(&units, shift);
            prop_assert_eq!(text(&json).unwrap(), serde_json::from_str::<String>(&json).unwrap());
        }
    }
}
