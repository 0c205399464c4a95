//! Events of a boot, and their text. No event contains a value of a source.

use std::fmt;
use std::time::Duration;

use serde::Serialize;

use super::error::BootError;
use super::source::EntryName;
use super::volume::Staged;
use bootlace_core::entry::EnvValue;
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

/// An amount of content: `2 variables (1 secret), 1 file, 3.4 KiB`.
#[derive(Clone, Copy, Default, Serialize)]
pub(crate) struct Amount {
    /// Variables, including secret ones.
    pub(crate) variables: usize,
    /// Secret variables.
    pub(crate) secrets: usize,
    /// Files.
    pub(crate) files: usize,
    /// Size of all values and files in bytes.
    pub(crate) bytes: u64,
}

impl Amount {
    /// The amount of these variables and files.
    pub(crate) fn new<'a>(
        env: impl Iterator<Item = &'a EnvValue>,
        files: impl Iterator<Item = &'a Staged>,
    ) -> Self {
        let mut amount = Self::default();
        for value in env {
            amount.variables += 1;
            amount.secrets += usize::from(value.is_secret());
            amount.bytes += value.len();
        }
        for file in files {
            amount.files += 1;
            amount.bytes += file.size();
        }
        amount
    }
}

impl fmt::Display for Amount {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let ending = |count: usize| if count == 1 { "" } else { "s" };
        let Self { variables, secrets, files, bytes } = *self;
        write!(f, "{variables} variable{}", ending(variables))?;
        if secrets > 0 {
            write!(f, " ({secrets} secret)")?;
        }
        write!(f, ", {files} file{}, {}", ending(files), Bytes(bytes))
    }
}

/// A human-readable size: `312 B`, `3.4 KiB`.
pub(super) struct Bytes(pub(super) u64);

impl fmt::Display for Bytes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        const UNITS: [(u32, &str); 3] = [(30, "GiB"), (20, "MiB"), (10, "KiB")];
        let Some((shift, unit)) = UNITS.into_iter().find(|(shift, _)| self.0 >> shift > 0) else {
            return write!(f, "{} B", self.0);
        };
        let tenths = (u128::from(self.0) * 10) >> shift;
        write!(f, "{}.{} {unit}", tenths / 10, tenths % 10)
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
    fn amounts_are_readable() {
        let amount =
            |variables, secrets, files, bytes| Amount { variables, secrets, files, bytes }.to_string();
        assert_eq!(amount(1, 0, 1, 0), "1 variable, 1 file, 0 B");
        assert_eq!(amount(0, 0, 2, 1023), "0 variables, 2 files, 1023 B");
        assert_eq!(amount(2, 1, 0, 1536), "2 variables (1 secret), 0 files, 1.5 KiB");
        assert_eq!(amount(0, 0, 1, 104_857_599), "0 variables, 1 file, 99.9 MiB");
        assert_eq!(Bytes(u64::MAX).to_string(), "17179869183.9 GiB");
        assert_eq!(Millis::from(Duration::from_micros(420)).to_string(), "0.4 ms");
    }
}
