//! How boot tells: a line an event, for people or for machines, and one sentence where it fails.

use std::cell::{Cell, RefCell};
use std::fs::OpenOptions;
use std::io::{self, Write};
use std::path::Path;

use serde::Serialize;
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use super::BootError;
use super::event::Event;
use crate::profile::spec::LogFormat;

/// What the kubelet reads of a termination message, in bytes (`MaxContainerTerminationMessageLength`).
const MAX_MESSAGE_BYTES: usize = 4096;

/// Boot's log.
pub(crate) struct Report<'l> {
    log: RefCell<&'l mut dyn Write>,
    format: Cell<LogFormat>,
}

/// An event as machines read it, in the words of the webhook's log.
#[derive(Serialize)]
struct Line<'a> {
    timestamp: String,
    level: &'static str,
    message: String,
    #[serde(flatten)]
    event: &'a Event<'a>,
}

impl<'l> Report<'l> {
    /// A report that is written to `log`, for people until it is said otherwise.
    pub(crate) fn new(log: &'l mut dyn Write) -> Self {
        Self { log: RefCell::new(log), format: Cell::default() }
    }

    /// Writes in `format` from now on.
    pub(crate) fn set_format(&self, format: LogFormat) {
        self.format.set(format);
    }

    /// Tells an event.
    pub(crate) fn tell(&self, event: &Event<'_>) {
        let message = event.to_string();
        let line = match self.format.get() {
            LogFormat::Text => message,
            LogFormat::Json => {
                // A time always has this format, and an event is always JSON: its keys are names.
                let timestamp = OffsetDateTime::now_utc().format(&Rfc3339).unwrap_or_default();
                let line = Line { timestamp, level: event.level(), message, event };
                serde_json::to_string(&line).unwrap_or(line.message)
            }
        };
        // In one write, so that a line reaches the log whole. A log that nobody takes any more is no reason to fail the
        // task.
        let _ = self.log.borrow_mut().write_all(format!("{line}\n").as_bytes());
    }

    /// Boot failed. Tells it where the task's owner looks, too: there it is a sentence always.
    pub(crate) fn failure(&self, error: &BootError, termination_log: &Path) {
        let event = Event::Failed { exit_code: error.exit_code(), error };
        // Without the file there is nobody else to tell; the log still says it.
        let _ = write_message(termination_log, &event.to_string());
        self.tell(&event);
    }
}

/// Replaces the message. The file is not created: the kubelet mounts it, and elsewhere nobody reads it.
pub(crate) fn write_message(path: &Path, sentence: &str) -> io::Result<()> {
    let cut = sentence.floor_char_boundary(MAX_MESSAGE_BYTES);
    let message = sentence.get(..cut).unwrap_or(sentence);
    OpenOptions::new().write(true).truncate(true).open(path)?.write_all(message.as_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_message_replaces_what_was_there_and_is_cut_between_characters() {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), "x".repeat(9000)).unwrap();
        write_message(file.path(), &format!("x{}", "é".repeat(4000))).unwrap();
        let message = std::fs::read_to_string(file.path()).unwrap();
        assert_eq!(message.len(), 4095);
        assert!(message.starts_with("xéé"));
    }

    #[test]
    fn a_message_that_the_kubelet_did_not_mount_is_not_made() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("termination-log");
        write_message(&path, "sentence").unwrap_err();
        assert!(!path.exists());
    }
}
