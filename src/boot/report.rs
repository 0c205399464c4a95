//! The log of a boot: a line for each event, as text or as JSON, and the error message of a failure.

use std::cell::{Cell, RefCell};
use std::io::Write;
use std::path::Path;

use bootlace_launch::termination;
use serde::Serialize;
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use super::BootError;
use super::event::LogEvent;
use bootlace_core::code::Coded as _;
use bootlace_core::profile::spec::LogFormat;

/// The log of a boot.
pub(crate) struct BootLog<'l> {
    log: RefCell<&'l mut dyn Write>,
    format: Cell<LogFormat>,
}

/// An event as JSON, with the same fields as the log of the webhook.
#[derive(Serialize)]
struct Line<'a> {
    timestamp: String,
    level: &'static str,
    message: String,
    #[serde(flatten)]
    event: &'a LogEvent<'a>,
}

impl<'l> BootLog<'l> {
    /// A log that writes to `log`, as text unless [`Self::set_format`] changes it.
    pub(crate) fn new(log: &'l mut dyn Write) -> Self {
        Self { log: RefCell::new(log), format: Cell::default() }
    }

    /// Writes the following events in `format`.
    pub(crate) fn set_format(&self, format: LogFormat) {
        self.format.set(format);
    }

    /// Logs an event.
    pub(crate) fn log(&self, event: &LogEvent<'_>) {
        let message = event.to_string();
        let line = match self.format.get() {
            LogFormat::Text => message,
            LogFormat::Json => {
                // The formatting cannot fail: RFC 3339 represents every time, and the keys of an event are
                // names.
                let timestamp = OffsetDateTime::now_utc().format(&Rfc3339).unwrap_or_default();
                let line = Line { timestamp, level: event.level(), message, event };
                serde_json::to_string(&line).unwrap_or(line.message)
            }
        };
        // One write, so that the line is not interleaved with others. A log that no one reads does not fail
        // the task.
        let _ = self.log.borrow_mut().write_all(format!("{line}\n").as_bytes());
    }

    /// Reports the failure in the log and in the termination message, which is always text.
    pub(crate) fn failure(&self, error: &BootError, termination_log: &Path) {
        let code = error.code();
        let event = LogEvent::Failed { exit_code: error.exit_code(), code: code.as_str(), error };
        let message = code.append_to(&format!("bootlace: {error}"), termination::MAX_BYTES);
        // If the file does not exist, the log still contains the message.
        let _ = termination::write(termination_log, &message);
        self.log(&event);
    }
}
