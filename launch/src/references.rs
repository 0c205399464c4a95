//! The references file's format: what of a container's spec refers to variables that boot may give.
//!
//! The kubelet expands `$(NAME)` in a container's `command`, `args` and `env` before the launcher runs, and leaves
//! a reference as it is where it knows no variable of that name, be it one that boot gives. So boot leaves those
//! texts for the launcher as the spec has them. They are records as in [`crate::environ`]: where a text stands,
//! `=`, and the text.

use crate::environ::{self, ParseError};

/// Where a text stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Place<'a> {
    /// The word at this position in `command` and `args` together, from 0.
    Argument(usize),
    /// The value of the variable of this name in `env`.
    Variable(&'a str),
}

/// What an argument's record begins with; its position follows.
const ARGUMENT: &str = "argument:";
/// What a variable's record begins with; its name follows.
const VARIABLE: &str = "variable:";

impl<'a> Place<'a> {
    /// The name of its record.
    #[must_use]
    pub fn key(&self) -> String {
        match self {
            Self::Argument(position) => format!("{ARGUMENT}{position}"),
            Self::Variable(name) => format!("{VARIABLE}{name}"),
        }
    }

    fn from_key(key: &'a str) -> Option<Self> {
        if let Some(name) = key.strip_prefix(VARIABLE) {
            return Some(Self::Variable(name));
        }
        Some(Self::Argument(key.strip_prefix(ARGUMENT)?.parse().ok()?))
    }
}

/// Reads a references file: places and texts, in the order in which they are to be expanded.
///
/// # Errors
/// A record is none of this format, or the last one is not ended.
pub fn parse<'a>(bytes: &'a [u8]) -> Result<Vec<(Place<'a>, &'a str)>, ParseError> {
    let read = |(number, record): (usize, environ::Record<'a>)| {
        let place = record.name().to_str().and_then(Place::from_key);
        place.zip(record.value().to_str()).ok_or(ParseError::Malformed { record: number })
    };
    (1..).zip(environ::parse(bytes)?).map(read).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_is_read_back_from_its_key() {
        for place in
            [Place::Argument(0), Place::Argument(12), Place::Variable("URL"), Place::Variable("a.b:c")]
        {
            let bytes = format!("{}=$(X)=1\0", place.key());
            assert_eq!(parse(bytes.as_bytes()).unwrap(), [(place, "$(X)=1")]);
        }
    }

    #[test]
    fn refuses_what_is_no_place() {
        for bytes in [&b"argument:x=1\0"[..], b"URL=1\0", b"argument:0=\xff\0"] {
            assert_eq!(parse(bytes), Err(ParseError::Malformed { record: 1 }), "{bytes:?}");
        }
    }
}
