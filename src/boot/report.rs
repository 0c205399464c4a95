//! What boot tells: a line a step for whoever reads the log, and one sentence where it fails.

use std::cell::RefCell;
use std::fmt;
use std::fs::OpenOptions;
use std::io::{self, Write};
use std::path::Path;
use std::time::Duration;

use super::BootError;
use super::merge::Content;
use super::sink::Found;
use super::source::Entry;
use crate::plan::BootSpec;

/// What the kubelet reads of a termination message, in bytes (`MaxContainerTerminationMessageLength`).
const MAX_MESSAGE_BYTES: usize = 4096;

/// Boot's log. Names are quoted with escapes, so that no name can begin a line of its own.
pub(crate) struct Report<'l> {
    log: RefCell<&'l mut dyn Write>,
}

impl<'l> Report<'l> {
    /// A report that is written to `log`.
    pub(crate) fn new(log: &'l mut dyn Write) -> Self {
        Self { log: RefCell::new(log) }
    }

    /// Boot begins.
    pub(crate) fn begin(&self, spec: &BootSpec<'_>) {
        let task = spec.task.describe();
        let of = if task.is_empty() { String::new() } else { format!(" for {}", task.escape_debug()) };
        let version = env!("CARGO_PKG_VERSION");
        let profile = &spec.profile;
        self.line(format_args!(
            "bootlace {version}: booting{of} with BootProfile {:?}, generation {}",
            profile.name, profile.generation
        ));
    }

    /// A source is fetched.
    pub(crate) fn fetched(&self, name: &str, title: &str, found: &Found, took: Duration) {
        for note in &found.notes {
            self.line(format_args!("source {name:?} ({title}): {note}"));
        }
        let amount = Amount { env: found.env.len(), files: found.files.len(), bytes: found.bytes() };
        self.line(format_args!("source {name:?} ({title}): {amount} in {}", Millis(took)));
    }

    /// A later source gives what an earlier one has given.
    pub(crate) fn overridden(&self, entry: Entry, name: &str, later: &str, earlier: &str) {
        self.line(format_args!("source {later:?} overrides the {entry} {name:?} of source {earlier:?}"));
    }

    /// The pod's own spec gives a container what a source gives, too.
    pub(crate) fn held(&self, container: &str, name: &str) {
        self.line(format_args!(
            "container {container:?} gets the variable {name:?} from its own spec, which wins over the sources"
        ));
    }

    /// Everything is on the volume.
    pub(crate) fn end(&self, content: &Content<'_>, took: Duration) {
        let amount = Amount { env: content.env.len(), files: content.files.len(), bytes: content.bytes() };
        self.line(format_args!("booted: {amount} in {}", Millis(took)));
    }

    /// Boot failed. Tells it where the task's owner looks, too.
    pub(crate) fn failure(&self, error: &BootError, termination_log: &Path) {
        let sentence = format!("bootlace: {error}");
        // Without the file there is nobody else to tell; the log still says it.
        let _ = write_message(termination_log, &sentence);
        self.line(format_args!("{sentence}"));
    }

    fn line(&self, line: fmt::Arguments<'_>) {
        // Formatted first, so that a line reaches the log in one write. A log that nobody takes any more is
        // no reason to fail the task.
        let line = format!("{line}\n");
        let _ = self.log.borrow_mut().write_all(line.as_bytes());
    }
}

/// Replaces the message. The file is not created: the kubelet mounts it, and elsewhere nobody reads it.
fn write_message(path: &Path, sentence: &str) -> io::Result<()> {
    let cut = sentence.floor_char_boundary(MAX_MESSAGE_BYTES);
    let message = sentence.get(..cut).unwrap_or(sentence);
    OpenOptions::new().write(true).truncate(true).open(path)?.write_all(message.as_bytes())
}

/// How much there is: `2 variables, 1 file, 3.4 KiB`.
struct Amount {
    env: usize,
    files: usize,
    bytes: u64,
}

impl fmt::Display for Amount {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let ending = |count: usize| if count == 1 { "" } else { "s" };
        let Self { env, files, bytes } = *self;
        write!(f, "{env} variable{}, {files} file{}, {}", ending(env), ending(files), Bytes(bytes))
    }
}

/// A size as people read it: `312 B`, `3.4 KiB`.
struct Bytes(u64);

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

/// A time in milliseconds: `0.4 ms`.
struct Millis(Duration);

impl fmt::Display for Millis {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:.1} ms", self.0.as_secs_f64() * 1000.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn amounts_are_readable() {
        let amount = |env, files, bytes| Amount { env, files, bytes }.to_string();
        assert_eq!(amount(1, 1, 0), "1 variable, 1 file, 0 B");
        assert_eq!(amount(0, 2, 1023), "0 variables, 2 files, 1023 B");
        assert_eq!(amount(2, 0, 1536), "2 variables, 0 files, 1.5 KiB");
        assert_eq!(amount(0, 1, 104_857_599), "0 variables, 1 file, 99.9 MiB");
        assert_eq!(Bytes(u64::MAX).to_string(), "17179869183.9 GiB");
        assert_eq!(Millis(Duration::from_micros(420)).to_string(), "0.4 ms");
    }

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
