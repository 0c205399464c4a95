//! The keep list's file format: names of environment variables, each ended by a NUL byte.
//!
//! It names what the pod's spec sets itself for one container. Where the process holds such a variable when
//! the launcher starts, its value stays: the pod's own `env` wins over the boot env. Everything else that the
//! process holds comes from the image and gives way.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;

use crate::environ::ParseError;

/// Reads a keep list's names in their order.
///
/// # Errors
/// A name is empty, or the last one is not ended by NUL.
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

/// Writes names as a keep list, in their order. Empty names and names that hold NUL are left out: no process
/// can hold a variable of such a name, so there is nothing to keep.
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
    fn what_is_encoded_is_read_back() {
        let names = [OsStr::new("PATH"), OsStr::from_bytes(b"\xff"), OsStr::new("with.dot-and space")];
        assert_eq!(parse(&encode(names)).unwrap(), names);
        assert_eq!(parse(b"").unwrap(), [] as [&OsStr; 0]);
    }

    #[test]
    fn leaves_out_what_no_process_can_hold() {
        assert_eq!(encode(["".as_ref(), "A\0B".as_ref(), "C".as_ref()]), b"C\0");
    }

    #[test]
    fn refuses_a_list_that_was_cut_short_or_holds_an_empty_name() {
        assert_eq!(parse(b"A\0B"), Err(ParseError::Unterminated { record: 2 }));
        assert_eq!(parse(b"A\0\0"), Err(ParseError::EmptyName { record: 2 }));
    }
}
