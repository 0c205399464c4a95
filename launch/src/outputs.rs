//! The outputs of a task, from their declaration to the directory of the attempt.
//!
//! Steps: [`Declared`] → [`find`] → [`copy`]. The launcher has the user and the root directory of the task,
//! so it can only read what the task could read. It follows links. It rejects files that can be endless or
//! have no content.

mod copy;
mod find;

use std::error::Error;
use std::ffi::OsString;
use std::fmt;
use std::path::PathBuf;

use crate::code::{Code, Coded};
use crate::handover::{Attempt, FileEntry, Kind, MAX_BYTES, MAX_FILES, Output, is_data_key};

use crate::deadline::Deadline;

/// An output in the spec of the pod.
#[derive(Debug, PartialEq)]
pub(crate) struct Declared {
    pub(crate) key: String,
    pub(crate) kind: Kind,
    /// A path or a pattern, relative to the working directory of the container.
    pub(crate) file: OsString,
    /// Whether the file can be missing.
    pub(crate) optional: bool,
}

/// Copies the declared files to the directory of the attempt. Returns the outputs without optional ones that
/// are missing.
pub(crate) fn copy_all(
    declared: &[Declared],
    attempt: &Attempt,
    deadline: Deadline,
) -> Result<Vec<Output>, OutputError> {
    let mut outputs = Vec::new();
    let mut copied = Copied { files: 0, bytes: 0 };
    for output in declared {
        let error = |kind| OutputError { key: output.key.clone(), kind };
        let paths = find::find(&output.file, deadline).map_err(error)?;
        let mut files = Vec::new();
        for path in paths {
            files.push(copied.copy(path, &files, attempt, deadline).map_err(error)?);
        }
        if !files.is_empty() {
            outputs.push(Output { key: output.key.clone(), kind: output.kind, files });
        } else if !output.optional {
            return Err(error(OutputErrorKind::Missing(output.file.clone())));
        }
    }
    Ok(outputs)
}

/// The totals of the copied files.
struct Copied {
    files: usize,
    bytes: u64,
}

impl Copied {
    fn copy(
        &mut self,
        path: PathBuf,
        siblings: &[FileEntry],
        attempt: &Attempt,
        deadline: Deadline,
    ) -> Result<FileEntry, OutputErrorKind> {
        let name = path.file_name().and_then(|name| name.to_str()).filter(|name| is_data_key(name));
        let Some(name) = name.map(str::to_owned) else { return Err(OutputErrorKind::Name(path)) };
        if siblings.iter().any(|file| file.name == name) {
            return Err(OutputErrorKind::DuplicateName(path));
        }
        if self.files == MAX_FILES {
            return Err(OutputErrorKind::TooMany);
        }
        let mut into = attempt.create(self.files).map_err(OutputErrorKind::Handover)?;
        let size = copy::copy(&path, &mut into, MAX_BYTES - self.bytes, deadline)?;
        self.files += 1;
        self.bytes += size;
        Ok(FileEntry { name, size })
    }
}

/// An output cannot be passed to the sidecar.
#[derive(Debug)]
pub(crate) struct OutputError {
    key: String,
    kind: OutputErrorKind,
}

/// The problem with an output. The message contains paths, never contents.
#[derive(Debug)]
enum OutputErrorKind {
    Missing(OsString),
    /// A link to a file that does not exist.
    Dangling(PathBuf),
    Directory(PathBuf),
    /// Not a regular file, and its type.
    Special(PathBuf, &'static str),
    /// A file in a filesystem of the kernel.
    Kernel(PathBuf),
    Unreadable(PathBuf, std::io::Error),
    /// The size in bytes.
    TooLarge(PathBuf, u64),
    TooMany,
    Changed(PathBuf),
    /// Not a valid key of a `ConfigMap`.
    Name(PathBuf),
    DuplicateName(PathBuf),
    Pattern(OsString, &'static str),
    Deadline(std::time::Duration),
    Handover(std::io::Error),
}

impl fmt::Display for OutputError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "output \"{}\": ", self.key)?;
        match &self.kind {
            OutputErrorKind::Missing(file) => write!(
                f,
                "the task did not write \"{}\": write it, or declare the output with `optional: true`",
                file.display()
            ),
            OutputErrorKind::Dangling(path) => {
                write!(f, "\"{}\" is a link to a file that does not exist", path.display())
            }
            OutputErrorKind::Directory(path) => write!(
                f,
                "\"{}\" is a directory: declare a file, or a pattern such as \"{}/*\"",
                path.display(),
                path.display()
            ),
            OutputErrorKind::Special(path, file_type) => {
                write!(f, "\"{}\" is {file_type}: must be a regular file", path.display())
            }
            OutputErrorKind::Kernel(path) => {
                write!(
                    f,
                    "\"{}\" is a file of the kernel, such as procfs: must be a regular file",
                    path.display()
                )
            }
            OutputErrorKind::Unreadable(path, error) => {
                write!(f, "failed to read \"{}\": {error}", path.display())
            }
            OutputErrorKind::TooLarge(path, bytes) => write!(
                f,
                "\"{}\" has {bytes} bytes, and all outputs of a task together can have {MAX_BYTES}: store large files elsewhere, \
                 and their address as the output",
                path.display()
            ),
            OutputErrorKind::TooMany => write!(
                f,
                "the outputs of the task have more than {MAX_FILES} files: pack them into an archive, or use a narrower pattern"
            ),
            OutputErrorKind::Changed(path) => write!(
                f,
                "\"{}\" changed while it was read: let the task wait for the process that writes it",
                path.display()
            ),
            OutputErrorKind::Name(path) => write!(
                f,
                "the file name of \"{}\" is not a valid key of a ConfigMap or Secret: must have at most 253 letters, digits, `-`, \
                 `_` and `.`, and must not start with `..`",
                path.display()
            ),
            OutputErrorKind::DuplicateName(path) => write!(
                f,
                "\"{}\" has the same file name, and so the same key, as another file of the output",
                path.display()
            ),
            OutputErrorKind::Pattern(pattern, reason) => {
                write!(f, "the pattern \"{}\" is invalid: {reason}", pattern.display())
            }
            OutputErrorKind::Deadline(limit) => {
                write!(f, "timed out after {} s while copying files to the sidecar", limit.as_secs())
            }
            OutputErrorKind::Handover(error) => {
                write!(f, "failed to write to the volume of the sidecar: {error}")
            }
        }
    }
}

impl Error for OutputError {}

#[cfg(test)]
impl OutputError {
    /// An error of each kind.
    pub(crate) fn examples() -> Vec<Self> {
        use std::io::Error;
        let path = || PathBuf::from("out/report.json");
        let kinds = [
            OutputErrorKind::Missing("out/*.json".into()),
            OutputErrorKind::Dangling(path()),
            OutputErrorKind::Directory("out".into()),
            OutputErrorKind::Special(path(), "a named pipe"),
            OutputErrorKind::Kernel("/proc/self/environ".into()),
            OutputErrorKind::Unreadable(path(), Error::from_raw_os_error(13)),
            OutputErrorKind::TooLarge(path(), 2_000_000),
            OutputErrorKind::TooMany,
            OutputErrorKind::Changed(path()),
            OutputErrorKind::Name("out/a b".into()),
            OutputErrorKind::DuplicateName(path()),
            OutputErrorKind::Deadline(std::time::Duration::from_mins(1)),
            OutputErrorKind::Handover(Error::from_raw_os_error(28)),
        ];
        let deadline = Deadline::after(std::time::Duration::from_mins(1));
        let patterns =
            ["out/*/", "**/report", "out/[a"].map(|pattern| find::find(pattern.as_ref(), deadline));
        let kinds = kinds.into_iter().chain(patterns.into_iter().filter_map(Result::err));
        kinds.map(|kind| Self { key: "Report".to_owned(), kind }).collect()
    }
}

impl Coded for OutputError {
    fn code(&self) -> Code {
        match self.kind {
            OutputErrorKind::Missing(_) => Code::TaskOutputMissing,
            OutputErrorKind::Dangling(_)
            | OutputErrorKind::Directory(_)
            | OutputErrorKind::Special(..)
            | OutputErrorKind::Kernel(_) => Code::TaskOutputNotRegular,
            OutputErrorKind::Unreadable(..) | OutputErrorKind::Changed(_) => Code::TaskOutputUnreadable,
            OutputErrorKind::TooLarge(..) | OutputErrorKind::TooMany => Code::TaskOutputsTooLarge,
            OutputErrorKind::Name(_) | OutputErrorKind::DuplicateName(_) | OutputErrorKind::Pattern(..) => {
                Code::TaskOutputNameInvalid
            }
            OutputErrorKind::Deadline(_) => Code::TaskOutputsTimeout,
            OutputErrorKind::Handover(_) => Code::TaskHandoverFailed,
        }
    }
}
