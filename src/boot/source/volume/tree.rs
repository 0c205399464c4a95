//! Reads the files and folders of a mounted volume.
//!
//! A volume is untrusted: other pods can write to it while boot reads it. Its links are followed, because the
//! kubelet and CSI drivers use them to change all files at once, but they must not lead out of the volume: in
//! the boot container are the token for the store and the credentials of other sources. A check before a file
//! is opened would not help, because the link can change in between. So each file and folder is opened first,
//! without reading it, and the kernel then shows its real path.
//!
//! A volume on the network can block for a long time, so all operations run on another thread.

use std::fs::{self, File, FileType};
use std::io::{self, Read as _};
use std::os::fd::AsRawFd as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustix::fs::{Mode, OFlags};
use rustix::io::Errno;
use tokio::task::spawn_blocking;

use crate::boot::source::SourceError;
use crate::http::current_version;

/// Size of a read.
const CHUNK: u64 = 64 * 1024;

/// A mounted volume, with one version of its content.
#[derive(Clone)]
pub(super) struct VolumeTree {
    paths: Arc<TreePaths>,
}

struct TreePaths {
    /// Where the volume is mounted, as in the profile.
    mount: PathBuf,
    /// The same without links, as the kernel names it.
    root: PathBuf,
    /// The folder of the version: the mount itself, if the kubelet or the driver has none.
    version: PathBuf,
}

/// The result of opening a path of a volume.
pub(super) enum Opened {
    /// A file.
    File(OpenFile),
    /// A folder.
    Folder(File),
    /// It does not exist, or is a link to something that does not exist here.
    Missing,
    /// A link that leads out of the volume.
    Outside,
    /// A device, a pipe or a socket.
    Other,
}

/// A file that is read in chunks.
pub(super) struct OpenFile {
    file: File,
    path: PathBuf,
    /// Its size when it was opened.
    pub(super) size: u64,
    /// The chunk that was read last.
    pub(super) chunk: Vec<u8>,
}

/// An entry of a folder.
pub(super) struct FolderEntry {
    pub(super) name: String,
    /// Its type, without following links.
    pub(super) kind: FileType,
}

/// The entries of a folder.
pub(super) enum Listed {
    /// All of them, sorted by name, so that the same content always has the same log.
    All(Vec<FolderEntry>),
    /// There are more than the limit.
    TooMany,
    /// This name is not UTF-8.
    InvalidName(PathBuf),
}

impl VolumeTree {
    /// Opens the volume at `mount`; `None` if nothing is mounted there.
    pub(super) async fn open(mount: &Path) -> Result<Option<Self>, SourceError> {
        let path = mount.to_owned();
        let paths = blocking(mount, move || {
            let root = match fs::canonicalize(&path) {
                Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
                root => root.map_err(unreadable(&path))?,
            };
            let version = current_version(&path);
            Ok(Some(TreePaths { mount: path, root, version }))
        });
        Ok(paths.await?.map(|paths| Self { paths: Arc::new(paths) }))
    }

    /// Whether the volume still has this version. The kubelet and drivers remove the files of a version only
    /// after they moved the link to the next one.
    pub(super) async fn is_current(&self) -> Result<bool, SourceError> {
        let paths = Arc::clone(&self.paths);
        blocking(&self.paths.mount, move || Ok(current_version(&paths.mount) == paths.version)).await
    }

    /// Opens `path`, which is relative to the volume.
    pub(super) async fn open_path(&self, path: &str) -> Result<Opened, SourceError> {
        let path = self.paths.version.join(path);
        let (paths, opened) = (Arc::clone(&self.paths), path.clone());
        blocking(&path, move || open(&paths.root, &opened)).await
    }

    /// Opens several paths at once, because each switch to another thread takes longer than to read a small
    /// file.
    pub(super) async fn open_paths(&self, relative: Vec<String>) -> Result<Vec<Opened>, SourceError> {
        let paths = Arc::clone(&self.paths);
        let open_all =
            move || relative.into_iter().map(|path| open(&paths.root, &paths.version.join(path))).collect();
        blocking(&self.paths.mount, open_all).await
    }

    /// The entries of a folder at `path`, if there are at most `most`.
    pub(super) async fn list(&self, folder: File, path: &str, most: usize) -> Result<Listed, SourceError> {
        let path = self.paths.version.join(path);
        let error_path = path.clone();
        blocking(&path, move || list(&folder, most).map_err(unreadable(&error_path))).await
    }
}

impl OpenFile {
    /// Whether [`Self::chunk`] is the last one.
    pub(super) fn is_last(&self) -> bool {
        (self.chunk.len() as u64) < CHUNK
    }

    /// Reads the next chunk.
    pub(super) async fn next(mut self) -> Result<Self, SourceError> {
        let path = self.path.clone();
        blocking(&path, move || {
            self.read().map_err(unreadable(&self.path))?;
            Ok(self)
        })
        .await
    }

    fn read(&mut self) -> io::Result<()> {
        self.chunk.clear();
        (&self.file).take(CHUNK).read_to_end(&mut self.chunk).map(drop)
    }
}

/// Runs `work`, which accesses `path`, on another thread.
async fn blocking<T: Send + 'static>(
    path: &Path,
    work: impl FnOnce() -> Result<T, SourceError> + Send + 'static,
) -> Result<T, SourceError> {
    spawn_blocking(work).await.unwrap_or_else(|error| Err(unreadable(path)(error.into())))
}

fn unreadable(path: &Path) -> impl Fn(io::Error) -> SourceError {
    move |error| match error.kind() {
        io::ErrorKind::PermissionDenied => SourceError::Denied { path: path.to_owned() },
        _ => SourceError::Unreadable { path: path.to_owned(), error },
    }
}

/// Opens `path`, and reads the start of a file. `root` is the volume.
fn open(root: &Path, path: &Path) -> Result<Opened, SourceError> {
    try_open(root, path).map_err(unreadable(path))
}

fn try_open(root: &Path, path: &Path) -> io::Result<Opened> {
    // Without NONBLOCK, opening a pipe would wait for its writer.
    let flags = OFlags::RDONLY | OFlags::NONBLOCK | OFlags::NOCTTY | OFlags::CLOEXEC;
    let file = match rustix::fs::open(path, flags, Mode::empty()) {
        Err(Errno::NOENT | Errno::NOTDIR) => return Ok(Opened::Missing),
        // A socket.
        Err(Errno::NXIO) => return Ok(Opened::Other),
        file => File::from(file?),
    };
    if !fs::read_link(path_of(&file))?.starts_with(root) {
        return Ok(Opened::Outside);
    }
    let metadata = file.metadata()?;
    if metadata.is_dir() {
        return Ok(Opened::Folder(file));
    }
    if !metadata.is_file() {
        return Ok(Opened::Other);
    }
    let mut file = OpenFile { file, path: path.to_owned(), size: metadata.len(), chunk: Vec::new() };
    file.read()?;
    Ok(Opened::File(file))
}

/// The name of an open file in `/proc`, a link to the place where the kernel has found it.
fn path_of(file: &File) -> PathBuf {
    PathBuf::from(format!("/proc/self/fd/{}", file.as_raw_fd()))
}

fn list(folder: &File, most: usize) -> io::Result<Listed> {
    let mut entries = Vec::new();
    for entry in fs::read_dir(path_of(folder))? {
        let entry = entry?;
        if entries.len() == most {
            return Ok(Listed::TooMany);
        }
        match entry.file_name().into_string() {
            Ok(name) => entries.push(FolderEntry { name, kind: entry.file_type()? }),
            Err(name) => return Ok(Listed::InvalidName(name.into())),
        }
    }
    entries.sort_by(|one, other| one.name.cmp(&other.name));
    Ok(Listed::All(entries))
}
