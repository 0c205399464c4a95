//! Content of an output: files by name, as the data of an object. The sidecar validates it before it sends
//! it, and the store validates it again.

use std::collections::BTreeMap;

use bootlace_launch::handover::{MAX_FILES, is_data_key};
use k8s_openapi::ByteString;

/// Files of an output, by their names in the object.
pub type ObjectData = BTreeMap<String, ByteString>;

/// Maximum bytes of an object with the names of its keys. The API server only counts the values
/// (`ValidateSecret`, `ValidateConfigMap`), so it accepts every object within this limit.
pub const MAX_BYTES: usize = 1024 * 1024;

/// Bytes of an output with its names.
#[must_use]
pub fn size(data: &ObjectData) -> usize {
    data.iter().map(|(name, value)| name.len() + value.0.len()).sum()
}

/// Checks that an object can contain it, and returns its size.
///
/// # Errors
/// If it is empty or too large, or a name is not a valid data key.
pub fn check(data: &ObjectData) -> Result<u32, DataError> {
    if data.is_empty() {
        return Err(DataError::Empty);
    }
    if let Some(name) = data.keys().find(|name| !is_data_key(name)) {
        return Err(DataError::Name(name.chars().take(253).collect()));
    }
    if data.len() > MAX_FILES {
        return Err(DataError::TooMany(data.len()));
    }
    let bytes = size(data);
    match u32::try_from(bytes) {
        Ok(size) if bytes <= MAX_BYTES => Ok(size),
        _ => Err(DataError::TooLarge(bytes)),
    }
}

/// The text of a file for `data` of a `ConfigMap`; `None` if it is binary.
///
/// Files with control characters count as binary too, because JSON encodes each with six bytes: a file full
/// of them would exceed the request limit of the API server.
#[must_use]
pub fn text(bytes: &[u8]) -> Option<&str> {
    let control = |byte: &u8| byte.is_ascii_control() && !matches!(byte, b'\n' | b'\r' | b'\t');
    str::from_utf8(bytes).ok().filter(|_| !bytes.iter().any(control))
}

/// Why an object cannot contain an output.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum DataError {
    /// It has no files.
    #[error("the output has no files: write at least one")]
    Empty,
    /// The name of a file.
    #[error(
        "file name {0:?} is not a valid key of a ConfigMap or Secret: use letters, digits, \"-\", \"_\" and \".\", and at \
         most 253 characters"
    )]
    Name(String),
    /// The number of files.
    #[error("the output has {0} files, the limit is {MAX_FILES}: pack them into one")]
    TooMany(usize),
    /// Its size in bytes.
    #[error(
        "the output has {0} bytes with the names of its files, the limit of a ConfigMap or Secret is {MAX_BYTES}: store large \
         files elsewhere, and their address as the output"
    )]
    TooLarge(usize),
}

#[cfg(test)]
mod tests {
    use super::*;

    fn data(files: &[(&str, usize)]) -> ObjectData {
        files.iter().map(|(name, size)| ((*name).to_owned(), ByteString(vec![b'x'; *size]))).collect()
    }

    #[test]
    fn names_count_and_one_byte_more_is_too_much() {
        assert_eq!(check(&data(&[("a.txt", 0)])), Ok(5));
        assert_eq!(check(&data(&[("a", MAX_BYTES - 3), ("bc", 0)])), Ok(1 << 20));
        assert_eq!(check(&data(&[("a", MAX_BYTES - 3), ("bc", 1)])), Err(DataError::TooLarge(MAX_BYTES + 1)));
        assert_eq!(check(&data(&[])), Err(DataError::Empty));
        let files = |count: usize| (0..count).map(|name| (name.to_string(), ByteString(vec![]))).collect();
        check(&files(100)).unwrap();
        assert_eq!(check(&files(101)), Err(DataError::TooMany(101)));
        for name in ["", ".", "..", "..a", "a/b", "a b", "ü", &"n".repeat(254)] {
            assert!(matches!(check(&data(&[(name, 1)])), Err(DataError::Name(_))), "{name}");
        }
    }

    #[test]
    fn what_is_no_plain_text_is_binary() {
        assert_eq!(text("words\r\n\tü ✓".as_bytes()), Some("words\r\n\tü ✓"));
        assert_eq!(text(b""), Some(""));
        for binary in [&b"\xff"[..], b"a\0b", b"\x1b[31m", b"\x7f"] {
            assert_eq!(text(binary), None, "{binary:?}");
        }
    }
}
