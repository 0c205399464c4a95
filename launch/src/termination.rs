//! A container's termination message, which `kubectl describe` and every scheduler show.

use std::fs::OpenOptions;
use std::io::{self, Write as _};
use std::path::Path;

/// Kubernetes' default `terminationMessagePath`.
pub const LOG: &str = "/dev/termination-log";

/// What the kubelet reads of it, in bytes (`MaxContainerTerminationMessageLength`).
pub const MAX_BYTES: usize = 4096;

/// Replaces the message. The file is not created: the kubelet mounts it, and where it did not, a new one would only litter
/// the container's file system.
///
/// # Errors
/// Where the file is not there, or cannot be written to.
pub fn write(path: &Path, sentence: &str) -> io::Result<()> {
    let cut = sentence.floor_char_boundary(MAX_BYTES);
    let message = sentence.get(..cut).unwrap_or(sentence);
    OpenOptions::new().write(true).truncate(true).open(path)?.write_all(message.as_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    #[test]
    fn the_message_replaces_what_was_there_and_is_cut_between_characters() {
        let dir = tempfile::tempdir().unwrap();
        let log = dir.path().join("log");
        fs::write(&log, "x".repeat(9000)).unwrap();
        write(&log, &format!("x{}", "é".repeat(4000))).unwrap();
        let message = fs::read_to_string(&log).unwrap();
        assert_eq!(message.len(), 4095);
        assert!(message.starts_with("xéé"));
    }

    #[test]
    fn a_file_that_the_kubelet_did_not_mount_is_not_made() {
        let dir = tempfile::tempdir().unwrap();
        let log = dir.path().join("log");
        write(&log, "sentence").unwrap_err();
        assert!(!log.exists());
    }
}
