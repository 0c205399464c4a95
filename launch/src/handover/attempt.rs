//! One attempt's folder: what the launcher and the sidecar do in it.

use std::error::Error;
use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::{fmt, io};

use super::{Folder, InvalidResult, MAX_BYTES, MAX_FILES, Manifest, ManifestError, StoreResult};

/// Names the newest attempt, in the handover folder.
const ATTEMPT: &str = "attempt";
const MANIFEST: &str = "manifest";
const WORD: &str = "word";
/// Locked as long as the launcher runs: the kernel lets go of it with the process, whatever ends that.
const RUNNING: &str = "running";

/// How many numbers are tried before the folder counts as spoiled.
const TRIES: u32 = 100;

/// The attempt's folder, as both sides see it.
#[derive(Debug)]
pub struct Attempt {
    folder: Folder,
    number: u32,
    /// The launcher's own, which holds the lock.
    _running: Option<fs::File>,
}

/// What the launcher does.
impl Attempt {
    /// Begins an attempt in the handover folder at `path`, which is made where it is not there, and removes the
    /// files of the attempt before it.
    ///
    /// # Errors
    /// The folder cannot be made or written.
    pub fn begin(path: &Path) -> Result<Self, HandoverError> {
        let of = |error| HandoverError::io("the handover folder", error);
        match fs::create_dir(path) {
            Ok(()) => fs::set_permissions(path, Permissions::from_mode(0o777)).map_err(of)?,
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
            Err(error) => return Err(of(error)),
        }
        let handover = Folder::open(path).map_err(of)?;
        // What cannot be read was not written by a launcher, and the next free number is found all the same.
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
            .map_err(of)?;
        let running = folder.create(RUNNING).and_then(|file| file.lock().map(|()| file)).map_err(of)?;
        handover.replace(ATTEMPT, number.to_string().as_bytes()).map_err(of)?;
        // Only its memory is gained, so that it goes well is not asked for.
        if let Ok(earlier) = handover.folder(&last.to_string()) {
            let _ = (0..MAX_FILES).try_for_each(|index| earlier.remove(&file_name(index)));
        }
        Ok(Self { folder, number, _running: Some(running) })
    }

    /// Makes the file that is at `index` among all files of the manifest.
    ///
    /// # Errors
    /// As of open(2).
    pub fn create(&self, index: usize) -> io::Result<fs::File> {
        self.folder.create(&file_name(index))
    }

    /// Hands over what was created, all at once.
    ///
    /// # Errors
    /// The manifest cannot be written.
    pub fn publish(&self, manifest: &Manifest) -> Result<(), HandoverError> {
        let of = |error| HandoverError::io("the manifest", error);
        self.folder.replace(MANIFEST, &manifest.encode()).map_err(of)
    }

    /// The sidecar's word, once it is there.
    ///
    /// # Errors
    /// It is there, but cannot be read.
    pub fn word(&self) -> Result<Option<StoreResult>, HandoverError> {
        match self.folder.read(WORD, StoreResult::MAX_BYTES) {
            Ok(bytes) => StoreResult::parse(&bytes).map(Some).map_err(HandoverError::Word),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(HandoverError::io("the sidecar's word", error)),
        }
    }
}

/// What the sidecar does.
impl Attempt {
    /// The newest attempt of a handover folder; `None` before the first.
    ///
    /// # Errors
    /// There is one, but it cannot be read.
    pub fn newest(handover: &Folder) -> Result<Option<Self>, HandoverError> {
        let of = |error| HandoverError::io("the attempt's folder", error);
        let Some(number) = newest(handover)? else { return Ok(None) };
        let folder = handover.folder(&number.to_string()).map_err(of)?;
        Ok(Some(Self { folder, number, _running: None }))
    }

    /// The attempt's number, counted from 1; a newer one is greater.
    #[must_use]
    pub fn number(&self) -> u32 {
        self.number
    }

    /// Whether the launcher, and so the task's container, has ended; no where it cannot be told.
    #[must_use]
    pub fn launcher_has_ended(&self) -> bool {
        self.folder.file(RUNNING).is_ok_and(|file| file.try_lock_shared().is_ok())
    }

    /// What the launcher hands over, once the task has ended.
    ///
    /// # Errors
    /// It is there, but cannot be read.
    pub fn manifest(&self) -> Result<Option<Manifest>, HandoverError> {
        match self.folder.read(MANIFEST, Manifest::MAX_BYTES) {
            Ok(bytes) => Manifest::parse(&bytes).map(Some).map_err(HandoverError::Manifest),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(HandoverError::io("the manifest", error)),
        }
    }

    /// The bytes of the file that is at `index` among all files of the manifest, where it has `size` bytes.
    ///
    /// # Errors
    /// It cannot be read, is no regular file, or has another size.
    pub fn read(&self, index: usize, size: u64) -> Result<Vec<u8>, HandoverError> {
        let bytes = self
            .folder
            .read(&file_name(index), size.min(MAX_BYTES))
            .map_err(|error| HandoverError::io("a file that was handed over", error))?;
        if bytes.len() as u64 == size { Ok(bytes) } else { Err(HandoverError::Size) }
    }

    /// Answers the launcher.
    ///
    /// # Errors
    /// The word cannot be written.
    pub fn answer(&self, word: &StoreResult) -> Result<(), HandoverError> {
        let of = |error| HandoverError::io("the sidecar's word", error);
        self.folder.replace(WORD, &word.encode()).map_err(of)
    }

    /// Whether the attempt was answered: by this sidecar, or by it before it was started again.
    #[must_use]
    pub fn is_answered(&self) -> bool {
        matches!(self.word(), Ok(Some(_)))
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
        Err(error) => Err(HandoverError::io("the attempt's number", error)),
    }
}

/// What is wrong in a handover folder.
#[derive(Debug)]
#[non_exhaustive]
pub enum HandoverError {
    /// What could not be read or written, and why.
    Io {
        /// In words.
        what: &'static str,
        /// As the kernel says it.
        error: io::Error,
    },
    /// The newest attempt's number is none.
    Number,
    /// The manifest cannot be read.
    Manifest(ManifestError),
    /// The sidecar's word cannot be read.
    Word(InvalidResult),
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
            Self::Io { what, error } => write!(f, "{what} cannot be used: {error}"),
            Self::Number => f.write_str("the attempt's number is no number"),
            Self::Manifest(error) => write!(f, "the manifest is damaged: {error}"),
            Self::Word(error) => write!(f, "the sidecar's word is damaged: {error}"),
            Self::Size => f.write_str("a file that was handed over has changed its size since"),
        }
    }
}

impl Error for HandoverError {}

#[cfg(test)]
mod tests {
    use super::super::{File, Kind, OneLine, Outcome, Output};
    use super::*;
    use std::io::Write;
    use std::os::unix::fs::symlink;

    fn manifest(size: u64) -> Manifest {
        let files = vec![File { name: "a.txt".to_owned(), size }];
        let output = Output { key: "A".to_owned(), kind: Kind::ConfigMap, files };
        Manifest::new(0, Outcome::Outputs(vec![output])).unwrap()
    }

    #[test]
    fn what_the_launcher_hands_over_the_sidecar_reads_and_answers() {
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

        assert_eq!(launcher.word().unwrap(), None);
        assert!(!sidecar.is_answered());
        for word in [StoreResult::Failed(OneLine::new("no")), StoreResult::Stored] {
            sidecar.answer(&word).unwrap();
            assert_eq!(launcher.word().unwrap(), Some(word));
        }
        assert!(sidecar.is_answered());
        assert!(!sidecar.launcher_has_ended());
        drop(launcher);
        assert!(sidecar.launcher_has_ended());
    }

    #[test]
    fn a_new_attempt_takes_the_place_of_the_one_before() {
        let dir = tempfile::tempdir().unwrap();
        let handover = Folder::open(dir.path()).unwrap();
        assert!(Attempt::newest(&handover).unwrap().is_none());
        let first = Attempt::begin(dir.path()).unwrap();
        first.create(0).unwrap().write_all(b"bytes").unwrap();
        first.read(0, 5).unwrap();
        first.publish(&manifest(0)).unwrap();
        first.answer(&StoreResult::Stored).unwrap();

        let second = Attempt::begin(dir.path()).unwrap();
        assert_eq!((first.number(), second.number()), (1, 2));
        assert_eq!(second.word().unwrap(), None);
        let newest = Attempt::newest(&handover).unwrap().unwrap();
        assert_eq!(newest.number(), 2);
        assert_eq!(newest.manifest().unwrap(), None);
        first.read(0, 5).unwrap_err();
    }

    #[test]
    fn a_folder_that_was_tampered_with_is_an_error_and_no_way_out() {
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
