//! `initImage`: the output of the pod's own boot image. `docs/boot-images.md` is the contract.
//!
//! The program of the image has exited when boot runs, and no other container mounts its folder, so the
//! content does not change while it is read. But it is untrusted: the type of each entry is checked without
//! following links before it is opened, and every name, path and size passes through the [`Sink`], as for
//! every source. The image does not declare which variables are secret, so all are.

use std::fs::{self, File, Metadata};
use std::io::{self, Read as _};
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};

use bootlace_launch::{environ, layout};
use futures::FutureExt;
use futures::future::LocalBoxFuture;

use super::{EntryError, EntryName, FetchSource, SourceError};
use crate::boot::sink::Sink;
use bootlace_core::entry::{EnvError, MAX_RECORD_BYTES, Rename};
use bootlace_core::names;
use bootlace_core::plan::boot_spec::InitImageSource;

/// Size of a read.
const CHUNK: usize = 64 * 1024;

/// The output folder of the image.
pub(super) struct InitImageFolder<'a> {
    source: &'a InitImageSource,
}

impl<'a> InitImageFolder<'a> {
    pub(super) fn new(source: &'a InitImageSource) -> Self {
        Self { source }
    }

    fn path(&self) -> &Path {
        Path::new(&self.source.path)
    }

    fn write_to(&self, sink: &mut Sink<'_>) -> Result<(), SourceError> {
        let out = self.path();
        if !out.join(layout::OUT_DONE).exists() {
            return Err(SourceError::Missing(format!(
                "its output in {} is incomplete: {} must succeed before {} starts; recreate the pod",
                quoted(out),
                names::CONTAINER_INIT,
                names::CONTAINER_BOOT
            )));
        }
        for entry in entries(out)? {
            match entry.name.as_str() {
                layout::OUT_ENV => write_variables(&entry, sink)?,
                layout::OUT_ENVIRON => write_environ(&entry, sink)?,
                layout::OUT_FILES => write_files(&entry, sink)?,
                layout::OUT_TMP | layout::OUT_DONE => {}
                _ => {
                    return Err(SourceError::Content(format!(
                        "unexpected entry {}: must be {}, {}, {} or {}; rename it, or write temporary files to {}",
                        quoted(&entry.path),
                        layout::OUT_ENV,
                        layout::OUT_ENVIRON,
                        layout::OUT_FILES,
                        layout::OUT_TMP,
                        layout::OUT_TMP
                    )));
                }
            }
        }
        Ok(())
    }
}

impl FetchSource for InitImageFolder<'_> {
    fn title(&self) -> String {
        format!("image {}", self.source.image)
    }

    fn rename(&self) -> Rename {
        Rename::InitImage
    }

    fn fetch<'a>(&'a self, sink: &'a mut Sink<'_>) -> LocalBoxFuture<'a, Result<(), SourceError>> {
        async { self.write_to(sink) }.boxed_local()
    }

    /// The folder uses memory of the pod as long as the pod exists. The marker of a complete output is
    /// removed first, so that a boot that is killed here finds no incomplete output when it runs again.
    fn release(&self) {
        if fs::remove_file(self.path().join(layout::OUT_DONE)).is_err() {
            return;
        }
        for entry in entries(self.path()).unwrap_or_default() {
            // A file that cannot be removed only uses memory.
            let _ = if entry.metadata.is_dir() {
                fs::remove_dir_all(entry.path)
            } else {
                fs::remove_file(entry.path)
            };
        }
    }
}

/// An entry of a folder, without following links.
struct FolderEntry {
    name: String,
    path: PathBuf,
    metadata: Metadata,
}

/// The entries of a folder, sorted by name, so that the same content always has the same log.
fn entries(folder: &Path) -> Result<Vec<FolderEntry>, SourceError> {
    let mut entries = Vec::new();
    for entry in fs::read_dir(folder).map_err(unreadable(folder))? {
        let entry = entry.map_err(unreadable(folder))?;
        let path = entry.path();
        let name = entry.file_name().into_string().map_err(|_| {
            SourceError::Content(format!("the name of {} is not UTF-8: rename it", quoted(&path)))
        })?;
        let metadata = entry.metadata().map_err(unreadable(&path))?;
        entries.push(FolderEntry { name, path, metadata });
    }
    entries.sort_by(|one, other| one.name.cmp(&other.name));
    Ok(entries)
}

fn write_variables(folder: &FolderEntry, sink: &mut Sink<'_>) -> Result<(), SourceError> {
    expect_type(folder, folder.metadata.is_dir(), "a folder")?;
    for entry in entries(&folder.path)? {
        let size = entry.metadata.len();
        // Not read if it is too large for a variable.
        if size > MAX_RECORD_BYTES as u64 {
            let size = usize::try_from(size).unwrap_or(usize::MAX);
            let reason = EntryError::Env(EnvError::TooLong { size });
            return Err(SourceError::refused(EntryName::Variable, &entry.name, reason));
        }
        let mut value = Vec::new();
        open(&entry)?.read_to_end(&mut value).map_err(unreadable(&entry.path))?;
        let ends_in_newline = value.ends_with(b"\n");
        sink.secret(&entry.name, value)?;
        if ends_in_newline {
            sink.note(format!(
                "the value of {:?} ends with a newline, which is part of it: write it with printf %s to avoid the newline",
                entry.name
            ));
        }
    }
    Ok(())
}

fn write_environ(file: &FolderEntry, sink: &mut Sink<'_>) -> Result<(), SourceError> {
    let mut bytes = Vec::new();
    // One byte more than the limit, so that the sink detects the excess.
    let limit = sink.limit().saturating_add(1);
    open(file)?.take(limit).read_to_end(&mut bytes).map_err(unreadable(&file.path))?;
    let records = environ::parse(&bytes).map_err(|error| {
        SourceError::Content(format!(
            "{} is invalid: must contain NAME=value records that each end with a NUL byte: {error}",
            quoted(&file.path)
        ))
    })?;
    for record in records {
        let name = record.name().to_string_lossy();
        sink.secret(&name, record.value().as_bytes().to_vec())?;
    }
    Ok(())
}

fn write_files(top: &FolderEntry, sink: &mut Sink<'_>) -> Result<(), SourceError> {
    expect_type(top, top.metadata.is_dir(), "a folder")?;
    let mut folders = vec![(String::new(), top.path.clone())];
    while let Some((above, folder)) = folders.pop() {
        for entry in entries(&folder)? {
            let path = format!("{above}{}", entry.name);
            if entry.metadata.is_dir() {
                folders.push((format!("{path}/"), entry.path));
                continue;
            }
            let mut content = open(&entry)?;
            let mut file = sink.create(&path)?;
            let mut chunk = vec![0; CHUNK];
            loop {
                let read = content.read(&mut chunk).map_err(unreadable(&entry.path))?;
                match chunk.get(..read) {
                    None | Some([]) => break,
                    Some(bytes) => file.write(bytes)?,
                }
            }
            sink.finish(file)?;
        }
    }
    Ok(())
}

/// Opens a file. Other entries are not opened: a link may lead out of the folder, and a pipe would wait for
/// its writer.
fn open(entry: &FolderEntry) -> Result<File, SourceError> {
    expect_type(entry, entry.metadata.is_file(), "a file")?;
    File::open(&entry.path).map_err(unreadable(&entry.path))
}

fn expect_type(entry: &FolderEntry, is_expected: bool, expected: &str) -> Result<(), SourceError> {
    if is_expected {
        return Ok(());
    }
    let found = if entry.metadata.is_symlink() {
        "a symbolic link, which boot does not follow"
    } else if entry.metadata.is_dir() {
        "a folder"
    } else if entry.metadata.is_file() {
        "a file"
    } else {
        "a device, a pipe or a socket"
    };
    Err(SourceError::Content(format!("{} is {found}: must be {expected}", quoted(&entry.path))))
}

/// A quoted path with escapes, because the image chose the names.
fn quoted(path: &Path) -> String {
    format!("{:?}", path.to_string_lossy())
}

fn unreadable(path: &Path) -> impl Fn(io::Error) -> SourceError {
    move |error| SourceError::Unreadable { path: path.to_owned(), error }
}
