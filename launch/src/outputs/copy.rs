//! Copies one file to the directory of the attempt.

use std::fs::{self, File, Metadata, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::fs::{FileTypeExt, MetadataExt, OpenOptionsExt};
use std::path::Path;

use nix::fcntl::OFlag;
use nix::sys::statfs::{self, FsType};

use super::OutputErrorKind;
use crate::deadline::Deadline;

/// Filesystems of the kernel. Some of their files are endless, some have side effects when they are read, and
/// `/proc/self` is the launcher.
const KERNEL: [FsType; 7] = [
    statfs::PROC_SUPER_MAGIC,
    statfs::SYSFS_MAGIC,
    statfs::CGROUP_SUPER_MAGIC,
    statfs::CGROUP2_SUPER_MAGIC,
    statfs::DEBUGFS_MAGIC,
    statfs::TRACEFS_MAGIC,
    statfs::SECURITYFS_MAGIC,
];

/// Copies a regular file of at most `max` bytes, and returns its size.
pub(super) fn copy(
    path: &Path,
    into: &mut File,
    max: u64,
    deadline: Deadline,
) -> Result<u64, OutputErrorKind> {
    let unreadable = |error| OutputErrorKind::Unreadable(path.to_owned(), error);
    let (mut file, before) = open(path)?;
    if before.len() > max {
        return Err(OutputErrorKind::TooLarge(path.to_owned(), before.len()));
    }
    let mut buffer = [0; 16 * 1024];
    let mut size = 0;
    loop {
        let read = match file.read(&mut buffer) {
            Ok(0) => break,
            Ok(read) => read,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(error) => return Err(unreadable(error)),
        };
        size += read as u64;
        // The file grows, perhaps forever.
        if size > before.len() {
            return Err(OutputErrorKind::Changed(path.to_owned()));
        }
        into.write_all(buffer.get(..read).unwrap_or_default()).map_err(OutputErrorKind::Handover)?;
        if deadline.left().is_none() {
            return Err(OutputErrorKind::Deadline(deadline.limit()));
        }
    }
    let after = file.metadata().map_err(unreadable)?;
    if size != before.len() || stamp(&after) != stamp(&before) {
        return Err(OutputErrorKind::Changed(path.to_owned()));
    }
    Ok(size)
}

/// Opens a regular file. Checks it before, because opening a device can have side effects, and after, because
/// the path can have changed.
fn open(path: &Path) -> Result<(File, Metadata), OutputErrorKind> {
    let unreadable = |error| OutputErrorKind::Unreadable(path.to_owned(), error);
    match fs::metadata(path) {
        Ok(metadata) => require_regular(path, &metadata)?,
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            return Err(OutputErrorKind::Dangling(path.to_owned()));
        }
        Err(error) => return Err(unreadable(error)),
    }
    // Without O_NONBLOCK, a named pipe would block; without O_NOCTTY, a terminal could become that of the
    // launcher.
    let flags = OFlag::O_NONBLOCK | OFlag::O_NOCTTY;
    let file = OpenOptions::new().read(true).custom_flags(flags.bits()).open(path).map_err(unreadable)?;
    let metadata = file.metadata().map_err(unreadable)?;
    require_regular(path, &metadata)?;
    let filesystem = statfs::fstatfs(&file).map_err(|error| unreadable(error.into()))?.filesystem_type();
    if KERNEL.contains(&filesystem) {
        return Err(OutputErrorKind::Kernel(path.to_owned()));
    }
    Ok((file, metadata))
}

fn require_regular(path: &Path, metadata: &Metadata) -> Result<(), OutputErrorKind> {
    let kind = metadata.file_type();
    if kind.is_file() {
        return Ok(());
    }
    let path = path.to_owned();
    Err(if kind.is_dir() {
        OutputErrorKind::Directory(path)
    } else if kind.is_fifo() {
        OutputErrorKind::Special(path, "a named pipe")
    } else if kind.is_socket() {
        OutputErrorKind::Special(path, "a socket")
    } else {
        OutputErrorKind::Special(path, "a device")
    })
}

/// The attributes that every write changes.
fn stamp(metadata: &Metadata) -> (u64, i64, i64) {
    (metadata.len(), metadata.mtime(), metadata.mtime_nsec())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::symlink;
    use std::os::unix::net::UnixListener;
    use std::time::Duration;

    fn copied(path: &Path, max: u64) -> Result<Vec<u8>, OutputErrorKind> {
        let target = tempfile::NamedTempFile::new().unwrap();
        let size = copy(path, &mut target.reopen().unwrap(), max, Deadline::after(Duration::from_mins(1)))?;
        let bytes = fs::read(target.path()).unwrap();
        assert_eq!(bytes.len() as u64, size);
        Ok(bytes)
    }

    #[test]
    fn a_file_is_copied_byte_for_byte_up_to_the_maximum() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("file");
        for content in
            [vec![], vec![b'\xff'], (0..100_000_u32).map(|number| number.to_le_bytes()[0]).collect()]
        {
            fs::write(&path, &content).unwrap();
            assert_eq!(copied(&path, content.len() as u64).unwrap(), content);
        }
        assert!(matches!(copied(&path, 99_999), Err(OutputErrorKind::TooLarge(_, 100_000))));
    }

    #[test]
    fn links_are_followed_to_files_only() {
        let dir = tempfile::tempdir().unwrap();
        let path = |name: &str| dir.path().join(name);
        fs::write(path("file"), "content").unwrap();
        nix::unistd::mkfifo(&path("fifo"), nix::sys::stat::Mode::S_IRWXU).unwrap();
        let _listener = UnixListener::bind(path("socket")).unwrap();
        let link = |name: &str, to: &str| {
            symlink(to, path(name)).unwrap();
            path(name)
        };
        assert_eq!(copied(&link("to-file", "file"), 100).unwrap(), b"content");
        assert!(matches!(copied(&link("dangling", "absent"), 100), Err(OutputErrorKind::Dangling(_))));
        assert!(matches!(copied(&link("loop", "loop"), 100), Err(OutputErrorKind::Unreadable(..))));
        for (link, expected) in [
            (link("to-fifo", "fifo"), "a named pipe"),
            (link("to-socket", "socket"), "a socket"),
            (link("to-device", "/dev/zero"), "a device"),
        ] {
            assert!(
                matches!(copied(&link, 100), Err(OutputErrorKind::Special(_, file_type)) if file_type == expected),
                "{link:?}"
            );
        }
        assert!(matches!(copied(&link("to-folder", "/etc"), 100), Err(OutputErrorKind::Directory(_))));
        assert!(matches!(
            copied(&link("to-environ", "/proc/self/environ"), 100),
            Err(OutputErrorKind::Kernel(_))
        ));
    }

    #[test]
    fn a_sparse_file_is_rejected_by_its_size() {
        let file = tempfile::NamedTempFile::new().unwrap();
        file.as_file().set_len(2 << 30).unwrap();
        assert!(
            matches!(copied(file.path(), 1 << 20), Err(OutputErrorKind::TooLarge(_, size)) if size == 2 << 30)
        );
    }

    #[test]
    fn a_file_that_grows_is_rejected() {
        // Copies the file to its own end.
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("file");
        fs::write(&path, vec![b'x'; 40_000]).unwrap();
        let mut end = OpenOptions::new().append(true).open(&path).unwrap();
        let result = copy(&path, &mut end, 1 << 20, Deadline::after(Duration::from_mins(1)));
        assert!(matches!(result, Err(OutputErrorKind::Changed(_))));
    }
}
