//! What the sidecar answers.

use std::error::Error;
use std::fmt;

use super::Sentence;

/// The sidecar's word on an attempt's outputs.
///
/// In its file it is one line: `stored`, or `failed` and a sentence.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Word {
    /// Every output is stored.
    Stored,
    /// At least one is not, and why.
    Failed(Sentence),
}

impl Word {
    /// The most that a word's file can have, in bytes.
    pub(super) const MAX_BYTES: u64 = "failed \n".len() as u64 + Sentence::MAX_BYTES as u64;

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
    pub fn parse(bytes: &[u8]) -> Result<Self, WordError> {
        let line = str::from_utf8(bytes).ok().and_then(|text| text.strip_suffix('\n')).ok_or(WordError)?;
        match line.split_once(' ') {
            None if line == "stored" => Ok(Self::Stored),
            Some(("failed", text)) => Sentence::exactly(text).map(Self::Failed).ok_or(WordError),
            _ => Err(WordError),
        }
    }
}

/// A file that holds no [`Word`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct WordError;

impl fmt::Display for WordError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("it is neither `stored` nor `failed` and a sentence")
    }
}

impl Error for WordError {}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn a_word_is_read_back(text in any::<String>()) {
            for word in [Word::Stored, Word::Failed(Sentence::new(&text))] {
                let bytes = word.encode();
                prop_assert!(bytes.len() as u64 <= Word::MAX_BYTES);
                prop_assert_eq!(Word::parse(&bytes), Ok(word));
            }
        }

        #[test]
        fn what_is_read_is_written_the_same(bytes in "(stored|failed|failed )[a-z \\n\\x00]{0,4}\n?") {
            if let Ok(word) = Word::parse(bytes.as_bytes()) {
                prop_assert_eq!(word.encode(), bytes.as_bytes());
            }
        }
    }

    #[test]
    fn refuses_what_was_cut_short_or_goes_on() {
        for bytes in ["", "\n", "stored", "stored \n", "stored\n\n", "failed\n", "failed a\nb\n", "Stored\n"]
        {
            assert_eq!(Word::parse(bytes.as_bytes()), Err(WordError), "{bytes:?}");
        }
        assert_eq!(Word::parse(b"failed \xff\n"), Err(WordError));
    }
}
