//! `volume`: a volume of Kubernetes, which the kubelet mounted into this container only. It does not say
//! which of its files are secret, so all variables are.

mod tree;

use std::path::Path;

use futures::FutureExt;
use futures::future::LocalBoxFuture;

use self::tree::{FolderEntry, Listed, OpenFile, Opened, VolumeTree};
use super::mounted::listed;
use super::{EntryError, EntryName, FetchSource, SourceError};
use crate::boot::exclude::ExcludedKeys;
use crate::boot::sink::Sink;
use bootlace_core::entry::{EnvError, MAX_RECORD_BYTES, Rename};
use bootlace_core::plan::boot_spec::{VolumeKind, VolumeSpec};
use bootlace_core::profile::SourceTarget;

/// Maximum number of folders in each other.
const MAX_DEPTH: usize = 32;

/// How many files are opened at once. The start of each is in memory.
const BATCH: usize = 32;

/// The folder in the root of an ext4 file system that only root can read.
const LOST_AND_FOUND: &str = "lost+found";

/// A volume that the kubelet mounted.
pub(super) struct MountedVolume<'a> {
    spec: &'a VolumeSpec,
}

impl<'a> MountedVolume<'a> {
    pub(super) fn new(spec: &'a VolumeSpec) -> Self {
        Self { spec }
    }

    async fn write_to(&self, sink: &mut Sink<'_>) -> Result<(), SourceError> {
        loop {
            let Some(tree) = VolumeTree::open(Path::new(&self.spec.path)).await? else {
                return Err(self.not_mounted());
            };
            let written = self.write_version(&tree, sink).await;
            if tree.is_current().await? {
                return written;
            }
            // Otherwise, files of two versions could mix.
            sink.clear();
        }
    }

    async fn write_version(&self, tree: &VolumeTree, sink: &mut Sink<'_>) -> Result<(), SourceError> {
        if self.spec.items.is_empty() {
            return self.write_all(tree, sink).await;
        }
        for item in &self.spec.items {
            let file = match tree.open_path(&self.in_folder(&item.key)).await? {
                Opened::File(file) => file,
                Opened::Missing => {
                    self.missing_key(&item.key, tree, sink).await?;
                    continue;
                }
                other => return Err(not_a_file(&item.key, &other, "correct items[].key")),
            };
            self.write_file(&item.key, &item.target, file, sink).await?;
        }
        Ok(())
    }

    /// Writes all files, except those that the profile excludes.
    async fn write_all(&self, tree: &VolumeTree, sink: &mut Sink<'_>) -> Result<(), SourceError> {
        let mut excluded = ExcludedKeys::new(&self.spec.exclude);
        let mut room = sink.file_limit();
        let mut folders = vec![String::new()];
        let mut any = false;
        while let Some(folder) = folders.pop() {
            let entries = self.list(tree, &folder, room, sink).await?;
            room = room.saturating_sub(entries.len());
            let mut files = Vec::new();
            for FolderEntry { name, kind } in entries {
                let path = format!("{folder}{name}");
                let is_left_out = excluded.excludes(&path) || self.is_lost_and_found(&path);
                any |= is_left_out || !kind.is_dir();
                match (is_left_out, kind.is_dir()) {
                    (true, _) => {}
                    (false, true) => folders.push(self.descend(&path)?),
                    (false, false) => files.push(path),
                }
            }
            for batch in files.chunks(BATCH) {
                let paths = batch.iter().map(|path| self.in_folder(path)).collect();
                for (path, opened) in batch.iter().zip(tree.open_paths(paths).await?) {
                    match opened {
                        Opened::File(file) => self.write_file(path, path, file, sink).await?,
                        other => return Err(not_a_file(path, &other, "add it to exclude")),
                    }
                }
            }
        }
        excluded.note(sink);
        if any { Ok(()) } else { self.empty(sink) }
    }

    /// The entries of a folder, whose path ends with a slash. Only the first one can be missing.
    async fn list(
        &self,
        tree: &VolumeTree,
        folder: &str,
        room: usize,
        sink: &mut Sink<'_>,
    ) -> Result<Vec<FolderEntry>, SourceError> {
        let path = self.in_folder(folder);
        let opened = match tree.open_path(&path).await? {
            Opened::Folder(opened) => opened,
            Opened::Missing => return self.missing_folder(sink).map(|()| Vec::new()),
            other => return Err(not_a_folder(&path, &other)),
        };
        match tree.list(opened, &path, room).await? {
            Listed::All(entries) => Ok(entries),
            Listed::TooMany => {
                let reason = EntryError::TooMany { limit: sink.file_limit().try_into().unwrap_or(u32::MAX) };
                Err(SourceError::refused(EntryName::Folder, shown(&path), reason))
            }
            Listed::InvalidName(name) => Err(SourceError::Content(format!(
                "the name of {:?} in folder {:?} is not UTF-8: rename it",
                name.to_string_lossy(),
                shown(&path)
            ))),
        }
    }

    /// The path of a folder that is read later.
    fn descend(&self, path: &str) -> Result<String, SourceError> {
        if self.spec.into == SourceTarget::Env {
            return Err(SourceError::Content(format!(
                "{path:?} is a folder, which cannot become a variable: set path or items, add it to exclude, or set into: Files"
            )));
        }
        if path.split('/').count() > MAX_DEPTH {
            return Err(SourceError::Content(format!(
                "{path:?} is deeper than {MAX_DEPTH} folders: set path, or add it to exclude"
            )));
        }
        Ok(format!("{path}/"))
    }

    fn is_lost_and_found(&self, path: &str) -> bool {
        let is_root = self.spec.kind == VolumeKind::PersistentVolumeClaim && self.spec.folder.is_empty();
        is_root && path == LOST_AND_FOUND
    }

    /// The path of a file of the source in the volume.
    fn in_folder(&self, path: &str) -> String {
        match (&*self.spec.folder, path) {
            ("", path) => path.to_owned(),
            (folder, "") => folder.to_owned(),
            (folder, path) => format!("{folder}/{path}"),
        }
    }

    /// Writes a file to the sink, with the name `target` after the prefix of the profile.
    async fn write_file(
        &self,
        key: &str,
        target: &str,
        file: OpenFile,
        sink: &mut Sink<'_>,
    ) -> Result<(), SourceError> {
        let name = format!("{}{target}", self.spec.prefix);
        let written = match self.spec.into {
            SourceTarget::Env => write_variable(&name, file, sink).await,
            SourceTarget::Files => copy(&name, file, sink).await,
        };
        written.map_err(|error| match error {
            // It contains the path.
            SourceError::Unreadable { .. } | SourceError::Denied { .. } => error,
            error => error.with_key(key),
        })
    }

    fn not_mounted(&self) -> SourceError {
        SourceError::Missing(match self.spec.kind {
            VolumeKind::Image => "the volume is not mounted, because the API server has removed it: enable the feature gate \
                                  ImageVolume of Kubernetes, or use a source of kind oci"
                .to_owned(),
            _ => "the volume is not mounted in the boot container: find out what removed it from the pod, such as another \
                  admission webhook"
                .to_owned(),
        })
    }

    fn missing_folder(&self, sink: &mut Sink<'_>) -> Result<(), SourceError> {
        self.absent(sink, &format!("folder {:?} not found in the volume", self.spec.folder), "correct path")
    }

    fn empty(&self, sink: &mut Sink<'_>) -> Result<(), SourceError> {
        let folder = &*self.spec.folder;
        let place = if folder.is_empty() { String::new() } else { format!("folder {folder:?} of ") };
        self.absent(sink, &format!("{place}the volume has no files"), "add them")
    }

    /// The source has no content: a note if that is allowed, otherwise an error.
    fn absent(&self, sink: &mut Sink<'_>, problem: &str, remedy: &str) -> Result<(), SourceError> {
        if self.spec.optional {
            sink.note(format!("skipped because it is optional: {problem}"));
            return Ok(());
        }
        Err(SourceError::Missing(format!("{problem}: {remedy}, or set optional: true on the source")))
    }

    async fn missing_key(
        &self,
        key: &str,
        tree: &VolumeTree,
        sink: &mut Sink<'_>,
    ) -> Result<(), SourceError> {
        if self.spec.optional {
            sink.note(format!("skipped key {key:?} because the source is optional: it does not exist"));
            return Ok(());
        }
        let parent = key.rsplit_once('/').map_or("", |(parent, _)| parent);
        let parent = self.in_folder(parent);
        let mut names = Vec::new();
        if let Opened::Folder(folder) = tree.open_path(&parent).await?
            && let Listed::All(entries) = tree.list(folder, &parent, sink.file_limit()).await?
        {
            names.extend(entries.into_iter().map(|entry| entry.name));
        }
        let known = if names.is_empty() { String::new() } else { format!(", only {}", listed(names.iter())) };
        Err(SourceError::Missing(format!(
            "key {key:?} not found{known}: correct items[].key, add the file to the volume, or set optional: true on \
             the source"
        )))
    }
}

impl FetchSource for MountedVolume<'_> {
    fn title(&self) -> String {
        self.spec.title()
    }

    fn rename(&self) -> Rename {
        Rename::Keys
    }

    fn fetch<'a>(&'a self, sink: &'a mut Sink<'_>) -> LocalBoxFuture<'a, Result<(), SourceError>> {
        self.write_to(sink).boxed_local()
    }
}

async fn copy(name: &str, mut content: OpenFile, sink: &mut Sink<'_>) -> Result<(), SourceError> {
    let mut file = sink.create(name)?;
    loop {
        file.write(&content.chunk)?;
        if content.is_last() {
            return sink.finish(file);
        }
        content = content.next().await?;
    }
}

async fn write_variable(name: &str, mut content: OpenFile, sink: &mut Sink<'_>) -> Result<(), SourceError> {
    let mut value = Vec::new();
    loop {
        value.extend_from_slice(&content.chunk);
        // Not read to the end if it is too large for a variable.
        let size = content.size.max(value.len() as u64);
        if size > MAX_RECORD_BYTES as u64 {
            let size = usize::try_from(size).unwrap_or(usize::MAX);
            let reason = EntryError::Env(EnvError::TooLong { size });
            return Err(SourceError::refused(EntryName::Variable, name, reason));
        }
        if content.is_last() {
            return sink.secret(name, value);
        }
        content = content.next().await?;
    }
}

/// `path` is not a file that boot can use.
fn not_a_file(path: &str, opened: &Opened, remedy: &str) -> SourceError {
    SourceError::Content(match opened {
        Opened::Outside => format!(
            "{path:?} is a link that leads out of the volume, which boot does not follow: replace it by the file, or {remedy}"
        ),
        Opened::Missing => {
            format!("{path:?} is a link to a file that does not exist in the volume: {remedy}")
        }
        Opened::Folder(_) => format!("{path:?} is a folder, or a link to one, instead of a file: {remedy}"),
        Opened::File(_) | Opened::Other => {
            format!("{path:?} is a device, a pipe or a socket instead of a file: {remedy}")
        }
    })
}

/// `path` is not a folder that boot can use.
fn not_a_folder(path: &str, opened: &Opened) -> SourceError {
    let path = shown(path);
    SourceError::Content(match opened {
        Opened::Outside => format!(
            "{path:?} is a link that leads out of the volume, which boot does not follow: set path to a folder in the volume"
        ),
        _ => {
            format!("{path:?} is not a folder: set path to the folder of the file, and use the file in items")
        }
    })
}

/// A path of a volume in messages.
fn shown(path: &str) -> &str {
    if path.is_empty() { "/" } else { path }
}
