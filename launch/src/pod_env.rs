//! The file format of the keep list: names of environment variables, each terminated by a NUL byte.
//!
//! It contains the variables that the spec of the pod sets for a container. If the process has such a
//! variable when the launcher starts, the variable keeps its value, because the `env` of the pod overrides
//! the boot env. The other variables of the process come from the image, and the boot env overrides them.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;

use crate::environ::ParseError;

/// Parses the names of a keep list, in their order.
///
/// # Errors
/// A name is empty, or the last one is not terminated by NUL.
pub fn parse(bytes: &[u8]) -> Result<Vec<&OsStr>, ParseError> {
    let mut names = Vec::new();
    for piece in bytes.split_inclusive(|&byte| byte == 0) {
        let record = names.len() + 1;
        match piece.strip_suffix(&[0]) {
            None => return Err(ParseError::Unterminated { record }),
            Some([]) => return Err(ParseError::EmptyName { record }),
            Some(name) => names.push(OsStr::from_bytes(name)),
        }
    }
    Ok(names)
}

/// Encodes names as a keep list, in their order. Omits empty names and names that contain NUL, because no
/// process can have a variable of such a name.
#[must_use]
pub fn encode<'a>(names: impl IntoIterator<Item = &'a OsStr>) -> Vec<u8> {
    let mut bytes = Vec::new();
    for name in names.into_iter().map(OsStr::as_bytes) {
        if !name.is_empty() && !name.contains(&0) {
            bytes.extend_from_slice(name);
            bytes.push(0);
        }
    }
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parse_reverses_encode() {
        let names = [OsStr::new("PATH"), OsStr::from_bytes(b"\xff"), OsStr::new("with.dot-and space")];
        assert_eq!(parse(&encode(names)).unwrap(), names);
        assert_eq!(parse(b"").unwrap(), [] as [&OsStr; 0]);
    }

    #[test]
    fn omits_invalid_names() {
        assert_eq!(encode(["".as_ref(), "A\0B".as_ref(), "C".as_ref()]), b"C\0");
    }

    #[test]
    fn rejects_a_truncated_list_and_an_empty_name() {
        assert_eq!(parse(b"A\0B"), Err(ParseError::Unterminated { record: 2 }));
        assert_eq!(parse(b"A\0\0"), Err(ParseError::EmptyName { record: 2 }));
    }
}
