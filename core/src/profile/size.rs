//! Number of bytes in a profile: `64Mi`.

use serde::{Deserialize, Serialize};

use crate::quantity::Quantity;

/// Allowed suffixes.
const UNITS: [&str; 6] = ["Ki", "Mi", "Gi", "k", "M", "G"];

/// A whole number of bytes, optionally with one of the suffixes k, M, G, Ki, Mi and Gi. The original text is
/// kept.
#[derive(Deserialize, Serialize, Clone, Debug, PartialEq, Eq)]
#[serde(try_from = "String", into = "String")]
pub struct Size {
    text: String,
    bytes: u64,
}

impl Size {
    /// The number of bytes.
    #[must_use]
    pub fn bytes(&self) -> u64 {
        self.bytes
    }
}

impl TryFrom<String> for Size {
    type Error = String;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        let digits = UNITS.iter().find_map(|unit| text.strip_suffix(unit)).unwrap_or(&text);
        let is_whole = !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit());
        let bytes = Quantity::parse(&text).ok().filter(|_| is_whole).map(Quantity::units);
        match bytes {
            Some(bytes) if (1..i64::MAX.unsigned_abs()).contains(&bytes) => Ok(Self { text, bytes }),
            _ => Err(format!("{text:?} is not a valid size: use a value such as 500k, 64Mi or 1Gi")),
        }
    }
}

impl From<Size> for String {
    fn from(size: Size) -> Self {
        size.text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_size_is_a_whole_number_with_a_suffix() {
        let bytes = |text: &str| Size::try_from(text.to_owned()).map(|size| size.bytes());
        assert_eq!(bytes("1"), Ok(1));
        assert_eq!(bytes("3k"), Ok(3000));
        assert_eq!(bytes("64Mi"), Ok(64 << 20));
        assert_eq!(bytes("2Gi"), Ok(2 << 30));
        for text in ["", "0", "Mi", "-1", "+1", "1.5Gi", "1e3", "1m", "1 Mi", "1mi", "18446744073709551615Ki"]
        {
            let error = bytes(text).unwrap_err();
            assert!(error.starts_with(&format!("{text:?} is not a valid size")), "{error}");
        }
    }

    #[test]
    fn it_is_kept_as_it_was_written() {
        let size: Size = serde_json::from_str(r#""1024Ki""#).unwrap();
        assert_eq!(serde_json::to_string(&size).unwrap(), r#""1024Ki""#);
    }
}
