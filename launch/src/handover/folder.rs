//! A directory that other processes can write to.

use std::ffi::OsString;
use std::fs::{File, Permissions};
use std::io::{self, Read, Write};
use std::os::fd::{AsRawFd, OwnedFd};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use nix::fcntl::{OFlag, open, openat, renameat};
use nix::sys::stat::{Mode, mkdirat};
use nix::unistd::{UnlinkatFlags, unlinkat};

/// Any user can create, rename and remove files, because the launcher and the sidecar can run as different
/// users.
const FOLDER_MODE: u32 = 0o777;

/// Any user can read the file.
const FILE_MODE: u32 = 0o644;

/// An open directory. Names are opened relative to it and never through a link, even if another process
/// changes it meanwhile.
#[derive(Debug)]
pub struct Folder(OwnedFd);

impl Folder {
    /// Opens a directory. The path must be trusted, because links in it are followed.
    ///
    /// # Errors
    /// Those of open(2).
    pub fn open(path: &Path) -> io::Result<Self> {
        let flags = OFlag::O_RDONLY | OFlag::O_DIRECTORY | OFlag::O_CLOEXEC;
        Ok(Self(open(path, flags, Mode::empty())?))
    }

    /// Opens the directory `name` in this directory.
    ///
    /// # Errors
    /// Those of open(2). A link is not a directory.
    pub fn folder(&self, name: &str) -> io::Result<Self> {
        let flags = OFlag::O_RDONLY | OFlag::O_DIRECTORY | OFlag::O_NOFOLLOW | OFlag::O_CLOEXEC;
        Ok(Self(openat(&self.0, entry_name(name)?, flags, Mode::empty())?))
    }

    /// The names in the directory, in no particular order.
    ///
    /// # Errors
    /// Those of opendir(3) and readdir(3).
    pub fn names(&self) -> io::Result<impl Iterator<Item = io::Result<OsString>>> {
        // Through the file descriptor: the path could lead to another directory by now.
        let entries = std::fs::read_dir(format!("/proc/self/fd/{}", self.0.as_raw_fd()))?;
        Ok(entries.map(|entry| entry.map(|entry| entry.file_name())))
    }

    /// Creates the directory `name`, accessible to every user.
    ///
    /// # Errors
    /// Those of mkdir(2) and chmod(2).
    pub fn make_folder(&self, name: &str) -> io::Result<Self> {
        mkdirat(&self.0, entry_name(name)?, Mode::S_IRWXU)?;
        let folder = self.folder(name)?;
        // Set afterwards, because the umask of the image limits the mode at the creation.
        let file = File::from(folder.0);
        file.set_permissions(Permissions::from_mode(FOLDER_MODE))?;
        Ok(Self(file.into()))
    }

    /// Creates the file `name`, readable for every user. It must not exist.
    ///
    /// # Errors
    /// Those of open(2) and chmod(2).
    pub fn create(&self, name: &str) -> io::Result<File> {
        let flags = OFlag::O_WRONLY | OFlag::O_CREAT | OFlag::O_EXCL | OFlag::O_NOFOLLOW | OFlag::O_CLOEXEC;
        let file = File::from(openat(&self.0, entry_name(name)?, flags, Mode::S_IRUSR | Mode::S_IWUSR)?);
        file.set_permissions(Permissions::from_mode(FILE_MODE))?;
        Ok(file)
    }

    /// Replaces the file `name` with one of this content, atomically.
    ///
    /// # Errors
    /// Those of open(2), write(2) and rename(2).
    pub fn replace(&self, name: &str, bytes: &[u8]) -> io::Result<()> {
        let name = entry_name(name)?;
        let new = format!("{name}.new");
        match self.remove(&new) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        self.create(&new)?.write_all(bytes)?;
        Ok(renameat(&self.0, new.as_str(), &self.0, name)?)
    }

    /// Removes the file `name`.
    ///
    /// # Errors
    /// Those of unlink(2).
    pub fn remove(&self, name: &str) -> io::Result<()> {
        Ok(unlinkat(&self.0, entry_name(name)?, UnlinkatFlags::NoRemoveDir)?)
    }

    /// Opens `name` for reading, whatever its type, but not a link.
    ///
    /// # Errors
    /// Those of open(2).
    pub fn file(&self, name: &str) -> io::Result<File> {
        // Without O_NONBLOCK, opening a named pipe would block until another process writes to it.
        let flags =
            OFlag::O_RDONLY | OFlag::O_NOFOLLOW | OFlag::O_NONBLOCK | OFlag::O_NOCTTY | OFlag::O_CLOEXEC;
        Ok(File::from(openat(&self.0, entry_name(name)?, flags, Mode::empty())?))
    }

    /// Reads the regular file `name` of at most `max` bytes.
    ///
    /// # Errors
    /// Those of open(2) and read(2); [`io::ErrorKind::InvalidInput`] if it is not a regular file,
    /// [`io::ErrorKind::FileTooLarge`] if it has more bytes.
    pub fn read(&self, name: &str, max: u64) -> io::Result<Vec<u8>> {
        let file = self.file(name)?;
        let metadata = file.metadata()?;
        if !metadata.is_file() {
            return Err(io::ErrorKind::InvalidInput.into());
        }
        if metadata.len() > max {
            return Err(io::ErrorKind::FileTooLarge.into());
        }
        // One byte more than the maximum, because the file can grow meanwhile.
        let mut bytes = Vec::with_capacity(metadata.len().try_into().unwrap_or_default());
        file.take(max + 1).read_to_end(&mut bytes)?;
        if bytes.len() as u64 > max { Err(io::ErrorKind::FileTooLarge.into()) } else { Ok(bytes) }
    }
}

/// Checks that a name is that of an entry, so that it cannot lead out of the directory.
fn entry_name(name: &str) -> io::Result<&str> {
    if name.is_empty() || name == "." || name == ".." || name.contains(['/', '\0']) {
        return Err(io::ErrorKind::InvalidFilename.into());
    }
    Ok(name)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;
    use std::os::unix::fs::symlink;
    use std::os::unix::net::UnixListener;

    #[test]
    fn reads_only_regular_files_and_follows_no_link() {
        let dir = tempfile::tempdir().unwrap();
        let path = |name: &str| dir.path().join(name);
        let folder = Folder::open(dir.path()).unwrap();
        fs::write(path("file"), "12345").unwrap();
        symlink("file", path("link")).unwrap();
        nix::unistd::mkfifo(&path("fifo"), Mode::S_IRWXU).unwrap();
        let _listener = UnixListener::bind(path("socket")).unwrap();
        fs::create_dir(path("folder")).unwrap();
        symlink("/etc", path("etc")).unwrap();

        assert_eq!(folder.read("file", 5).unwrap(), b"12345");
        assert_eq!(folder.read("file", 4).unwrap_err().kind(), io::ErrorKind::FileTooLarge);
        for name in
            ["link", "fifo", "socket", "folder", "etc", "absent", "", ".", "..", "folder/x", "/etc/passwd"]
        {
            folder.read(name, 5).unwrap_err();
        }
        folder.folder("folder").unwrap();
        let mut names: Vec<_> =
            folder.names().unwrap().map(|name| name.unwrap().into_string().unwrap()).collect();
        names.sort_unstable();
        assert_eq!(names, ["etc", "fifo", "file", "folder", "link", "socket"]);
        for name in ["etc", "file", "link", "..", "folder/.."] {
            folder.folder(name).unwrap_err();
        }
    }

    #[test]
    fn a_sparse_file_is_rejected_by_its_size() {
        let dir = tempfile::tempdir().unwrap();
        File::create(dir.path().join("sparse")).unwrap().set_len(2 << 30).unwrap();
        let error = Folder::open(dir.path()).unwrap().read("sparse", 1 << 20).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::FileTooLarge);
    }

    #[test]
    fn replaces_a_link_without_writing_to_its_target() {
        let dir = tempfile::tempdir().unwrap();
        let folder = Folder::open(dir.path()).unwrap();
        let victim = dir.path().join("victim");
        fs::write(&victim, "untouched").unwrap();
        for name in ["result", "result.new"] {
            symlink(&victim, dir.path().join(name)).unwrap();
        }
        folder.create("result").unwrap_err();
        for content in ["one", "two"] {
            folder.replace("result", content.as_bytes()).unwrap();
            assert_eq!(folder.read("result", 10).unwrap(), content.as_bytes());
        }
        assert_eq!(fs::read_to_string(&victim).unwrap(), "untouched");
        assert!(!dir.path().join("result.new").exists());
    }
}
