//! A message that one container sends to another.

use std::fmt;

use crate::code;

/// One line without control characters, so that it cannot break the format of a file, a log line or a
/// terminal.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OneLine(String);

impl OneLine {
    /// The maximum in bytes: the message of an Event has at most 1024 characters (`NoteLengthLimit`).
    pub const MAX_BYTES: usize = 1024;

    /// Replaces control characters with spaces, and truncates a text that is too long. A code at its end is
    /// kept.
    #[must_use]
    pub fn new(text: &str) -> Self {
        let line: String = text.chars().map(|char| if char.is_control() { ' ' } else { char }).collect();
        Self(code::truncate(line.trim(), Self::MAX_BYTES).into_owned())
    }

    /// The text of the message.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Accepts only a text that [`Self::new`] does not change.
    pub(super) fn exactly(text: &str) -> Option<Self> {
        Some(Self::new(text)).filter(|line| line.0 == text)
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
        assert_eq!(OneLine::new(" \x01a\nb\x1b[31m\u{85}c\t\x01").as_str(), "a b [31m c");
        assert_eq!(OneLine::new(&"é".repeat(1000)).as_str().len(), 1023);
        assert_eq!(OneLine::new(&format!("{}  {}", "y".repeat(1019), "x".repeat(9))).as_str().len(), 1022);
        let with_code = OneLine::new(&format!("{} [BL7508]", "é".repeat(1000)));
        assert!(with_code.as_str().len() <= 1024 && with_code.as_str().ends_with("é… [BL7508]"));
    }
}
