//! Artifacts: named blobs, as ORAS pushes files and folders.
//! <https://oras.land/docs/concepts/artifact/>

use super::selection::{FIELD, PathSelection, is_below};
use super::{Descriptor, Repository};
use crate::boot::archive::{ArchiveEntryKind, SelectEntries, unpack_tar};
use crate::boot::sink::Sink;
use crate::boot::source::{EntryError, EntryName, SourceError};
use crate::http::Body;
use bootlace_core::entry::AssetPath;

/// The title that ORAS gives to its working directory.
const HERE: &str = ".";

/// Writes the files of `blobs` to `sink`.
pub(super) async fn write_files(
    repository: &Repository<'_>,
    blobs: &[Descriptor],
    selection: PathSelection<'_>,
    sink: &mut Sink<'_>,
) -> Result<(), SourceError> {
    let mut untitled = 0;
    for blob in blobs {
        match blob.title() {
            Some(title) if blob.is_packed_folder() => {
                write_folder(repository, blob, title, selection, sink).await?;
            }
            Some(title) => write_file(repository, blob, title, selection, sink).await?,
            None => untitled += 1,
        }
    }
    if untitled > 0 {
        sink.note(format!("skipped {untitled} blobs without the annotation org.opencontainers.image.title"));
    }
    Ok(())
}

async fn write_file(
    repository: &Repository<'_>,
    blob: &Descriptor,
    title: &str,
    selection: PathSelection<'_>,
    sink: &mut Sink<'_>,
) -> Result<(), SourceError> {
    let refused = |error| SourceError::refused(EntryName::File, title, EntryError::Path(error));
    let path = AssetPath::parse(title).map_err(refused)?;
    let Some(target) = selection.target(&path) else { return Ok(()) };
    let receive = async |body: &mut Body, sink: &mut Sink<'_>| {
        let mut file = sink.create(&target)?;
        while let Some(chunk) = body.chunk().await? {
            file.write(&chunk)?;
        }
        sink.finish(file)
    };
    repository.blob(blob, sink, receive).await
}

async fn write_folder(
    repository: &Repository<'_>,
    blob: &Descriptor,
    title: &str,
    selection: PathSelection<'_>,
    sink: &mut Sink<'_>,
) -> Result<(), SourceError> {
    if title != HERE {
        let refused = |error| SourceError::refused(EntryName::File, title, EntryError::Path(error));
        AssetPath::parse(title).map_err(refused)?;
    }
    let mut folder = Folder { title, selection };
    let receive = async |body: &mut Body, sink: &mut Sink<'_>| unpack_tar(body, &mut folder, sink).await;
    repository.blob(blob, sink, receive).await
}

/// A folder that ORAS packed: each entry starts with the name of the folder.
struct Folder<'a> {
    title: &'a str,
    selection: PathSelection<'a>,
}

impl SelectEntries for Folder<'_> {
    fn target(
        &mut self,
        path: &AssetPath,
        kind: ArchiveEntryKind,
        _: &Sink<'_>,
    ) -> Result<Option<String>, SourceError> {
        let name = path.to_string();
        if self.title != HERE && name != self.title && !is_below(&name, self.title) {
            return Err(SourceError::Archive(format!(
                "archive entry {name:?} is not in {:?}, the title of its blob: push the folder with oras",
                self.title
            )));
        }
        Ok(self.selection.target(path).filter(|_| kind != ArchiveEntryKind::Folder))
    }

    fn field(&self) -> &'static str {
        FIELD
    }
}
