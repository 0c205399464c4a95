//! The directory of one attempt, and how the launcher and the sidecar use it.

use std::error::Error;
use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::time::SystemTime;
use std::{fmt, io};

use super::{
    Ending, Folder, InvalidEnding, InvalidResult, MAX_ABORT_BYTES, MAX_BYTES, MAX_FILES, Manifest,
    ManifestError, StoreResult,
};

/// Contains the number of the newest attempt, in the handover directory.
const ATTEMPT: &str = "attempt";
const MANIFEST: &str = "manifest";
const RESULT: &str = "result";
const ENDING: &str = "ending";
/// The task writes it.
const ABORT: &str = "abort";
/// Locked while the launcher runs. The kernel releases the lock when the process ends for any reason.
const RUNNING: &str = "running";

/// How many numbers are tried before the directory counts as damaged.
const TRIES: u32 = 100;

/// The directory of an attempt.
#[derive(Debug)]
pub struct Attempt {
    folder: Folder,
    number: u32,
    /// The locked file. Only in the launcher.
    _running: Option<fs::File>,
}

/// Operations of the launcher.
impl Attempt {
    /// Begins an attempt in the handover directory `path`, which is created if it does not exist. Removes the
    /// files of the previous attempt.
    ///
    /// # Errors
    /// The directory cannot be created or written.
    pub fn begin(path: &Path) -> Result<Self, HandoverError> {
        let failed = |error| HandoverError::io("the handover directory", error);
        match fs::create_dir(path) {
            Ok(()) => fs::set_permissions(path, Permissions::from_mode(0o777)).map_err(failed)?,
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
            Err(error) => return Err(failed(error)),
        }
        let handover = Folder::open(path).map_err(failed)?;
        // A number that cannot be read is not from a launcher. The next free number is found without it.
        let last = newest(&handover).ok().flatten().unwrap_or(0);
        let (number, folder) = (1..=TRIES)
            .find_map(|step| {
                let number = last.checked_add(step)?;
                match handover.make_folder(&number.to_string()) {
                    Err(error) if error.kind() == io::ErrorKind::AlreadyExists => None,
                    made => Some(made.map(|folder| (number, folder))),
                }
            })
            .unwrap_or_else(|| Err(io::ErrorKind::AlreadyExists.into()))
            .map_err(failed)?;
        let running = folder.create(RUNNING).and_then(|file| file.lock().map(|()| file)).map_err(failed)?;
        handover.replace(ATTEMPT, number.to_string().as_bytes()).map_err(failed)?;
        // Only frees memory, so errors are ignored.
        if let Ok(earlier) = handover.folder(&last.to_string()) {
            let _ = (0..MAX_FILES).try_for_each(|index| earlier.remove(&file_name(index)));
        }
        Ok(Self { folder, number, _running: Some(running) })
    }

    /// Creates the file at `index` among all files of the manifest.
    ///
    /// # Errors
    /// Those of open(2).
    pub fn create(&self, index: usize) -> io::Result<fs::File> {
        self.folder.create(&file_name(index))
    }

    /// Publishes the created files, atomically.
    ///
    /// # Errors
    /// The manifest cannot be written.
    pub fn publish(&self, manifest: &Manifest) -> Result<(), HandoverError> {
        let failed = |error| HandoverError::io("the manifest", error);
        self.folder.replace(MANIFEST, &manifest.encode()).map_err(failed)
    }

    /// Creates the empty file in which the task leaves what its abort needs, in the handover directory `path`
    /// of [`begin`](Self::begin). Returns its path. The task can run as any user, and so can the sidecar,
    /// which could not read a file that the task creates with its own mode.
    ///
    /// # Errors
    /// The file cannot be created.
    pub fn create_abort_file(&self, path: &Path) -> Result<PathBuf, HandoverError> {
        let failed = |error| HandoverError::io("the file of the abort", error);
        let file = self.folder.create(ABORT).map_err(failed)?;
        file.set_permissions(Permissions::from_mode(0o666)).map_err(failed)?;
        Ok(path.join(self.number.to_string()).join(ABORT))
    }

    /// Publishes how the task ends, atomically.
    ///
    /// # Errors
    /// It cannot be written.
    pub fn publish_ending(&self, ending: Ending) -> Result<(), HandoverError> {
        let failed = |error| HandoverError::io("how the task ends", error);
        self.folder.replace(ENDING, &ending.encode()).map_err(failed)
    }

    /// The result of the sidecar, or `None` before there is one.
    ///
    /// # Errors
    /// The result cannot be read.
    pub fn result(&self) -> Result<Option<StoreResult>, HandoverError> {
        match self.folder.read(RESULT, StoreResult::MAX_BYTES) {
            Ok(bytes) => StoreResult::parse(&bytes).map(Some).map_err(HandoverError::Word),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(HandoverError::io("the result of the sidecar", error)),
        }
    }
}

/// Operations of the sidecar.
impl Attempt {
    /// The newest attempt in a handover directory. `None` before the first.
    ///
    /// # Errors
    /// The attempt cannot be read.
    pub fn newest(handover: &Folder) -> Result<Option<Self>, HandoverError> {
        let failed = |error| HandoverError::io("the directory of the attempt", error);
        let Some(number) = newest(handover)? else { return Ok(None) };
        let folder = handover.folder(&number.to_string()).map_err(failed)?;
        Ok(Some(Self { folder, number, _running: None }))
    }

    /// The attempt with this number, which need not be the newest. `None` if it does not exist.
    ///
    /// # Errors
    /// The attempt cannot be read.
    pub fn numbered(handover: &Folder, number: u32) -> Result<Option<Self>, HandoverError> {
        match handover.folder(&number.to_string()) {
            Ok(folder) => Ok(Some(Self { folder, number, _running: None })),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(HandoverError::io("the directory of the attempt", error)),
        }
    }

    /// How the task ends, or `None` while it runs. A launcher that was killed publishes nothing.
    ///
    /// # Errors
    /// It cannot be read.
    pub fn ending(&self) -> Result<Option<Ending>, HandoverError> {
        match self.folder.read(ENDING, Ending::MAX_BYTES) {
            Ok(bytes) => Ending::parse(&bytes).map(Some).map_err(HandoverError::Ending),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(HandoverError::io("how the task ends", error)),
        }
    }

    /// What the task left for its abort, without white space around it. `None` if it left nothing.
    ///
    /// # Errors
    /// The file is too large, not text, or unreadable.
    pub fn abort_text(&self) -> Result<Option<String>, AbortTextError> {
        let bytes = match self.folder.read(ABORT, MAX_ABORT_BYTES) {
            Ok(bytes) => bytes,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) if error.kind() == io::ErrorKind::FileTooLarge => {
                return Err(AbortTextError::TooLarge);
            }
            Err(error) => return Err(AbortTextError::Unreadable(error)),
        };
        let text = str::from_utf8(&bytes).map_err(|_| AbortTextError::NotText)?.trim();
        Ok((!text.is_empty()).then(|| text.to_owned()))
    }

    /// When the launcher began the attempt. `None` if that is unknown.
    #[must_use]
    pub fn started(&self) -> Option<SystemTime> {
        self.folder.file(RUNNING).and_then(|file| file.metadata()?.modified()).ok()
    }

    /// The number of the attempt. The first has the number 1.
    #[must_use]
    pub fn number(&self) -> u32 {
        self.number
    }

    /// Whether the launcher, and so the container of the task, has exited. False if that is unknown.
    #[must_use]
    pub fn launcher_has_ended(&self) -> bool {
        self.folder.file(RUNNING).is_ok_and(|file| file.try_lock_shared().is_ok())
    }

    /// The manifest, or `None` before the task has exited.
    ///
    /// # Errors
    /// The manifest cannot be read.
    pub fn manifest(&self) -> Result<Option<Manifest>, HandoverError> {
        match self.folder.read(MANIFEST, Manifest::MAX_BYTES) {
            Ok(bytes) => Manifest::parse(&bytes).map(Some).map_err(HandoverError::Manifest),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(HandoverError::io("the manifest", error)),
        }
    }

    /// Reads the file at `index` among all files of the manifest, which has `size` bytes.
    ///
    /// # Errors
    /// It cannot be read, is not a regular file, or has another size.
    pub fn read(&self, index: usize, size: u64) -> Result<Vec<u8>, HandoverError> {
        let bytes = self
            .folder
            .read(&file_name(index), size.min(MAX_BYTES))
            .map_err(|error| HandoverError::io("the file of an output", error))?;
        if bytes.len() as u64 == size { Ok(bytes) } else { Err(HandoverError::Size) }
    }

    /// Writes the result for the launcher.
    ///
    /// # Errors
    /// The result cannot be written.
    pub fn write_result(&self, result: &StoreResult) -> Result<(), HandoverError> {
        let failed = |error| HandoverError::io("the result of the sidecar", error);
        self.folder.replace(RESULT, &result.encode()).map_err(failed)
    }

    /// Whether there is a result, from this sidecar or from it before a restart.
    #[must_use]
    pub fn has_result(&self) -> bool {
        matches!(self.result(), Ok(Some(_)))
    }
}

fn file_name(index: usize) -> String {
    format!("file-{index}")
}

fn newest(handover: &Folder) -> Result<Option<u32>, HandoverError> {
    match handover.read(ATTEMPT, 10) {
        Ok(bytes) => {
            let number = str::from_utf8(&bytes).ok().and_then(|text| text.parse().ok());
            number.map(Some).ok_or(HandoverError::Number)
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(HandoverError::io("the number of the attempt", error)),
    }
}

/// The handover directory cannot be used.
#[derive(Debug)]
#[non_exhaustive]
pub enum HandoverError {
    /// A file could not be read or written.
    Io {
        /// A description of the file.
        what: &'static str,
        /// The error of the kernel.
        error: io::Error,
    },
    /// The number of the newest attempt is invalid.
    Number,
    /// The manifest cannot be read.
    Manifest(ManifestError),
    /// The result of the sidecar cannot be read.
    Word(InvalidResult),
    /// How the task ends cannot be read.
    Ending(InvalidEnding),
    /// A file has another size than the manifest says.
    Size,
}

impl HandoverError {
    fn io(what: &'static str, error: io::Error) -> Self {
        Self::Io { what, error }
    }
}

impl fmt::Display for HandoverError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Io { what, error } => write!(f, "failed to read or write {what}: {error}"),
            Self::Number => f.write_str("the number of the attempt is invalid"),
            Self::Manifest(error) => write!(f, "the manifest is damaged: {error}"),
            Self::Word(error) => write!(f, "the result of the sidecar is damaged: {error}"),
            Self::Ending(error) => write!(f, "the file about the end of the task is damaged: {error}"),
            Self::Size => f.write_str("the size of a file is not the one in the manifest"),
        }
    }
}

impl Error for HandoverError {}

/// What a task left for its abort cannot be used.
#[derive(Debug)]
#[non_exhaustive]
pub enum AbortTextError {
    /// It has more than [`MAX_ABORT_BYTES`].
    TooLarge,
    /// It is not UTF-8.
    NotText,
    /// It cannot be read, or is not a regular file.
    Unreadable(io::Error),
}

impl fmt::Display for AbortTextError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::TooLarge => write!(f, "it has more than {MAX_ABORT_BYTES} bytes"),
            Self::NotText => f.write_str("it is not UTF-8 text"),
            Self::Unreadable(error) => error.fmt(f),
        }
    }
}

impl Error for AbortTextError {}

#[cfg(test)]
mod tests {
    use super::super::{FileEntry, Kind, OneLine, Outcome, Output};
    use super::*;
    use std::io::Write;
    use std::os::unix::fs::symlink;

    fn manifest(size: u64) -> Manifest {
        let files = vec![FileEntry { name: "a.txt".to_owned(), size }];
        let output = Output { key: "A".to_owned(), kind: Kind::ConfigMap, files };
        Manifest::new(0, Outcome::Outputs(vec![output])).unwrap()
    }

    #[test]
    fn the_sidecar_reads_the_outputs_and_the_launcher_the_result() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("base");
        let launcher = Attempt::begin(&path).unwrap();
        let sidecar = Attempt::newest(&Folder::open(&path).unwrap()).unwrap().unwrap();
        assert_eq!(sidecar.number(), 1);
        assert_eq!(sidecar.manifest().unwrap(), None);
        assert!(!sidecar.launcher_has_ended());

        launcher.create(0).unwrap().write_all(b"bytes").unwrap();
        launcher.publish(&manifest(5)).unwrap();
        assert_eq!(sidecar.manifest().unwrap(), Some(manifest(5)));
        assert_eq!(sidecar.read(0, 5).unwrap(), b"bytes");
        sidecar.read(0, 4).unwrap_err();
        sidecar.read(0, 6).unwrap_err();
        sidecar.read(1, 5).unwrap_err();

        assert_eq!(launcher.result().unwrap(), None);
        assert!(!sidecar.has_result());
        for result in [StoreResult::Failed(OneLine::new("no")), StoreResult::Stored] {
            sidecar.write_result(&result).unwrap();
            assert_eq!(launcher.result().unwrap(), Some(result));
        }
        assert!(sidecar.has_result());
        assert!(!sidecar.launcher_has_ended());
        drop(launcher);
        assert!(sidecar.launcher_has_ended());
    }

    #[test]
    fn the_sidecar_reads_how_the_task_ends_and_what_it_left() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("base");
        let launcher = Attempt::begin(&path).unwrap();
        let handover = Folder::open(&path).unwrap();
        let sidecar = Attempt::numbered(&handover, 1).unwrap().unwrap();
        assert!(Attempt::numbered(&handover, 2).unwrap().is_none());
        assert_eq!((sidecar.ending().unwrap(), sidecar.abort_text().unwrap()), (None, None));
        assert!(sidecar.started().unwrap().elapsed().unwrap().as_secs() < 60);

        let file = launcher.create_abort_file(&path).unwrap();
        assert_eq!(file, path.join("1/abort"));
        assert_eq!(fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o666);
        assert_eq!(sidecar.abort_text().unwrap(), None);
        fs::write(&file, " job-17\n").unwrap();
        assert_eq!(sidecar.abort_text().unwrap().as_deref(), Some("job-17"));
        fs::write(&file, "x".repeat(1025)).unwrap();
        assert!(matches!(sidecar.abort_text(), Err(AbortTextError::TooLarge)));
        fs::write(&file, b"\xff").unwrap();
        assert!(matches!(sidecar.abort_text(), Err(AbortTextError::NotText)));

        launcher.publish_ending(Ending::Stopping { signal: 15 }).unwrap();
        assert_eq!(sidecar.ending().unwrap(), Some(Ending::Stopping { signal: 15 }));
        fs::write(path.join("1/ending"), "ended\n").unwrap();
        sidecar.ending().unwrap_err();
    }

    #[test]
    fn a_new_attempt_replaces_the_previous_one() {
        let dir = tempfile::tempdir().unwrap();
        let handover = Folder::open(dir.path()).unwrap();
        assert!(Attempt::newest(&handover).unwrap().is_none());
        let first = Attempt::begin(dir.path()).unwrap();
        first.create(0).unwrap().write_all(b"bytes").unwrap();
        first.read(0, 5).unwrap();
        first.publish(&manifest(0)).unwrap();
        first.write_result(&StoreResult::Stored).unwrap();

        let second = Attempt::begin(dir.path()).unwrap();
        assert_eq!((first.number(), second.number()), (1, 2));
        assert_eq!(second.result().unwrap(), None);
        let newest = Attempt::newest(&handover).unwrap().unwrap();
        assert_eq!(newest.number(), 2);
        assert_eq!(newest.manifest().unwrap(), None);
        first.read(0, 5).unwrap_err();
    }

    #[test]
    fn a_manipulated_directory_is_an_error_and_allows_no_access_outside() {
        let dir = tempfile::tempdir().unwrap();
        let outside = tempfile::tempdir().unwrap();
        fs::write(outside.path().join("manifest"), manifest(0).encode()).unwrap();
        fs::write(outside.path().join("file-0"), "token").unwrap();
        let handover = Folder::open(dir.path()).unwrap();

        symlink(outside.path(), dir.path().join("7")).unwrap();
        fs::write(dir.path().join("attempt"), "7").unwrap();
        Attempt::newest(&handover).unwrap_err();
        for number in ["-1", "x", "", "4294967296", "../7", "99999999999"] {
            fs::write(dir.path().join("attempt"), number).unwrap();
            Attempt::newest(&handover).unwrap_err();
        }

        let attempt = Attempt::begin(dir.path()).unwrap();
        symlink(outside.path().join("manifest"), dir.path().join("1/manifest")).unwrap();
        symlink(outside.path().join("file-0"), dir.path().join("1/file-0")).unwrap();
        attempt.manifest().unwrap_err();
        attempt.read(0, 5).unwrap_err();
        attempt.create(0).unwrap_err();
    }
}
