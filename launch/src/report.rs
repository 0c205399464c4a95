//! Tells what failed, where people look: standard error and the container's termination message, which
//! `kubectl describe` and every scheduler show.

use std::fmt;
use std::fs::OpenOptions;
use std::io::{self, Write};
use std::path::Path;

use crate::args::{Place, UsageError};

/// Kubernetes' default `terminationMessagePath`.
pub(crate) const TERMINATION_LOG: &str = "/dev/termination-log";

/// What the kubelet reads of a termination message, in bytes (`MaxContainerTerminationMessageLength`).
const TERMINATION_MESSAGE_LIMIT: usize = 4096;

/// Reports a failure of the container that the launcher runs in.
pub(crate) fn failure(error: &dyn fmt::Display, place: &Place) {
    tell(&sentence(error, place), &place.termination_log);
}

/// Adds a line to the log, and leaves the termination message to whoever wrote it.
pub(crate) fn line(what: &str, place: &Place) {
    let _ = io::stderr().write_all(sentence(&what, place).as_bytes());
}

fn sentence(what: &dyn fmt::Display, place: &Place) -> String {
    format!("bootlace: container {}: {what}\n", place.container.display())
}

/// Reports what did not fail the container, but should be known: the task's own message replaces it.
pub(crate) fn warning(error: &impl std::error::Error, place: &Place) {
    tell(&sentence(&format_args!("warning: {error}"), place), &place.termination_log);
}

/// Reports wrong arguments; they may not have named the termination message's file.
pub(crate) fn usage(error: &UsageError) {
    tell(&format!("bootlace: {error}\n"), Path::new(TERMINATION_LOG));
}

/// Each of the two ways may be closed or missing, and then there is nobody left to tell.
fn tell(sentence: &str, termination_log: &Path) {
    let _ = io::stderr().write_all(sentence.as_bytes());
    let _ = write_termination_message(termination_log, sentence);
}

/// Replaces the file's content. It is not created: the kubelet mounts it, and where it did not, a new file
/// would only litter the task's filesystem.
fn write_termination_message(path: &Path, sentence: &str) -> io::Result<()> {
    let cut = sentence.floor_char_boundary(TERMINATION_MESSAGE_LIMIT);
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
        write_termination_message(&log, &format!("x{}", "é".repeat(4000))).unwrap();
        let message = fs::read_to_string(&log).unwrap();
        assert_eq!(message.len(), 4095);
        assert!(message.starts_with("xéé"));
    }

    #[test]
    fn a_file_that_the_kubelet_did_not_mount_is_not_made() {
        let dir = tempfile::tempdir().unwrap();
        let log = dir.path().join("log");
        write_termination_message(&log, "sentence").unwrap_err();
        assert!(!log.exists());
    }
}
