//! Parts of hashes that identify runs, tasks and objects.

use sha2::{Digest as _, Sha256};

/// Adds a part to a hash with its length as a prefix, so that the encoding is unambiguous. A missing part
/// differs from an empty one.
pub(crate) fn add(hash: &mut Sha256, part: Option<&[u8]>) {
    match part {
        None => hash.update([0]),
        Some(part) => {
            hash.update([1]);
            hash.update((part.len() as u64).to_be_bytes());
            hash.update(part);
        }
    }
}

/// The first bytes of a hash as hexadecimal digits.
pub(crate) fn hex_prefix(hash: &[u8], bytes: usize) -> String {
    hex::encode(hash.get(..bytes).unwrap_or(hash))
}
