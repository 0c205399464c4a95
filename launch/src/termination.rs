//! The termination message of a container, which `kubectl describe` and every scheduler show.

use std::fs::OpenOptions;
use std::io::{self, Write as _};
use std::path::Path;

use crate::code;

/// Kubernetes' default `terminationMessagePath`.
pub const LOG: &str = "/dev/termination-log";

/// The bytes that the kubelet reads (`MaxContainerTerminationMessageLength`).
pub const MAX_BYTES: usize = 4096;

/// Replaces the message, truncated to the bytes that the kubelet reads. The code at its end is kept.
///
/// The file is not created: the kubelet mounts it, and without the mount a new file would only be left in the
/// file system of the container.
///
/// # Errors
/// The file does not exist or cannot be written.
pub fn write(path: &Path, message: &str) -> io::Result<()> {
    let message = code::truncate(message, MAX_BYTES);
    OpenOptions::new().write(true).truncate(true).open(path)?.write_all(message.as_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    #[test]
    fn the_message_replaces_an_earlier_one_and_is_truncated_between_characters() {
        let dir = tempfile::tempdir().unwrap();
        let log = dir.path().join("log");
        fs::write(&log, "x".repeat(9000)).unwrap();
        write(&log, &format!("x{}", "é".repeat(4000))).unwrap();
        let message = fs::read_to_string(&log).unwrap();
        assert_eq!(message.len(), 4096);
        assert!(message.starts_with("xéé") && message.ends_with("é…"));
    }

    #[test]
    fn a_file_that_the_kubelet_did_not_mount_is_not_created() {
        let dir = tempfile::tempdir().unwrap();
        let log = dir.path().join("log");
        write(&log, "message").unwrap_err();
        assert!(!log.exists());
    }
}
