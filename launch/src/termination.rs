//! The termination message of a container, which `kubectl describe` and every scheduler show.

use std::borrow::Cow;
use std::fs::OpenOptions;
use std::io::{self, Write as _};
use std::path::Path;

/// Kubernetes' default `terminationMessagePath`.
pub const LOG: &str = "/dev/termination-log";

/// The bytes that the kubelet reads (`MaxContainerTerminationMessageLength`).
pub const MAX_BYTES: usize = 4096;

/// The longest code at the end of a message, with its brackets and a newline.
const MAX_CODE: usize = " [BL0000]\n".len();

/// Replaces the message, truncated to the bytes that the kubelet reads. The code at its end is kept.
///
/// The file is not created: the kubelet mounts it, and without the mount a new file would only be left in the
/// file system of the container.
///
/// # Errors
/// The file does not exist or cannot be written.
pub fn write(path: &Path, message: &str) -> io::Result<()> {
    let message = truncate(message, MAX_BYTES);
    OpenOptions::new().write(true).truncate(true).open(path)?.write_all(message.as_bytes())
}

/// Shortens a message to `max` bytes. A code at its end, such as ` [BL7101]`, is kept.
pub(crate) fn truncate(message: &str, max: usize) -> Cow<'_, str> {
    if message.len() <= max {
        return Cow::Borrowed(message);
    }
    let code =
        message.bytes().rposition(|byte| byte == b'[').and_then(|at| message.get(at.checked_sub(1)?..));
    let code = code.filter(|code| code.len() <= MAX_CODE && code.starts_with(" [BL")).unwrap_or_default();
    let end = message.floor_char_boundary(max.saturating_sub(code.len()));
    Cow::Owned([message.get(..end).unwrap_or_default(), code].concat())
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
        assert_eq!(message.len(), 4095);
        assert!(message.starts_with("xéé"));
    }

    #[test]
    fn a_truncated_message_keeps_its_code() {
        for (message, max, truncated) in [
            ("short [BL7101]\n", 15, "short [BL7101]\n"),
            ("too long [BL7101]\n", 15, "too l [BL7101]\n"),
            ("ééé [BL7101]\n", 15, "éé [BL7101]\n"),
            ("a list [of words]", 10, "a list [of"),
            ("[BL7101] at the start", 10, "[BL7101] a"),
        ] {
            assert_eq!(truncate(message, max), truncated);
        }
    }

    #[test]
    fn a_file_that_the_kubelet_did_not_mount_is_not_created() {
        let dir = tempfile::tempdir().unwrap();
        let log = dir.path().join("log");
        write(&log, "message").unwrap_err();
        assert!(!log.exists());
    }
}
