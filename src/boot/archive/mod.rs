//! Archives: every entry's name is checked before anything is made of it, and only files are.

mod name;
mod tar;
mod zip;

use super::sink::Sink;
use super::source::SourceError;
use crate::http::Body;
use bootlace_core::entry::AssetPath;
use bootlace_core::profile::remote::{Archive, ArchiveFormat};

/// Which of a tar's entries become files, and where.
pub(crate) trait SelectEntries {
    /// Where the entry goes below the assets folder; `None` where it is not taken. Every entry is asked for, folders
    /// included, in the tar's order. What is taken and is no file fails the boot.
    fn target(
        &mut self,
        path: &AssetPath,
        kind: ArchiveEntryKind,
        sink: &Sink<'_>,
    ) -> Result<Option<String>, SourceError>;

    /// The profile's field that says which folder is taken.
    fn field(&self) -> &'static str;
}

/// What an entry is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ArchiveEntryKind {
    /// A file.
    File,
    /// A folder, which is made where a file needs it.
    Folder,
    /// What boot does not make, in words.
    Other(&'static str),
}

/// An archive that a profile takes as it is.
impl SelectEntries for &Archive {
    fn target(
        &mut self,
        path: &AssetPath,
        kind: ArchiveEntryKind,
        _: &Sink<'_>,
    ) -> Result<Option<String>, SourceError> {
        Ok(name::target(path, self).filter(|_| kind != ArchiveEntryKind::Folder))
    }

    fn field(&self) -> &'static str {
        FIELD
    }
}

const FIELD: &str = "archive.path";

/// Gives what the archive in `body` holds to `sink`, as `says` has it.
pub(crate) async fn unpack(body: &mut Body, says: &Archive, sink: &mut Sink<'_>) -> Result<(), SourceError> {
    let mut select = says;
    let format = match says.format {
        ArchiveFormat::Auto => look_at(body.peek(ZIP.len()).await?),
        format => format,
    };
    match format {
        ArchiveFormat::TarGz => tar::unpack_gzip(body, &mut select, sink).await,
        ArchiveFormat::Zip => zip::unpack(body, says, sink).await,
        // tar has no mark at its beginning; what is none fails on its first header.
        ArchiveFormat::Tar | ArchiveFormat::Auto => tar::unpack(body, &mut select, sink).await,
    }
}

/// Gives what the tar in `body` holds to `sink`, as `select` has it, however it is compressed.
pub(crate) async fn unpack_tar(
    body: &mut Body,
    select: &mut impl SelectEntries,
    sink: &mut Sink<'_>,
) -> Result<(), SourceError> {
    let start = body.peek(ZSTD.len()).await?;
    if start.starts_with(&GZIP) {
        tar::unpack_gzip(body, select, sink).await
    } else if start.starts_with(&ZSTD) || start.get(1..).is_some_and(|rest| rest.starts_with(&SKIPPABLE)) {
        tar::unpack_zstd(body, select, sink).await
    } else {
        tar::unpack(body, select, sink).await
    }
}

/// The magic numbers of zstd's frames (RFC 8878): of those with content, and of those without, behind their first byte.
const ZSTD: [u8; 4] = [0x28, 0xb5, 0x2f, 0xfd];
const SKIPPABLE: [u8; 3] = [0x2a, 0x4d, 0x18];

/// A file's header in a zip, the end record of an empty zip, and gzip's magic number.
const ZIP: [u8; 4] = *b"PK\x03\x04";
const EMPTY_ZIP: [u8; 4] = *b"PK\x05\x06";
const GZIP: [u8; 2] = [0x1f, 0x8b];

fn look_at(start: &[u8]) -> ArchiveFormat {
    if start.starts_with(&GZIP) {
        ArchiveFormat::TarGz
    } else if start.starts_with(&ZIP) || start.starts_with(&EMPTY_ZIP) {
        ArchiveFormat::Zip
    } else {
        ArchiveFormat::Tar
    }
}

fn broken(what: &str) -> SourceError {
    SourceError::Archive(format!("failed to unpack the archive: {what}"))
}

/// What is said of bytes that cannot be read. The libraries' own sentences quote them.
const DAMAGED: &str = "it is damaged, or has another format than archive.format or its first bytes indicate";
const BREAKS_OFF: &str = "it is truncated";

/// Something that is no file, where a file would be taken.
fn not_a_file(name: &str, what: &str, field: &str) -> SourceError {
    SourceError::Archive(format!(
        "archive entry {name:?} is {what}, but boot only extracts files: create the archive without it, or select \
         another folder with {field}"
    ))
}
