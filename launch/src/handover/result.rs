//! The result of the sidecar.

use std::error::Error;
use std::fmt;

use super::OneLine;

/// The result of storing the outputs of an attempt.
///
/// Its file contains one line: `stored`, or `failed` and a message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum StoreResult {
    /// All outputs are stored.
    Stored,
    /// At least one output is not stored, with the error.
    Failed(OneLine),
}

impl StoreResult {
    /// The maximum size of the file, in bytes.
    pub(super) const MAX_BYTES: u64 = "failed \n".len() as u64 + OneLine::MAX_BYTES as u64;

    /// The content of the file.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        match self {
            Self::Stored => b"stored\n".to_vec(),
            Self::Failed(message) => ["failed ", message.as_str(), "\n"].concat().into_bytes(),
        }
    }

    /// Parses the content of the file.
    ///
    /// # Errors
    /// It does not have the format of [`Self::encode`].
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

/// The content of a file is not a [`StoreResult`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct InvalidResult;

impl fmt::Display for InvalidResult {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("must be `stored`, or `failed` and a message")
    }
}

impl Error for InvalidResult {}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn parse_reverses_encode(text in any::<String>()) {
            for result in [StoreResult::Stored, StoreResult::Failed(OneLine::new(&text))] {
                let bytes = result.encode();
                prop_assert!(bytes.len() as u64 <= StoreResult::MAX_BYTES);
                prop_assert_eq!(StoreResult::parse(&bytes), Ok(result));
            }
        }

        #[test]
        fn encode_reverses_parse(bytes in "(stored|failed|failed )[a-z \\n\\x00]{0,4}\n?") {
            if let Ok(result) = StoreResult::parse(bytes.as_bytes()) {
                prop_assert_eq!(result.encode(), bytes.as_bytes());
            }
        }
    }

    #[test]
    fn rejects_truncated_and_additional_content() {
        for bytes in ["", "\n", "stored", "stored \n", "stored\n\n", "failed\n", "failed a\nb\n", "Stored\n"]
        {
            assert_eq!(StoreResult::parse(bytes.as_bytes()), Err(InvalidResult), "{bytes:?}");
        }
        assert_eq!(StoreResult::parse(b"failed \xff\n"), Err(InvalidResult));
    }
}
