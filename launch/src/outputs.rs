//! A task's outputs: what it declared, what it wrote, and how that is handed over.
//!
//! The way of an output: [`Declared`] → [`find`] → [`copy`] → the attempt's folder. The launcher runs as the task's
//! own user in the task's own root, so it can reach only what the task could have written there itself: links are
//! followed. What is refused is what would not end or has no content of its own.

mod copy;
mod find;

use std::error::Error;
use std::ffi::OsString;
use std::fmt;
use std::path::PathBuf;

use crate::handover::{Attempt, File, Kind, MAX_BYTES, MAX_FILES, Output, is_data_key};

use crate::deadline::Deadline;

/// An output as the pod declares it.
#[derive(Debug, PartialEq)]
pub(crate) struct Declared {
    pub(crate) key: String,
    pub(crate) kind: Kind,
    /// A path or a pattern, relative to the container's working directory.
    pub(crate) file: OsString,
    /// Whether it may be missing.
    pub(crate) optional: bool,
}

/// Copies what is declared into the attempt's folder. Gives what there is; an optional output that is missing is
/// not in it.
pub(crate) fn hand_over(
    declared: &[Declared],
    attempt: &Attempt,
    deadline: Deadline,
) -> Result<Vec<Output>, OutputError> {
    let mut outputs = Vec::new();
    let mut handed = HandedOver { files: 0, bytes: 0 };
    for output in declared {
        let of = |fault| OutputError { key: output.key.clone(), fault };
        let paths = find::find(&output.file, deadline).map_err(of)?;
        let mut files = Vec::new();
        for path in paths {
            files.push(handed.copy(path, &files, attempt, deadline).map_err(of)?);
        }
        if !files.is_empty() {
            outputs.push(Output { key: output.key.clone(), kind: output.kind, files });
        } else if !output.optional {
            return Err(of(OutputErrorKind::Missing(output.file.clone())));
        }
    }
    Ok(outputs)
}

/// What was handed over so far.
struct HandedOver {
    files: usize,
    bytes: u64,
}

impl HandedOver {
    fn copy(
        &mut self,
        path: PathBuf,
        siblings: &[File],
        attempt: &Attempt,
        deadline: Deadline,
    ) -> Result<File, OutputErrorKind> {
        let name = path.file_name().and_then(|name| name.to_str()).filter(|name| is_data_key(name));
        let Some(name) = name.map(str::to_owned) else { return Err(OutputErrorKind::Name(path)) };
        if siblings.iter().any(|file| file.name == name) {
            return Err(OutputErrorKind::NameTwice(path));
        }
        if self.files == MAX_FILES {
            return Err(OutputErrorKind::TooMany);
        }
        let mut into = attempt.create(self.files).map_err(OutputErrorKind::Handover)?;
        let size = copy::copy(&path, &mut into, MAX_BYTES - self.bytes, deadline)?;
        self.files += 1;
        self.bytes += size;
        Ok(File { name, size })
    }
}

/// Why an output cannot be handed over.
#[derive(Debug)]
pub(crate) struct OutputError {
    key: String,
    fault: OutputErrorKind,
}

/// What is wrong with an output. Paths stand in it, contents never.
#[derive(Debug)]
enum OutputErrorKind {
    Missing(OsString),
    /// A link whose end is not there.
    Dangling(PathBuf),
    Folder(PathBuf),
    /// No regular file, and what it is.
    Special(PathBuf, &'static str),
    /// In a filesystem that holds no files of the task's.
    Kernel(PathBuf),
    Unreadable(PathBuf, std::io::Error),
    /// This many bytes.
    TooLarge(PathBuf, u64),
    TooMany,
    Changed(PathBuf),
    /// No key of a `ConfigMap`.
    Name(PathBuf),
    NameTwice(PathBuf),
    Pattern(OsString, &'static str),
    Deadline(std::time::Duration),
    Handover(std::io::Error),
}

impl fmt::Display for OutputError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "output {}: ", self.key)?;
        match &self.fault {
            OutputErrorKind::Missing(file) => write!(
                f,
                "the task ended without writing {}. Write it, or declare the output with `optional: true`",
                file.display()
            ),
            OutputErrorKind::Dangling(path) => {
                write!(f, "{} is a link to a file that is not there", path.display())
            }
            OutputErrorKind::Folder(path) => write!(
                f,
                "{} is a folder. Name one file, or a pattern such as `{}/*`",
                path.display(),
                path.display()
            ),
            OutputErrorKind::Special(path, what) => {
                write!(f, "{} is {what}; only regular files are stored", path.display())
            }
            OutputErrorKind::Kernel(path) => {
                write!(f, "{} is a file of the kernel's; only files on a disk are stored", path.display())
            }
            OutputErrorKind::Unreadable(path, error) => {
                write!(f, "{} cannot be read: {error}", path.display())
            }
            OutputErrorKind::TooLarge(path, bytes) => write!(
                f,
                "{} has {bytes} bytes; all outputs of a task together may have {MAX_BYTES}. Store large files \
                 elsewhere, and their address as the output",
                path.display()
            ),
            OutputErrorKind::TooMany => write!(
                f,
                "a task may hand over {MAX_FILES} files, and there are more. Pack them into an archive, or \
                 narrow the pattern"
            ),
            OutputErrorKind::Changed(path) => write!(
                f,
                "{} changed while it was read. Let the task wait for whatever still writes it",
                path.display()
            ),
            OutputErrorKind::Name(path) => write!(
                f,
                "the name of {} is no key of a ConfigMap or Secret: those have at most 253 of letters, digits, \
                 `-`, `_` and `.`, and do not begin with `..`",
                path.display()
            ),
            OutputErrorKind::NameTwice(path) => write!(
                f,
                "{} has the name of another of its files, and both would be the same key",
                path.display()
            ),
            OutputErrorKind::Pattern(pattern, why) => {
                write!(f, "{} cannot be a pattern: {why}", pattern.display())
            }
            OutputErrorKind::Deadline(limit) => {
                write!(f, "it could not be handed over within {} s", limit.as_secs())
            }
            OutputErrorKind::Handover(error) => {
                write!(f, "it cannot be copied to the sidecar's volume: {error}")
            }
        }
    }
}

impl Error for OutputError {}
