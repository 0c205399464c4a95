//! How boot tells: a line an event, for people or for machines, and one sentence where it fails.

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

/// Boot's log.
pub(crate) struct BootLog<'l> {
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
    event: &'a LogEvent<'a>,
}

impl<'l> BootLog<'l> {
    /// A report that is written to `log`, for people until it is said otherwise.
    pub(crate) fn new(log: &'l mut dyn Write) -> Self {
        Self { log: RefCell::new(log), format: Cell::default() }
    }

    /// Writes in `format` from now on.
    pub(crate) fn set_format(&self, format: LogFormat) {
        self.format.set(format);
    }

    /// Tells an event.
    pub(crate) fn log(&self, event: &LogEvent<'_>) {
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
        let code = error.code();
        let event = LogEvent::Failed { exit_code: error.exit_code(), code: code.as_str(), error };
        let message = code.append_to(&format!("bootlace: {error}"), termination::MAX_BYTES);
        // Without the file there is nobody else to tell; the log still says it.
        let _ = termination::write(termination_log, &message);
        self.log(&event);
    }
}
