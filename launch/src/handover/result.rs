//! What the sidecar answers.

use std::error::Error;
use std::fmt;

use super::OneLine;

/// The sidecar's word on an attempt's outputs.
///
/// In its file it is one line: `stored`, or `failed` and a sentence.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum StoreResult {
    /// Every output is stored.
    Stored,
    /// At least one is not, and why.
    Failed(OneLine),
}

impl StoreResult {
    /// The most that a word's file can have, in bytes.
    pub(super) const MAX_BYTES: u64 = "failed \n".len() as u64 + OneLine::MAX_BYTES as u64;

    /// The word as its file's content.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        match self {
            Self::Stored => b"stored\n".to_vec(),
            Self::Failed(sentence) => ["failed ", sentence.as_str(), "\n"].concat().into_bytes(),
        }
    }

    /// Reads a word's file.
    ///
    /// # Errors
    /// It is not what [`Self::encode`] writes.
    pub fn parse(bytes: &[u8]) -> Result<Self, InvalidResult> {
        let line =
            str::from_utf8(bytes).ok().and_then(|text| text.strip_suffix('\n')).ok_or(InvalidResult)?;
        match line.split_once(' ') {
            None if line == "stored" => Ok(Self::Stored),
            Some(("failed", text)) => OneLine::exactly(text).map(Self::Failed).ok_or(InvalidResult),
            _ => Err(InvalidResult),
        }
    }
}

/// A file that holds no [`StoreResult`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct InvalidResult;

impl fmt::Display for InvalidResult {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("it is neither `stored` nor `failed` and a sentence")
    }
}

impl Error for InvalidResult {}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn a_word_is_read_back(text in any::<String>()) {
            for word in [StoreResult::Stored, StoreResult::Failed(OneLine::new(&text))] {
                let bytes = word.encode();
                prop_assert!(bytes.len() as u64 <= StoreResult::MAX_BYTES);
                prop_assert_eq!(StoreResult::parse(&bytes), Ok(word));
            }
        }

        #[test]
        fn what_is_read_is_written_the_same(bytes in "(stored|failed|failed )[a-z \\n\\x00]{0,4}\n?") {
            if let Ok(word) = StoreResult::parse(bytes.as_bytes()) {
                prop_assert_eq!(word.encode(), bytes.as_bytes());
            }
        }
    }

    #[test]
    fn refuses_what_was_cut_short_or_goes_on() {
        for bytes in ["", "\n", "stored", "stored \n", "stored\n\n", "failed\n", "failed a\nb\n", "Stored\n"]
        {
            assert_eq!(StoreResult::parse(bytes.as_bytes()), Err(InvalidResult), "{bytes:?}");
        }
        assert_eq!(StoreResult::parse(b"failed \xff\n"), Err(InvalidResult));
    }
}
