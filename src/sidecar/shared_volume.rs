//! Outputs of tasks that no launcher starts: the sidecar reads them itself, from the pod's own volumes, once the tasks have
//! ended.
//!
//! It sees other files than the tasks do, its own token among them, so nothing is opened through a link: what lies on the
//! volume itself is read, and nothing else.

use std::io;
use std::path::{Path, PathBuf};

use bootlace_launch::handover::{Folder, MAX_FILES, OneLine};
use glob::{MatchOptions, Pattern};

use super::output_store::{OutputFile, OutputObject, OutputStore};
use bootlace_core::output::DeclaredOutput;
use bootlace_core::output::data::MAX_BYTES;

/// Names that are looked at for a pattern.
const MAX_NAMES: usize = 10_000;

/// As in a shell, and as the launcher has it: a `*` does not mean hidden files.
const OPTIONS: MatchOptions =
    MatchOptions { case_sensitive: true, require_literal_separator: true, require_literal_leading_dot: true };

/// Has the outputs of `declared` stored that lie on volumes below `root`, one after another.
pub(super) async fn store(root: &Path, declared: &[DeclaredOutput], store: &impl OutputStore) {
    for output in declared {
        let Some(file) = &output.shared_file else { continue };
        let DeclaredOutput { key, container, .. } = output;
        let stored = match read(root, file) {
            Ok(files) if files.is_empty() && output.optional => Ok(()),
            Ok(files) if files.is_empty() => Err(SharedVolumeError::Missing(file.clone()).to_string()),
            Ok(files) => {
                let kind = output.kind.into();
                let object = OutputObject { container: container.clone(), key: key.clone(), kind, files };
                store.put(object).await.map_err(|error| error.to_string())
            }
            Err(error) => Err(error.to_string()),
        };
        if let Err(why) = stored {
            let why = OneLine::new(&format!("output {key}: {why}"));
            tracing::warn!(container, %why, "the output is not stored");
            store.tell(container, &why).await;
        }
    }
}

/// The files that a path or a pattern means, in the order of their names; none where there are none.
fn read(root: &Path, file: &str) -> Result<Vec<OutputFile>, SharedVolumeError> {
    let outside = || SharedVolumeError::Outside(file.to_owned());
    let below = Path::new(file).strip_prefix(root).ok().and_then(Path::to_str).ok_or_else(outside)?;
    let (volume, path) = below.split_once('/').ok_or_else(outside)?;
    let folder = Folder::open(root).and_then(|root| root.folder(volume));
    let folder = folder.map_err(|error| SharedVolumeError::Unreadable(root.join(volume), error))?;
    let mut search = Search { names: 0, bytes: 0, found: Vec::new() };
    let parts: Vec<_> = path.split('/').filter(|part| !part.is_empty()).collect();
    search.walk(&folder, &root.join(volume), &parts)?;
    search.found.sort_unstable_by(|one, other| one.name.cmp(&other.name));
    Ok(search.found)
}

/// A search for the files of one output.
struct Search {
    /// Names that were looked at.
    names: usize,
    bytes: usize,
    found: Vec<OutputFile>,
}

impl Search {
    /// Finds what `parts` mean in `folder`, which lies at `path`.
    fn walk(&mut self, folder: &Folder, path: &Path, parts: &[&str]) -> Result<(), SharedVolumeError> {
        let Some((part, rest)) = parts.split_first() else { return Ok(()) };
        let unreadable = |name: &str, error| SharedVolumeError::Unreadable(path.join(name), error);
        let is_pattern = part.contains(['*', '?', '[']);
        let names = if is_pattern { self.matching(folder, path, part)? } else { vec![(*part).to_owned()] };
        for name in names {
            if rest.is_empty() {
                self.take(folder, path, name)?;
                continue;
            }
            match folder.folder(&name) {
                Ok(folder) => self.walk(&folder, &path.join(&name), rest)?,
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                // A pattern for folders passes by what is none.
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
        let bad = |why: &str| SharedVolumeError::Pattern(part.to_owned(), why.to_owned());
        if part.contains("**") {
            return Err(bad("`**` is not known; write a `*` for each folder on the way"));
        }
        let pattern = Pattern::new(part).map_err(|error| bad(error.msg))?;
        let unreadable = |error| SharedVolumeError::Unreadable(path.to_owned(), error);
        let mut matching = Vec::new();
        for name in folder.names().map_err(unreadable)? {
            self.names += 1;
            if self.names > MAX_NAMES {
                return Err(bad("it leads past more than 10000 files; write one that is more exact"));
            }
            // A name that is no text is no key of an object either.
            let name = name.map_err(unreadable)?.into_string().ok();
            matching.extend(name.filter(|name| pattern.matches_with(name, OPTIONS)));
        }
        Ok(matching)
    }

    fn take(&mut self, folder: &Folder, path: &Path, name: String) -> Result<(), SharedVolumeError> {
        if self.found.len() == MAX_FILES {
            return Err(SharedVolumeError::TooMany);
        }
        let at = path.join(&name);
        if self.found.iter().any(|file| file.name == name) {
            return Err(SharedVolumeError::NameTwice(at));
        }
        let room = MAX_BYTES.saturating_sub(self.bytes);
        let bytes = match folder.read(&name, u64::try_from(room).unwrap_or_default()) {
            Ok(bytes) => bytes,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
            Err(error) if error.kind() == io::ErrorKind::InvalidInput => {
                return Err(SharedVolumeError::NoFile(at));
            }
            Err(error) if error.kind() == io::ErrorKind::FileTooLarge => {
                return Err(SharedVolumeError::TooLarge(at));
            }
            Err(error) => return Err(SharedVolumeError::Unreadable(at, error)),
        };
        self.bytes += bytes.len();
        self.found.push(OutputFile { name, bytes });
        Ok(())
    }
}

/// Why an output cannot be read. Paths are those that the sidecar sees.
#[derive(Debug, thiserror::Error)]
enum SharedVolumeError {
    #[error("the tasks ended without writing {0}: write it, or declare the output with `optional: true`")]
    Missing(String),
    #[error("{0:?} lies on none of the volumes that the sidecar has: the webhook names them")]
    Outside(String),
    #[error("{0:?} cannot be read: {1}; links are not followed")]
    Unreadable(PathBuf, io::Error),
    #[error(
        "{0:?} is no regular file, and nothing else is stored: name one file, or a pattern such as `folder/*`"
    )]
    NoFile(PathBuf),
    #[error(
        "{0:?} is too large: the files of an output may have {MAX_BYTES} bytes together; store large ones elsewhere, and \
         their address as the output"
    )]
    TooLarge(PathBuf),
    #[error("it means more than {MAX_FILES} files: pack them into one")]
    TooMany,
    #[error("there is another file of the name of {0:?}")]
    NameTwice(PathBuf),
    #[error("{0:?} is no pattern: {1}")]
    Pattern(String, String),
}
