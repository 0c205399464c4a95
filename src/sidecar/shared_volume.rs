//! Outputs of tasks that are not started by a launcher. The sidecar reads them from the volumes of the pod,
//! after the tasks have ended.
//!
//! The sidecar has access to files that the tasks cannot read, such as its token, so it follows no links and
//! only reads files on the volume itself.

use std::io;
use std::path::{Path, PathBuf};

use bootlace_launch::handover::{Folder, MAX_FILES};
use glob::{MatchOptions, Pattern};

use super::OutputError;
use super::output_store::{OutputFile, OutputObject, OutputStore};
use bootlace_core::code::{Code, Coded};
use bootlace_core::output::DeclaredOutput;
use bootlace_core::output::data::MAX_BYTES;

/// How many names the search for a pattern reads.
const MAX_NAMES: usize = 10_000;

/// As in a shell and in the launcher, `*` does not match hidden files.
const OPTIONS: MatchOptions =
    MatchOptions { case_sensitive: true, require_literal_separator: true, require_literal_leading_dot: true };

/// Stores the outputs of `declared` that are on volumes in `root`, one after another.
pub(super) async fn store(root: &Path, declared: &[DeclaredOutput], store: &impl OutputStore) {
    for output in declared {
        let Some(file) = &output.shared_file else { continue };
        let DeclaredOutput { key, container, .. } = output;
        let stored = match read_files(root, file) {
            Ok(files) if files.is_empty() && output.optional => Ok(()),
            Ok(files) if files.is_empty() => Err(OutputError::new(&SharedVolumeError::Missing(file.clone()))),
            Ok(files) => {
                let kind = output.kind.into();
                let object = OutputObject { container: container.clone(), key: key.clone(), kind, files };
                store.put(object).await
            }
            Err(error) => Err(OutputError::new(&error)),
        };
        if let Err(error) = stored {
            let message = error.of_output(key).to_line();
            tracing::warn!(container, "failed to store an output of the task: {message}");
            store.report_failure(container, &message).await;
        }
    }
}

/// The files that match a path or a pattern, ordered by name; empty if no file matches.
fn read_files(root: &Path, file: &str) -> Result<Vec<OutputFile>, SharedVolumeError> {
    let outside = || SharedVolumeError::Outside(file.to_owned());
    let below = Path::new(file).strip_prefix(root).ok().and_then(Path::to_str).ok_or_else(outside)?;
    let (volume, path) = below.split_once('/').ok_or_else(outside)?;
    let folder = Folder::open(root).and_then(|root| root.folder(volume));
    let folder = folder.map_err(|error| SharedVolumeError::Unreadable(root.join(volume), error))?;
    let mut search = Search { names: 0, bytes: 0, files: Vec::new() };
    let parts: Vec<_> = path.split('/').filter(|part| !part.is_empty()).collect();
    search.walk(&folder, &root.join(volume), &parts)?;
    search.files.sort_unstable_by(|left, right| left.name.cmp(&right.name));
    Ok(search.files)
}

/// A search for the files of one output.
struct Search {
    /// How many names were read for patterns.
    names: usize,
    /// The size of the files.
    bytes: usize,
    files: Vec<OutputFile>,
}

impl Search {
    /// Reads the files that match `parts` in `folder`, whose path is `path`.
    fn walk(&mut self, folder: &Folder, path: &Path, parts: &[&str]) -> Result<(), SharedVolumeError> {
        let Some((part, rest)) = parts.split_first() else { return Ok(()) };
        let unreadable = |name: &str, error| SharedVolumeError::Unreadable(path.join(name), error);
        let is_pattern = part.contains(['*', '?', '[']);
        let names = if is_pattern { self.matching(folder, path, part)? } else { vec![(*part).to_owned()] };
        for name in names {
            if rest.is_empty() {
                self.read_file(folder, path, name)?;
                continue;
            }
            match folder.folder(&name) {
                Ok(folder) => self.walk(&folder, &path.join(&name), rest)?,
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                // A pattern for folders ignores files.
                Err(error) if is_pattern && error.kind() == io::ErrorKind::NotADirectory => {}
                Err(error) => return Err(unreadable(&name, error)),
            }
        }
        Ok(())
    }

    fn matching(
        &mut self,
        folder: &Folder,
        path: &Path,
        part: &str,
    ) -> Result<Vec<String>, SharedVolumeError> {
        let invalid = |problem: &str| SharedVolumeError::Pattern(part.to_owned(), problem.to_owned());
        if part.contains("**") {
            return Err(invalid("`**` is not supported; write one `*` for each folder"));
        }
        let pattern = Pattern::new(part).map_err(|error| invalid(error.msg))?;
        let unreadable = |error| SharedVolumeError::Unreadable(path.to_owned(), error);
        let mut matching = Vec::new();
        for name in folder.names().map_err(unreadable)? {
            self.names += 1;
            if self.names > MAX_NAMES {
                return Err(invalid(
                    "there are more than 10000 files in its folders; write a more specific pattern",
                ));
            }
            // A name that is not UTF-8 cannot be a key of an object.
            let name = name.map_err(unreadable)?.into_string().ok();
            matching.extend(name.filter(|name| pattern.matches_with(name, OPTIONS)));
        }
        Ok(matching)
    }

    fn read_file(&mut self, folder: &Folder, path: &Path, name: String) -> Result<(), SharedVolumeError> {
        if self.files.len() == MAX_FILES {
            return Err(SharedVolumeError::TooMany);
        }
        let file = path.join(&name);
        if self.files.iter().any(|file| file.name == name) {
            return Err(SharedVolumeError::DuplicateName(file));
        }
        let limit = MAX_BYTES.saturating_sub(self.bytes);
        let bytes = match folder.read(&name, u64::try_from(limit).unwrap_or_default()) {
            Ok(bytes) => bytes,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
            Err(error) if error.kind() == io::ErrorKind::InvalidInput => {
                return Err(SharedVolumeError::NotRegular(file));
            }
            Err(error) if error.kind() == io::ErrorKind::FileTooLarge => {
                return Err(SharedVolumeError::TooLarge(file));
            }
            Err(error) => return Err(SharedVolumeError::Unreadable(file, error)),
        };
        self.bytes += bytes.len();
        self.files.push(OutputFile { name, bytes });
        Ok(())
    }
}

/// An output on a volume cannot be read. Paths are those in the sidecar.
#[derive(Debug, thiserror::Error)]
pub(crate) enum SharedVolumeError {
    #[error(
        "{0:?} does not exist after the tasks have ended: write it, or declare the output with `optional: true`"
    )]
    Missing(String),
    #[error(
        "{0:?} is not on a volume that the sidecar mounts: use an image of the same version as the webhook"
    )]
    Outside(String),
    #[error("failed to read {0:?}: {1}; links are not followed")]
    Unreadable(PathBuf, io::Error),
    #[error("{0:?} is not a regular file: declare a file, or a pattern such as `folder/*`")]
    NotRegular(PathBuf),
    #[error(
        "{0:?} is too large: the limit for the files of an output is {MAX_BYTES} bytes in total; store large files elsewhere, \
         and their address as the output"
    )]
    TooLarge(PathBuf),
    #[error("the pattern matches more than {MAX_FILES} files: pack them into one file")]
    TooMany,
    #[error("several files have the name of {0:?}, which must be unique in an output: rename them")]
    DuplicateName(PathBuf),
    #[error("pattern {0:?} is invalid: {1}")]
    Pattern(String, String),
}

impl Coded for SharedVolumeError {
    fn code(&self) -> Code {
        match self {
            Self::Missing(_) => Code::OutputMissing,
            Self::Outside(_) => Code::SidecarConfigInvalid,
            Self::Unreadable(..) => Code::OutputUnreadable,
            Self::NotRegular(_) => Code::OutputNotRegularFile,
            Self::TooLarge(_) => Code::OutputTooLarge,
            Self::TooMany => Code::OutputTooManyFiles,
            Self::DuplicateName(_) => Code::OutputFileNameDuplicate,
            Self::Pattern(..) => Code::OutputPatternInvalid,
        }
    }
}
