//! The volume that passes the result of boot to the task.
//!
//! # Atomicity
//! - Every file is first written to `.staging` under a number, on the same file system, and then renamed. So
//!   no process sees an incomplete file, and no name from a source is used before all names of all sources
//!   are known to be compatible.
//! - The env file is removed first and renamed last. The launcher does not start a task without it, so a task
//!   that starts has a complete boot.
//! - Boot may run again in the same pod (after a restart of the node, an in-place restart, or if the kubelet
//!   lost its record), also after a run that was killed. The kubelet only starts init containers while no
//!   main container runs (`computeInitContainerActions`), so no process reads the volume then, and boot
//!   removes the files of an earlier run *before* it fetches: with both on the volume, one that is more than
//!   half full could only be booted once.
//! - The folder `assets` keeps its inode, because task containers mount it by `subPath`, which is a bind
//!   mount of that inode.
//!
//! # Links
//! Task containers mount the volume read-only, so only boot writes to it while it runs, and std suffices,
//! where an untrusted writer would require `openat2` or cap-std. Files of an earlier writer cannot redirect
//! boot: a link in place of one of Bootlace's folders is an error, everything in the folders is removed
//! without following links, and after that, this run has created every folder.

use std::cell::Cell;
use std::fs::{self, File, Permissions};
use std::io::{self, ErrorKind, Write};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::rc::Rc;

use super::amount::Bytes;
use super::memory::{MemoryBudget, MemoryExhausted};
use bootlace_core::code::{Code, Coded};
use bootlace_core::names;

/// The staging folder, below the root of the volume.
const DIR_STAGING: &str = ".staging";

/// Bytes of memory for a file in addition to its content: its inode, its name, and the rest of its last page.
const FILE_BYTES: u64 = 8 << 10;

/// The folder of the launcher.
const DIR_BIN: &str = "bin";

// Readable by every user, because a task may run as any; secrets are protected because only the containers of
// this pod mount the volume. Modes are set explicitly, so that the umask does not matter.
const MODE_FILE: u32 = 0o444;
const MODE_PROGRAM: u32 = 0o555;
const MODE_FOLDER: u32 = 0o755;

/// The volume, cleared and ready to be written.
#[derive(Debug)]
pub(crate) struct Volume {
    root: PathBuf,
    /// For the error message that names the field with the size limit.
    profile: String,
    next: Cell<u64>,
    /// The memory that files on the volume count against.
    memory: Rc<MemoryBudget>,
}

/// An incomplete file in the staging folder.
pub(crate) struct StagedFile {
    path: StagingPath,
    number: u64,
    file: File,
    size: u64,
    profile: String,
    memory: Rc<MemoryBudget>,
}

/// A complete file in the staging folder.
pub(crate) struct Staged {
    path: StagingPath,
    number: u64,
    size: u64,
}

/// The path of a file in the staging folder. If the file is not renamed, it is removed to free its memory.
struct StagingPath(PathBuf);

impl Drop for StagingPath {
    fn drop(&mut self) {
        // Does not exist if it was renamed. The next write reports any other error.
        let _ = fs::remove_file(&self.0);
    }
}

/// A temporary file on the volume, which is removed when it is dropped.
pub(crate) struct Scratch {
    staged: StagedFile,
}

impl Scratch {
    /// Appends to the file.
    pub(crate) fn write(&mut self, chunk: &[u8]) -> Result<(), VolumeError> {
        self.staged.write(chunk)
    }

    /// Opens the file for reading, from its beginning.
    pub(crate) fn reader(&self) -> Result<File, VolumeError> {
        let StagedFile { path, profile, .. } = &self.staged;
        File::open(&path.0).map_err(|error| VolumeError::new(&path.0, profile, error))
    }
}

impl Staged {
    /// Its size in bytes.
    pub(crate) fn size(&self) -> u64 {
        self.size
    }

    /// The number of the file, which increases with each new file.
    pub(crate) fn number(&self) -> u64 {
        self.number
    }
}

impl Volume {
    /// Opens the volume at `root`: creates the folders of Bootlace and removes the files of an earlier run.
    ///
    /// # Errors
    /// If the volume does not exist, cannot be written, or contains something else in place of a folder.
    pub(crate) fn open(root: &Path, profile: &str) -> Result<Self, VolumeError> {
        if !root.is_dir() {
            return Err(VolumeError::NotMounted { root: root.to_owned() });
        }
        let (root_path, profile) = (root.to_owned(), profile.to_owned());
        let volume = Self { root: root_path, profile, next: Cell::new(0), memory: Rc::default() };
        for folder in [names::DIR_ENV, DIR_BIN, names::DIR_ASSETS, DIR_STAGING] {
            volume.make_folder(&root.join(folder))?;
        }
        for left in [names::FILE_ENV, names::FILE_TASK, names::FILE_LAUNCHER] {
            volume.remove(&root.join(left))?;
        }
        for folder in [names::DIR_ENV, names::DIR_ASSETS, DIR_STAGING] {
            volume.empty(&root.join(folder))?;
        }
        Ok(volume)
    }

    /// Limits the volume to the memory that is left in `memory`.
    pub(crate) fn within(self, memory: MemoryBudget) -> Self {
        Self { memory: Rc::new(memory), ..self }
    }

    /// Checks whether `bytes` more fit into memory.
    pub(crate) fn has_memory(&self, bytes: u64) -> Result<(), VolumeError> {
        self.memory.check(bytes).map_err(|exhausted| VolumeError::no_memory(exhausted, &self.profile))
    }

    /// The number of the next file.
    pub(crate) fn next_number(&self) -> u64 {
        self.next.get()
    }

    /// Creates a file in the staging folder.
    pub(crate) fn stage(&self) -> Result<StagedFile, VolumeError> {
        let taken = self.memory.reserve(FILE_BYTES);
        taken.map_err(|exhausted| VolumeError::no_memory(exhausted, &self.profile))?;
        let number = self.next.get();
        self.next.set(number + 1);
        let path = self.root.join(DIR_STAGING).join(number.to_string());
        let file = File::create_new(&path).map_err(self.failed(&path))?;
        let (path, profile, memory) = (StagingPath(path), self.profile.clone(), Rc::clone(&self.memory));
        Ok(StagedFile { path, number, file, size: 0, profile, memory })
    }

    /// Creates a temporary file.
    pub(crate) fn scratch(&self) -> Result<Scratch, VolumeError> {
        Ok(Scratch { staged: self.stage()? })
    }

    /// The path of a file or folder on the volume.
    pub(super) fn at(&self, name: &str) -> PathBuf {
        self.root.join(name)
    }

    /// Copies a program to the staging folder.
    pub(super) fn stage_program(&self, program: &mut File) -> Result<Staged, VolumeError> {
        let mut staged = self.stage()?;
        staged.size = io::copy(program, &mut staged.file).map_err(self.failed(&staged.path.0))?;
        staged.seal_as(MODE_PROGRAM)
    }

    /// Removes the staging folder, when all files have their final paths.
    pub(super) fn remove_staging(&self) -> Result<(), VolumeError> {
        self.remove(&self.root.join(DIR_STAGING))
    }

    /// Writes a file to its final path.
    pub(super) fn write_file(&self, target: &Path, content: &[u8]) -> Result<(), VolumeError> {
        let mut staged = self.stage()?;
        staged.write(content)?;
        self.rename(&staged.seal()?, target)
    }

    /// Moves a file from the staging folder to its final path.
    pub(super) fn rename(&self, staged: &Staged, target: &Path) -> Result<(), VolumeError> {
        fs::rename(&staged.path.0, target).map_err(self.failed(target))
    }

    /// Creates a folder in an existing one. It may exist already, but not as a link.
    pub(super) fn make_folder(&self, path: &Path) -> Result<(), VolumeError> {
        match fs::create_dir(path) {
            Ok(()) => {
                fs::set_permissions(path, Permissions::from_mode(MODE_FOLDER)).map_err(self.failed(path))
            }
            Err(error) if error.kind() == ErrorKind::AlreadyExists => {
                let found = fs::symlink_metadata(path).map_err(self.failed(path))?;
                if found.is_dir() { Ok(()) } else { Err(VolumeError::NotAFolder { path: path.to_owned() }) }
            }
            Err(error) => Err(self.failed(path)(error)),
        }
    }

    fn empty(&self, folder: &Path) -> Result<(), VolumeError> {
        for entry in fs::read_dir(folder).map_err(self.failed(folder))? {
            self.remove(&entry.map_err(self.failed(folder))?.path())?;
        }
        Ok(())
    }

    /// Removes the file or folder at `path`, without following links.
    fn remove(&self, path: &Path) -> Result<(), VolumeError> {
        let removed = match fs::symlink_metadata(path) {
            Ok(found) if found.is_dir() => fs::remove_dir_all(path),
            Ok(_) => fs::remove_file(path),
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(()),
            Err(error) => Err(error),
        };
        removed.map_err(self.failed(path))
    }

    /// The error of an operation on `path`.
    pub(super) fn failed(&self, path: &Path) -> impl Fn(io::Error) -> VolumeError {
        move |error| VolumeError::new(path, &self.profile, error)
    }
}

impl StagedFile {
    /// Appends to the file.
    pub(crate) fn write(&mut self, chunk: &[u8]) -> Result<(), VolumeError> {
        let taken = self.memory.reserve(chunk.len() as u64);
        taken.map_err(|exhausted| VolumeError::no_memory(exhausted, &self.profile))?;
        self.file.write_all(chunk).map_err(|error| VolumeError::new(&self.path.0, &self.profile, error))?;
        self.size += chunk.len() as u64;
        Ok(())
    }

    /// Completes the file: from now on, every user can read it and none can write it.
    pub(crate) fn seal(self) -> Result<Staged, VolumeError> {
        self.seal_as(MODE_FILE)
    }

    fn seal_as(self, mode: u32) -> Result<Staged, VolumeError> {
        let Self { path, number, file, size, profile, memory: _ } = self;
        file.set_permissions(Permissions::from_mode(mode))
            .map_err(|error| VolumeError::new(&path.0, &profile, error))?;
        Ok(Staged { path, number, size })
    }
}

/// Why the volume cannot be written.
#[derive(Debug, thiserror::Error)]
pub enum VolumeError {
    /// The mount path does not exist.
    #[error("{root:?} does not exist: mount the volume {:?} there in the boot container", names::VOLUME)]
    NotMounted {
        /// The mount path.
        root: PathBuf,
    },
    /// Something else is at the path of a folder.
    #[error(
        "{path:?} is not a folder, although only Bootlace writes there: do not mount the volume {:?} in other containers",
        names::VOLUME
    )]
    NotAFolder {
        /// The folder.
        path: PathBuf,
    },
    /// The volume is full.
    #[error(
        "the volume is full: raise volume.sizeLimit of BootProfile {profile:?}, and boot.resources.limits.memory with it, \
         because the volume counts as memory of boot"
    )]
    Full {
        /// The profile.
        profile: String,
    },
    /// The memory limit of the container is too low.
    #[error(
        "boot needs {} more memory, but {} of its limit of {} are in use, and files on the volume count as memory: raise \
         limits.memory of the pod's containers or its spec.resources, from which boot's limit is derived, raise \
         boot.resources.limits.memory of BootProfile {profile:?}, or fetch less data",
        Bytes(*wanted),
        Bytes(*used),
        Bytes(*limit)
    )]
    NoMemory {
        /// The limit in bytes.
        limit: u64,
        /// The memory in use.
        used: u64,
        /// The size to be written.
        wanted: u64,
        /// The profile.
        profile: String,
    },
    /// The system refuses the write.
    #[error("failed to write {path:?}: {error}")]
    Unwritable {
        /// The path.
        path: PathBuf,
        /// The system's error.
        error: io::Error,
    },
}

impl Coded for VolumeError {
    fn code(&self) -> Code {
        match self {
            Self::NotMounted { .. } | Self::NotAFolder { .. } => Code::VolumeNotMounted,
            Self::Full { .. } => Code::VolumeFull,
            Self::NoMemory { .. } => Code::BootMemoryTooLow,
            Self::Unwritable { .. } => Code::VolumeNotWritable,
        }
    }
}

impl VolumeError {
    fn no_memory(MemoryExhausted { limit, used, wanted }: MemoryExhausted, profile: &str) -> Self {
        Self::NoMemory { limit, used, wanted, profile: profile.to_owned() }
    }

    fn new(path: &Path, profile: &str, error: io::Error) -> Self {
        match error.kind() {
            ErrorKind::StorageFull | ErrorKind::QuotaExceeded => Self::Full { profile: profile.to_owned() },
            _ => Self::Unwritable { path: path.to_owned(), error },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_full_volume_names_the_field_to_raise() {
        // A device that fails every write as a full file system does.
        let file = fs::OpenOptions::new().write(true).open("/dev/full").unwrap();
        let path = StagingPath(PathBuf::from("/nowhere/0"));
        let (profile, memory) = ("default".to_owned(), Rc::default());
        let mut staged = StagedFile { path, number: 0, file, size: 0, profile, memory };
        let error = staged.write(b"hunter2").unwrap_err();
        assert!(matches!(&error, VolumeError::Full { profile } if profile == "default"), "{error}");
    }

    #[test]
    fn only_files_of_bootlace_are_removed() {
        let root = tempfile::tempdir().unwrap();
        for folder in ["bin", "assets/sub", "env", "other"] {
            fs::create_dir_all(root.path().join(folder)).unwrap();
        }
        for file in ["bin/launch", "bin/other", "assets/sub/old", "env/environ", "other/file", "task.json"] {
            fs::write(root.path().join(file), "old").unwrap();
        }
        Volume::open(root.path(), "default").unwrap();
        let left = |folder: &str| fs::read_dir(root.path().join(folder)).unwrap().count();
        assert_eq!((left("bin"), left("assets"), left("env"), left("other")), (1, 0, 0, 1));
        assert!(root.path().join("bin/other").exists());
        assert!(!root.path().join("task.json").exists());
    }
}
