//! A JSON value as text, a piece at a time: the JSON itself is in memory already, and a file's content should not be there
//! once more.
//!
//! `serde_json` gives a string only whole. So its text is cut between two characters or escapes, and `serde_json` reads each
//! piece as a string of its own.

use serde_json::Number;
use serde_json::value::RawValue;

use super::broken;
use crate::boot::source::SourceError;

/// Bytes of JSON that are read at a time.
const PIECE: usize = 64 * 1024;

/// What is left to read of a value.
pub(crate) enum JsonText<'j> {
    /// A string, without its quotes.
    Escaped(&'j str),
    /// What stands in the JSON as it is meant.
    Plain(String),
}

impl<'j> JsonText<'j> {
    /// The value of `name`: a string, a number or a boolean. What it is, its first byte says; reading a list or an object
    /// would take many times its room.
    pub(crate) fn parse(name: &str, value: &'j RawValue) -> Result<Self, SourceError> {
        let json = value.get();
        match json.as_bytes().first() {
            Some(b'"') => Ok(Self::Escaped(
                json.strip_prefix('"').and_then(|rest| rest.strip_suffix('"')).unwrap_or_default(),
            )),
            Some(b't' | b'f') => Ok(Self::Plain(json.to_owned())),
            Some(b'-' | b'0'..=b'9') => serde_json::from_str(json)
                .map(|number: Number| Self::Plain(number.to_string()))
                .map_err(|error| broken(&error)),
            _ => Err(SourceError::Content(format!(
                "the value of {name:?} is null, a list or an object: must be a string, a number or a boolean; let the \
                 server return it as a string"
            ))),
        }
    }

    /// The next piece; none at the end.
    pub(crate) fn piece(&mut self) -> Result<Option<String>, SourceError> {
        match self {
            Self::Escaped("") => Ok(None),
            Self::Plain(text) => Ok(Some(std::mem::take(text)).filter(|text| !text.is_empty())),
            Self::Escaped(text) => {
                let (piece, rest) = text.split_at_checked(end_of_piece(text)).unwrap_or((text, ""));
                *text = rest;
                serde_json::from_str(&format!("\"{piece}\"")).map(Some).map_err(|error| broken(&error))
            }
        }
    }

    /// All of it.
    pub(crate) fn whole(mut self) -> Result<String, SourceError> {
        let mut whole = String::new();
        while let Some(piece) = self.piece()? {
            whole.push_str(&piece);
        }
        Ok(whole)
    }

    /// Whether it holds `words`.
    pub(crate) fn contains(mut self, words: &str) -> Result<bool, SourceError> {
        let mut held = String::new();
        while let Some(piece) = self.piece()? {
            held.push_str(&piece);
            if held.contains(words) {
                return Ok(true);
            }
            // The words may go on in the next piece.
            let kept = held.floor_char_boundary(held.len().saturating_sub(words.len()));
            held.drain(..kept);
        }
        Ok(false)
    }
}

/// Where the first piece of a string ends: between two characters, and behind an escape that it begins with.
fn end_of_piece(text: &str) -> usize {
    let most = text.floor_char_boundary(PIECE);
    let mut end = 0;
    while end < most {
        let Some(plain) = text.get(end..most).and_then(|rest| rest.find('\\')) else { return most };
        end += plain + escape(text.get(end + plain..).unwrap_or_default());
    }
    end.min(text.len())
}

/// How long the escape is that `text` begins with. One of a character beyond `\uffff` is two, and makes sense only whole.
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
    fn a_value_is_text_as_json_means_it() {
        for (json, says) in [
            (r#""a\u00e9\n\"b\"""#, "a\u{e9}\n\"b\""),
            (r#""\"""#, "\""),
            (r#""\\""#, "\\"),
            (r#""""#, ""),
            ("true", "true"),
            ("false", "false"),
            ("-1.50", "-1.5"),
            ("7", "7"),
        ] {
            assert_eq!(text(json).unwrap(), says);
        }
        for json in ["null", r#"["hunter2"]"#, r#"{"a": "hunter2"}"#] {
            let error = text(json).unwrap_err();
            assert!(error.starts_with("the value of \"X\" is null, a list or an object"), "{error}");
        }
        // What no text can hold.
        for json in [r#""hunter2 \ud800""#, r#""\ud800hunter2""#, r#""\udc00\ud800 hunter2""#] {
            let error = text(json).unwrap_err();
            assert!(!error.contains("hunter2"), "{error}");
        }
    }

    #[test]
    fn words_are_found_wherever_pieces_end() {
        for before in PIECE - 12..PIECE + 2 {
            for words in ["<no value>", "\u{20ac}"] {
                let json =
                    serde_json::to_string(&format!("{}{words}, and more", "x".repeat(before))).unwrap();
                // As Go writes it.
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

    /// A string of `units`, repeated until it has several pieces, behind `shift` other bytes.
    fn string(units: &[&str], shift: usize) -> String {
        let unit: String = units.concat();
        format!("\"{}{}\"", "x".repeat(shift), unit.repeat(2 * PIECE / unit.len().max(1) + 1))
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(32))]

        /// Whatever a string holds, and wherever its pieces end, it reads as `serde_json` reads it.
        #[test]
        fn pieces_make_the_whole(
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
