//! Events of a boot, and their text. No event contains a value of a source.

use std::fmt;
use std::time::Duration;

use serde::Serialize;

use super::amount::Amount;
use super::error::BootError;
use super::source::EntryName;
use bootlace_core::identity::Identity;
use bootlace_core::injected_config::ProfileRef;

/// Something that happened. The text quotes names with escapes, so that no name can start a new line.
#[derive(Serialize)]
#[serde(tag = "event", rename_all = "camelCase", rename_all_fields = "camelCase")]
pub(crate) enum LogEvent<'a> {
    /// The boot starts.
    Begun { version: &'static str, task: &'a Identity, profile: &'a ProfileRef },
    /// Additional information about a source.
    Noted { source: &'a str, kind: &'a str, note: &'a str },
    /// A source was fetched.
    Fetched {
        source: &'a str,
        kind: &'a str,
        #[serde(flatten)]
        amount: Amount,
        milliseconds: Millis,
    },
    /// A source overrides an entry of an earlier one.
    Overridden { source: &'a str, entry: EntryName, name: &'a str, earlier: &'a str },
    /// The store stored the env in a Secret.
    Stored { secret: &'a str, result: &'static str, milliseconds: Millis },
    /// The pod spec sets a variable of a source for a container.
    Retained { container: &'a str, name: &'a str },
    /// Everything is on the volume.
    Booted {
        #[serde(flatten)]
        amount: Amount,
        milliseconds: Millis,
    },
    /// The result could not be recorded as an Event.
    EventNotRecorded { reason: String },
    /// The boot failed.
    Failed {
        exit_code: u8,
        code: &'static str,
        #[serde(skip)]
        error: &'a BootError,
    },
}

impl LogEvent<'_> {
    /// The severity, as in the log of the webhook.
    pub(crate) fn level(&self) -> &'static str {
        match self {
            Self::Begun { .. }
            | Self::Fetched { .. }
            | Self::Overridden { .. }
            | Self::Stored { .. }
            | Self::Retained { .. }
            | Self::Booted { .. } => "INFO",
            Self::Noted { .. } | Self::EventNotRecorded { .. } => "WARN",
            Self::Failed { .. } => "ERROR",
        }
    }
}

impl fmt::Display for LogEvent<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Begun { version, task, profile } => {
                let task = task.describe();
                let for_task =
                    if task.is_empty() { String::new() } else { format!(" for {}", task.escape_debug()) };
                let ProfileRef { name, generation } = profile;
                write!(
                    f,
                    "bootlace {version}: booting{for_task} with BootProfile {name:?}, generation {generation}"
                )
            }
            Self::Noted { source, kind, note } => write!(f, "source {source:?} ({kind}): {note}"),
            Self::Fetched { source, kind, amount, milliseconds } => {
                write!(f, "source {source:?} ({kind}): {amount} in {milliseconds}")
            }
            Self::Overridden { source, entry, name, earlier } => {
                write!(f, "source {source:?} overrides the {entry} {name:?} of source {earlier:?}")
            }
            Self::Stored { secret, result, milliseconds } => {
                write!(f, "env Secret {secret}: {result}, in {milliseconds}")
            }
            Self::EventNotRecorded { reason } => write!(f, "failed to record an Event: {reason}"),
            Self::Retained { container, name } => write!(
                f,
                "container {container:?} sets the variable {name:?} in the pod spec, which takes precedence over the sources"
            ),
            Self::Booted { amount, milliseconds } => write!(f, "booted: {amount} in {milliseconds}"),
            Self::Failed { error, code, exit_code: _ } => write!(f, "bootlace: {error} [{code}]"),
        }
    }
}

/// A duration in milliseconds, to a tenth: `0.4 ms`.
#[derive(Clone, Copy, Serialize)]
pub(crate) struct Millis(f64);

impl From<Duration> for Millis {
    fn from(time: Duration) -> Self {
        Self((time.as_secs_f64() * 10_000.0).round() / 10.0)
    }
}

impl fmt::Display for Millis {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:.1} ms", self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_readable() {
        assert_eq!(Millis::from(Duration::from_micros(420)).to_string(), "0.4 ms");
    }
}
