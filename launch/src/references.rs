//! The format of the references file: the texts in the spec of a container that refer to variables that boot
//! can provide.
//!
//! The kubelet expands `$(NAME)` in `command`, `args` and `env` of a container before the launcher runs, and
//! does not change a reference to an unknown variable, such as one of the boot env. Therefore boot writes
//! those texts for the launcher as they are in the spec. Each is a record as in [`crate::environ`]: the place
//! of the text, `=`, and the text.

use crate::environ::{self, ParseError};

/// The place of a text in the spec.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ReferenceLocation<'a> {
    /// The word at this position in `command` and `args` together. The first has the position 0.
    Argument(usize),
    /// The value of the variable of this name in `env`.
    Variable(&'a str),
}

/// The start of the key of an argument, before its position.
const ARGUMENT: &str = "argument:";
/// The start of the key of a variable, before its name.
const VARIABLE: &str = "variable:";

impl<'a> ReferenceLocation<'a> {
    /// The name of the record.
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

/// Parses a references file: places and texts, in the order in which they have to be expanded.
///
/// # Errors
/// A record does not have this format, or the last one is not terminated.
pub fn parse<'a>(bytes: &'a [u8]) -> Result<Vec<(ReferenceLocation<'a>, &'a str)>, ParseError> {
    let parse = |(number, record): (usize, environ::Record<'a>)| {
        let place = record.name().to_str().and_then(ReferenceLocation::from_key);
        place.zip(record.value().to_str()).ok_or(ParseError::Malformed { record: number })
    };
    (1..).zip(environ::parse(bytes)?).map(parse).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_is_parsed_from_its_key() {
        for place in [
            ReferenceLocation::Argument(0),
            ReferenceLocation::Argument(12),
            ReferenceLocation::Variable("URL"),
            ReferenceLocation::Variable("a.b:c"),
        ] {
            let bytes = format!("{}=$(X)=1\0", place.key());
            assert_eq!(parse(bytes.as_bytes()).unwrap(), [(place, "$(X)=1")]);
        }
    }

    #[test]
    fn rejects_an_invalid_place() {
        for bytes in [&b"argument:x=1\0"[..], b"URL=1\0", b"argument:0=\xff\0"] {
            assert_eq!(parse(bytes), Err(ParseError::Malformed { record: 1 }), "{bytes:?}");
        }
    }
}
