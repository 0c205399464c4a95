//! Archives. The name of every entry is checked before anything is created, and only files are extracted.

mod name;
mod tar;
mod zip;

use super::sink::Sink;
use super::source::SourceError;
use crate::http::Body;
use bootlace_core::entry::AssetPath;
use bootlace_core::profile::remote::{Archive, ArchiveFormat};

/// Selects the entries of a tar that become files, and their paths.
pub(crate) trait SelectEntries {
    /// The path of the entry in the assets folder; `None` if it is not selected. Called for every entry,
    /// including folders, in the order of the tar. A selected entry that is not a file fails the boot.
    fn target(
        &mut self,
        path: &AssetPath,
        kind: ArchiveEntryKind,
        sink: &Sink<'_>,
    ) -> Result<Option<String>, SourceError>;

    /// The field of the profile that selects a folder.
    fn field(&self) -> &'static str;
}

/// The kind of an entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ArchiveEntryKind {
    /// A file.
    File,
    /// A folder, which is created when a file needs it.
    Folder,
    /// A kind that boot does not create, with its description.
    Other(&'static str),
}

/// An archive as the profile selects it.
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

/// Unpacks the archive in `body` into `sink`, with the selection of `settings`.
pub(crate) async fn unpack(
    body: &mut Body,
    settings: &Archive,
    sink: &mut Sink<'_>,
) -> Result<(), SourceError> {
    let mut select = settings;
    let format = match settings.format {
        ArchiveFormat::Auto => detect_format(body.peek(ZIP.len()).await?),
        format => format,
    };
    match format {
        ArchiveFormat::TarGz => tar::unpack_gzip(body, &mut select, sink).await,
        ArchiveFormat::Zip => zip::unpack(body, settings, sink).await,
        // A tar has no magic number at its beginning; other content fails at the first header.
        ArchiveFormat::Tar | ArchiveFormat::Auto => tar::unpack(body, &mut select, sink).await,
    }
}

/// Unpacks the tar in `body` into `sink`, with any compression.
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

/// The magic numbers of zstd frames (RFC 8878): of frames with content, and of skippable ones, after their
/// first byte.
const ZSTD: [u8; 4] = [0x28, 0xb5, 0x2f, 0xfd];
const SKIPPABLE: [u8; 3] = [0x2a, 0x4d, 0x18];

/// The magic numbers of a file header in a zip, of the end record of an empty zip, and of gzip.
const ZIP: [u8; 4] = *b"PK\x03\x04";
const EMPTY_ZIP: [u8; 4] = *b"PK\x05\x06";
const GZIP: [u8; 2] = [0x1f, 0x8b];

fn detect_format(start: &[u8]) -> ArchiveFormat {
    if start.starts_with(&GZIP) {
        ArchiveFormat::TarGz
    } else if start.starts_with(&ZIP) || start.starts_with(&EMPTY_ZIP) {
        ArchiveFormat::Zip
    } else {
        ArchiveFormat::Tar
    }
}

fn unpack_error(problem: &str) -> SourceError {
    SourceError::Archive(format!("failed to unpack the archive: {problem}"))
}

/// Errors for content that cannot be parsed. The libraries' own messages quote it.
const DAMAGED: &str = "it is damaged, or has another format than archive.format or its first bytes indicate";
const TRUNCATED: &str = "it is truncated";

/// The error for a selected entry that is not a file.
fn not_a_file(name: &str, kind: &str, field: &str) -> SourceError {
    SourceError::Archive(format!(
        "archive entry {name:?} is {kind}, but boot only extracts files: create the archive without it, or select \
         another folder with {field}"
    ))
}
