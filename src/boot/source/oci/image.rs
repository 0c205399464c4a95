//! Images: layers that add, replace and remove files of the layers below.
//! <https://github.com/opencontainers/image-spec/blob/v1.1.1/layer.md>
//!
//! The layers are applied from the top: what a layer hides is known before the lower ones are read, so each
//! file is written once and only if it remains. From the bottom, the volume would need space for files that
//! are removed again.

use std::collections::BTreeMap;

use super::selection::{FIELD, PathMatch, PathSelection};
use super::{Descriptor, Image, Repository};
use crate::boot::archive::{ArchiveEntryKind, SelectEntries, unpack_tar};
use crate::boot::sink::{Sink, SinkPosition};
use crate::boot::source::SourceError;
use crate::http::Body;
use bootlace_core::entry::AssetPath;

/// The prefix of a whiteout, which removes the file of that name in lower layers.
const WHITEOUT: &str = ".wh.";
/// An opaque whiteout, which removes the content of a folder in lower layers. Other names with this prefix
/// are internal to storage drivers.
const OPAQUE: &str = ".wh..wh..opq";
const DRIVER_PREFIX: &str = ".wh..wh.";

/// Maximum size of the names of hidden files, so that the memory of boot does not grow with the image.
const MAX_COVER_BYTES: usize = 4 << 20;

/// Writes the files of the layers of an image to `sink`.
pub(super) async fn write_files(
    repository: &Repository<'_>,
    image: &Image,
    selection: PathSelection<'_>,
    sink: &mut Sink<'_>,
) -> Result<(), SourceError> {
    // Another artifact may contain its files as tars too; those of Flux and Helm do.
    if !image.is_image()
        && let Some(blob) = image.layers.iter().find(|blob| !blob.is_tar())
    {
        return Err(SourceError::Content(format!(
            "neither an image nor an artifact with named files: blob {} of type {:?} has no annotation \
             org.opencontainers.image.title, and is not a tar: push it with oras",
            blob.digest, blob.media_type
        )));
    }
    let mut above = Cover::default();
    let mut link = None;
    for blob in image.layers.iter().rev() {
        let layer = read_layer(repository, blob, &above, selection, sink).await?;
        link = link.or(layer.link);
        above.add_all(layer.covers)?;
    }
    match link {
        Some(link) if sink.files() == 0 => Err(SourceError::Content(format!(
            "no file at or below {:?}, because {link:?} is a symbolic link: set oci.path to a path without links",
            selection.path
        ))),
        _ => Ok(()),
    }
}

/// What a layer contributes to the state of the image.
struct LayerResult {
    covers: Cover,
    link: Option<String>,
}

async fn read_layer(
    repository: &Repository<'_>,
    blob: &Descriptor,
    above: &Cover,
    selection: PathSelection<'_>,
    sink: &mut Sink<'_>,
) -> Result<LayerResult, SourceError> {
    let receive = async |body: &mut Body, sink: &mut Sink<'_>| {
        let position = sink.position();
        let mut layer = Layer { selection, above, position: &position, covers: Cover::default(), link: None };
        unpack_tar(body, &mut layer, sink).await?;
        Ok(LayerResult { covers: layer.covers, link: layer.link })
    };
    repository.blob(blob, sink, receive).await
}

/// A layer that is being read.
struct Layer<'a> {
    selection: PathSelection<'a>,
    /// Paths that upper layers hide.
    above: &'a Cover,
    /// The end of the upper layers in the sink.
    position: &'a SinkPosition,
    /// Paths that this layer hides in lower ones.
    covers: Cover,
    /// The first link in the selected path.
    link: Option<String>,
}

impl SelectEntries for Layer<'_> {
    fn target(
        &mut self,
        path: &AssetPath,
        kind: ArchiveEntryKind,
        sink: &Sink<'_>,
    ) -> Result<Option<String>, SourceError> {
        let name = path.to_string();
        let (folder, last) =
            name.rsplit_once('/').map_or(("", name.as_str()), |(folder, last)| (folder, last));
        if last == OPAQUE {
            self.cover(folder, Hidden::Below)?;
            return Ok(None);
        }
        if last.starts_with(DRIVER_PREFIX) {
            return Ok(None);
        }
        if let Some(removed) = last.strip_prefix(WHITEOUT) {
            let removed = if folder.is_empty() { removed.to_owned() } else { format!("{folder}/{removed}") };
            self.cover(&removed, Hidden::Whole)?;
            return Ok(None);
        }
        // A layer does not need entries for the folders of its files.
        path.folders().try_for_each(|folder| self.cover(folder, Hidden::Itself))?;
        if kind == ArchiveEntryKind::Folder {
            self.cover(&name, Hidden::Itself)?;
            return Ok(None);
        }
        let hidden = self.above.hides(&name);
        if matches!(self.selection.match_path(&name), PathMatch::Above | PathMatch::Itself) {
            self.cover(&name, Hidden::Whole)?;
            if kind != ArchiveEntryKind::File && !hidden && self.link.is_none() {
                self.link = Some(name.clone());
            }
        }
        let Some(target) = self.selection.target(path) else { return Ok(None) };
        // An invalid target fails when the file is created.
        let covered = AssetPath::parse(&target).is_ok_and(|target| sink.is_covered(&target, self.position));
        if hidden || covered {
            // A hidden file still hides the files below its path in lower layers.
            self.cover(&name, Hidden::Whole)?;
            return Ok(None);
        }
        Ok(Some(target))
    }

    fn field(&self) -> &'static str {
        FIELD
    }
}

impl Layer<'_> {
    /// Records that a path is hidden, if selected files may be affected.
    fn cover(&mut self, path: &str, hidden: Hidden) -> Result<(), SourceError> {
        match self.selection.match_path(path) {
            PathMatch::Beside if !path.is_empty() => Ok(()),
            _ => self.covers.add(path, hidden),
        }
    }
}

/// How a path is hidden in lower layers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Hidden {
    /// Anything but a folder is hidden: there is a folder in an upper layer.
    Itself,
    /// The paths below are hidden.
    Below,
    /// The path and the paths below are hidden.
    Whole,
}

/// The paths that layers hide.
#[derive(Default)]
struct Cover {
    paths: BTreeMap<String, Hidden>,
    bytes: usize,
}

impl Cover {
    fn add(&mut self, path: &str, hidden: Hidden) -> Result<(), SourceError> {
        if let Some(known) = self.paths.get_mut(path) {
            // An opaque folder also hides a file at its own path.
            *known = hidden.max(*known);
            return Ok(());
        }
        self.bytes += path.len();
        if self.bytes > MAX_COVER_BYTES {
            return Err(SourceError::Archive(format!(
                "the names of the files that the image's layers replace and remove exceed {MAX_COVER_BYTES} bytes: build \
                 it with fewer layers, or select another folder with {FIELD}"
            )));
        }
        self.paths.insert(path.to_owned(), hidden);
        Ok(())
    }

    fn add_all(&mut self, other: Self) -> Result<(), SourceError> {
        other.paths.into_iter().try_for_each(|(path, hidden)| self.add(&path, hidden))
    }

    /// Whether anything but a folder is hidden at `path`.
    fn hides(&self, path: &str) -> bool {
        let above = path.match_indices('/').filter_map(|(slash, _)| path.get(..slash)).chain([""]);
        self.paths.contains_key(path)
            || above
                .into_iter()
                .any(|folder| self.paths.get(folder).is_some_and(|hidden| *hidden >= Hidden::Below))
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::*;
    use crate::boot::volume::Volume;

    /// An entry of a layer.
    #[derive(Clone, Debug)]
    enum LayerEntry {
        File(String),
        Folder(String),
        Gone(String),
        Opaque(String),
    }

    impl LayerEntry {
        fn entry(&self) -> (AssetPath, ArchiveEntryKind) {
            let (path, kind) = match self {
                Self::File(path) => (path.clone(), ArchiveEntryKind::File),
                Self::Folder(path) => (path.clone(), ArchiveEntryKind::Folder),
                Self::Gone(path) => match path.rsplit_once('/') {
                    Some((folder, name)) => (format!("{folder}/{WHITEOUT}{name}"), ArchiveEntryKind::File),
                    None => (format!("{WHITEOUT}{path}"), ArchiveEntryKind::File),
                },
                Self::Opaque(path) => (format!("{path}/{OPAQUE}"), ArchiveEntryKind::File),
            };
            (AssetPath::parse(&path).unwrap(), kind)
        }
    }

    /// The reference: a runtime applies the layers to a disk, from the lowest. Each file contains the number
    /// of its layer.
    fn applied(layers: &[Vec<LayerEntry>]) -> BTreeMap<String, usize> {
        let mut files = BTreeMap::new();
        let below =
            |path: &str, folder: &str| path.strip_prefix(folder).is_some_and(|rest| rest.starts_with('/'));
        for (number, layer) in layers.iter().enumerate() {
            for entry in layer {
                match entry {
                    LayerEntry::Gone(gone) => {
                        files.retain(|path: &String, _| path != gone && !below(path, gone));
                    }
                    LayerEntry::Opaque(folder) => {
                        files.retain(|path, _| path != folder && !below(path, folder));
                    }
                    LayerEntry::File(_) | LayerEntry::Folder(_) => {}
                }
            }
            for entry in layer {
                match entry {
                    LayerEntry::File(new) => {
                        files.retain(|path, _| !below(path, new) && !below(new, path));
                        files.insert(new.clone(), number);
                    }
                    LayerEntry::Folder(new) => files.retain(|path, _| path != new && !below(new, path)),
                    LayerEntry::Gone(_) | LayerEntry::Opaque(_) => {}
                }
            }
        }
        files
    }

    /// The files that boot extracts.
    fn extracted(layers: &[Vec<LayerEntry>], selection: PathSelection<'_>) -> BTreeMap<String, usize> {
        let root = tempfile::tempdir().unwrap();
        let volume = Volume::open(root.path(), "default").unwrap();
        let mut sink = Sink::new(&volume, None);
        let mut above = Cover::default();
        let mut from = BTreeMap::new();
        for (number, entry) in layers.iter().enumerate().rev() {
            let position = sink.position();
            let mut layer =
                Layer { selection, above: &above, position: &position, covers: Cover::default(), link: None };
            for entry in entry {
                let (path, kind) = entry.entry();
                if let Some(target) = layer.target(&path, kind, &sink).unwrap() {
                    sink.file(&target, b"").unwrap();
                    from.insert(target, number);
                }
            }
            let covers = layer.covers;
            above.add_all(covers).unwrap();
        }
        from
    }

    fn layer() -> impl Strategy<Value = Vec<LayerEntry>> {
        let path = "[ab](/[ab]){0,2}";
        let entry = prop_oneof![
            4 => path.prop_map(LayerEntry::File),
            1 => path.prop_map(LayerEntry::Folder),
            1 => path.prop_map(LayerEntry::Gone),
            1 => path.prop_map(LayerEntry::Opaque),
        ];
        // A tar in which a path is both a file and a folder is refused; the specification does not define its
        // meaning.
        prop::collection::vec(entry, 0..6).prop_map(|entry| {
            let mut files = BTreeSet::<String>::new();
            let mut folders = BTreeSet::<String>::new();
            let above = |path: &str| -> Vec<String> {
                path.match_indices('/').map(|(slash, _)| path[..slash].to_owned()).collect()
            };
            let mut kept = Vec::new();
            for entry in entry {
                let (path, is_folder) = match &entry {
                    LayerEntry::File(path) => (path, false),
                    LayerEntry::Folder(path) | LayerEntry::Opaque(path) => (path, true),
                    LayerEntry::Gone(path) => {
                        let mut parents = above(path);
                        if !parents.iter().any(|folder| files.contains(folder)) {
                            folders.extend(parents.drain(..));
                            kept.push(entry);
                        }
                        continue;
                    }
                };
                let parents = above(path);
                let clash = files.contains(path) || (!is_folder && folders.contains(path));
                if clash || parents.iter().any(|folder| files.contains(folder)) {
                    continue;
                }
                folders.extend(parents);
                if is_folder {
                    folders.insert(path.clone())
                } else {
                    files.insert(path.clone())
                };
                kept.push(entry);
            }
            kept
        })
    }

    proptest! {
        /// Compares with a model that works in the other direction.
        #[test]
        fn applying_layers_from_the_top_equals_applying_them_from_the_bottom(
            layers in prop::collection::vec(layer(), 1..5),
            path in "([ab](/[ab])?)?",
        ) {
            let selection = PathSelection { path: &path, prefix: "" };
            let selected = |(file, number): (&String, &usize)| {
                let file = AssetPath::parse(file).unwrap();
                selection.target(&file).map(|target| (target, *number))
            };
            let expected: BTreeMap<_, _> = applied(&layers).iter().filter_map(selected).collect();
            prop_assert_eq!(extracted(&layers, selection), expected);
        }
    }

    #[test]
    fn the_names_of_hidden_files_are_limited() {
        let mut cover = Cover::default();
        let name = "x".repeat(1 << 20);
        for number in 0..3 {
            cover.add(&format!("{name}{number}"), Hidden::Whole).unwrap();
            cover.add(&format!("{name}{number}"), Hidden::Below).unwrap();
        }
        let error =
            cover.add(&name, Hidden::Whole).and_then(|()| cover.add(&format!("{name}x"), Hidden::Whole));
        assert!(
            error.unwrap_err().to_string().contains("fewer layers, or select another folder with oci.path")
        );
    }
}
