//! Digests of blobs: the SHA-256 of their bytes.

use std::fmt;
use std::str::FromStr;

use serde::Deserialize;
use sha2::{Digest as _, Sha256};

/// A digest of the OCI image specification: `sha256:` and 64 hexadecimal digits. The specification also
/// allows sha512, but no common registry uses it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Deserialize)]
#[serde(try_from = "String")]
pub(crate) struct Digest {
    hex: String,
}

const ALGORITHM: &str = "sha256:";

/// The text is not a digest.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("the digest is invalid: must be sha256: and 64 lowercase hexadecimal digits")]
pub(crate) struct InvalidDigest;

impl Digest {
    /// Computes the digest of bytes.
    pub(crate) fn of(bytes: &[u8]) -> Self {
        Self { hex: hex::encode(Sha256::digest(bytes)) }
    }

    /// The hexadecimal digits.
    pub(crate) fn hex(&self) -> &str {
        &self.hex
    }
}

impl FromStr for Digest {
    type Err = InvalidDigest;

    fn from_str(text: &str) -> Result<Self, InvalidDigest> {
        let hex = text.strip_prefix(ALGORITHM).ok_or(InvalidDigest)?;
        let digits = hex.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'));
        if hex.len() == 64 && digits { Ok(Self { hex: hex.to_owned() }) } else { Err(InvalidDigest) }
    }
}

impl TryFrom<String> for Digest {
    type Error = InvalidDigest;

    fn try_from(text: String) -> Result<Self, InvalidDigest> {
        text.parse()
    }
}

impl fmt::Display for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{ALGORITHM}{}", self.hex)
    }
}
