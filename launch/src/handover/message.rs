//! A sentence that one container tells another.

use std::fmt;

/// One line without control characters, so that it cannot break out of its record, a log line or a terminal.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OneLine(String);

impl OneLine {
    /// The most that is kept, in bytes: an Event's message takes 1024 characters (`NoteLengthLimit`).
    pub const MAX_BYTES: usize = 1024;

    /// Puts a space in the place of each control character, and cuts what is too long.
    #[must_use]
    pub fn new(text: &str) -> Self {
        let line: String =
            text.trim().chars().map(|char| if char.is_control() { ' ' } else { char }).collect();
        let cut = line.floor_char_boundary(Self::MAX_BYTES);
        Self(line.get(..cut).unwrap_or(&line).trim_end().to_owned())
    }

    /// The sentence's text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Takes a text that is a sentence as it is.
    pub(super) fn exactly(text: &str) -> Option<Self> {
        Some(Self::new(text)).filter(|sentence| sentence.0 == text)
    }
}

impl fmt::Display for OneLine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn is_one_line_of_bounded_length() {
        assert_eq!(OneLine::new(" a\nb\x1b[31m\u{85}c\t").as_str(), "a b [31m c");
        assert_eq!(OneLine::new(&"é".repeat(1000)).as_str().len(), 1024);
        assert_eq!(OneLine::new(&format!("{}  x", "y".repeat(1023))).as_str().len(), 1023);
    }
}
