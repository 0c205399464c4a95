//! Images: layers, each of which adds to those below it, replaces and removes.
//! <https://github.com/opencontainers/image-spec/blob/v1.1.1/layer.md>
//!
//! Applied from the top: what a layer hides in the ones below is known before they are read, so that each file is
//! written once and only if it stays. From the bottom, a volume would need room for what is removed again.

use std::collections::BTreeMap;

use super::selection::{FIELD, PathMatch, PathSelection};
use super::{Descriptor, Image, Repository};
use crate::boot::archive::{ArchiveEntryKind, SelectEntries, unpack_tar};
use crate::boot::sink::{Sink, SinkPosition};
use crate::boot::source::SourceError;
use crate::http::Body;
use bootlace_core::entry::AssetPath;

/// How a layer says that a file of a lower one is gone: a file of this name with the other's behind it.
const WHITEOUT: &str = ".wh.";
/// … and that a folder's whole content is. Other names that begin like this are the storage driver's own.
const OPAQUE: &str = ".wh..wh..opq";
const DRIVERS_OWN: &str = ".wh..wh.";

/// Bytes of names that are kept of what layers hide: boot's memory does not grow with the image.
const MAX_COVER_BYTES: usize = 4 << 20;

/// Gives the files of an image's layers to `sink`.
pub(super) async fn give(
    repository: &Repository<'_>,
    image: &Image,
    selection: PathSelection<'_>,
    sink: &mut Sink<'_>,
) -> Result<(), SourceError> {
    // An artifact of another kind may have its files packed in the same way; Flux and Helm do.
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
        let layer = give_layer(repository, blob, &above, selection, sink).await?;
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

/// What a layer leaves to know.
struct Left {
    covers: Cover,
    link: Option<String>,
}

async fn give_layer(
    repository: &Repository<'_>,
    blob: &Descriptor,
    above: &Cover,
    selection: PathSelection<'_>,
    sink: &mut Sink<'_>,
) -> Result<Left, SourceError> {
    let give = async |body: &mut Body, sink: &mut Sink<'_>| {
        let mark = sink.mark();
        let mut layer = Layer { selection, above, mark: &mark, covers: Cover::default(), link: None };
        unpack_tar(body, &mut layer, sink).await?;
        Ok(Left { covers: layer.covers, link: layer.link })
    };
    repository.blob(blob, sink, give).await
}

/// A layer while it is read.
struct Layer<'a> {
    selection: PathSelection<'a>,
    /// What the layers above hide.
    above: &'a Cover,
    /// Where the layers above end.
    mark: &'a SinkPosition,
    /// What this one hides from those below.
    covers: Cover,
    /// The first link on the way to what is selected.
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
        if last.starts_with(DRIVERS_OWN) {
            return Ok(None);
        }
        if let Some(gone) = last.strip_prefix(WHITEOUT) {
            let gone = if folder.is_empty() { gone.to_owned() } else { format!("{folder}/{gone}") };
            self.cover(&gone, Hidden::Whole)?;
            return Ok(None);
        }
        // A layer need not name the folders that its files lie in.
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
        // A target that is no path fails where it is made.
        let covered = AssetPath::parse(&target).is_ok_and(|target| sink.is_covered(&target, self.mark));
        if hidden || covered {
            // Hidden itself, it still hides what lies below it in the layers below.
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
    /// Notes what is hidden, as far as something selected can be.
    fn cover(&mut self, path: &str, hidden: Hidden) -> Result<(), SourceError> {
        match self.selection.match_path(path) {
            PathMatch::Beside if !path.is_empty() => Ok(()),
            _ => self.covers.add(path, hidden),
        }
    }
}

/// What of a path is hidden from lower layers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Hidden {
    /// What is no folder: there is one above.
    Itself,
    /// What lies below it.
    Below,
    /// The path and what lies below it.
    Whole,
}

/// What layers hide, by path.
#[derive(Default)]
struct Cover {
    paths: BTreeMap<String, Hidden>,
    bytes: usize,
}

impl Cover {
    fn add(&mut self, path: &str, hidden: Hidden) -> Result<(), SourceError> {
        if let Some(known) = self.paths.get_mut(path) {
            // An opaque folder is both: what was a file there is hidden, too.
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

    /// Whether something that is no folder is hidden at `path`.
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

    /// What a layer says, in an order that its tar may have.
    #[derive(Clone, Debug)]
    enum Said {
        File(String),
        Folder(String),
        Gone(String),
        Opaque(String),
    }

    impl Said {
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

    /// As a runtime does it: a folder on a disk, layer by layer from the lowest. Each file holds its layer's number.
    fn applied(layers: &[Vec<Said>]) -> BTreeMap<String, usize> {
        let mut files = BTreeMap::new();
        let below =
            |path: &str, folder: &str| path.strip_prefix(folder).is_some_and(|rest| rest.starts_with('/'));
        for (number, layer) in layers.iter().enumerate() {
            for said in layer {
                match said {
                    Said::Gone(gone) => files.retain(|path: &String, _| path != gone && !below(path, gone)),
                    Said::Opaque(folder) => files.retain(|path, _| path != folder && !below(path, folder)),
                    Said::File(_) | Said::Folder(_) => {}
                }
            }
            for said in layer {
                match said {
                    Said::File(new) => {
                        files.retain(|path, _| !below(path, new) && !below(new, path));
                        files.insert(new.clone(), number);
                    }
                    Said::Folder(new) => files.retain(|path, _| path != new && !below(new, path)),
                    Said::Gone(_) | Said::Opaque(_) => {}
                }
            }
        }
        files
    }

    /// As boot does it.
    fn taken(layers: &[Vec<Said>], selection: PathSelection<'_>) -> BTreeMap<String, usize> {
        let root = tempfile::tempdir().unwrap();
        let volume = Volume::open(root.path(), "default").unwrap();
        let mut sink = Sink::new(&volume, None);
        let mut above = Cover::default();
        let mut from = BTreeMap::new();
        for (number, said) in layers.iter().enumerate().rev() {
            let mark = sink.mark();
            let mut layer =
                Layer { selection, above: &above, mark: &mark, covers: Cover::default(), link: None };
            for said in said {
                let (path, kind) = said.entry();
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

    fn layer() -> impl Strategy<Value = Vec<Said>> {
        let path = "[ab](/[ab]){0,2}";
        let said = prop_oneof![
            4 => path.prop_map(Said::File),
            1 => path.prop_map(Said::Folder),
            1 => path.prop_map(Said::Gone),
            1 => path.prop_map(Said::Opaque),
        ];
        // A tar that says of one path that it is a file and a folder is refused; what it would come to is nobody's rule.
        prop::collection::vec(said, 0..6).prop_map(|said| {
            let mut files = BTreeSet::<String>::new();
            let mut folders = BTreeSet::<String>::new();
            let above = |path: &str| -> Vec<String> {
                path.match_indices('/').map(|(slash, _)| path[..slash].to_owned()).collect()
            };
            let mut kept = Vec::new();
            for said in said {
                let (path, is_folder) = match &said {
                    Said::File(path) => (path, false),
                    Said::Folder(path) | Said::Opaque(path) => (path, true),
                    Said::Gone(path) => {
                        let mut parents = above(path);
                        if !parents.iter().any(|folder| files.contains(folder)) {
                            folders.extend(parents.drain(..));
                            kept.push(said);
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
                kept.push(said);
            }
            kept
        })
    }

    proptest! {
        /// Judged by a model that goes the other way.
        #[test]
        fn from_the_top_comes_what_comes_from_the_bottom(
            layers in prop::collection::vec(layer(), 1..5),
            path in "([ab](/[ab])?)?",
        ) {
            let selection = PathSelection { path: &path, prefix: "" };
            let selected = |(file, number): (&String, &usize)| {
                let file = AssetPath::parse(file).unwrap();
                selection.target(&file).map(|target| (target, *number))
            };
            let expected: BTreeMap<_, _> = applied(&layers).iter().filter_map(selected).collect();
            prop_assert_eq!(taken(&layers, selection), expected);
        }
    }

    #[test]
    fn what_layers_hide_is_kept_within_bounds() {
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
