//! Extraction of zip. The central directory is at the end of the archive, and the entries must not be trusted
//! without it, so the archive is first downloaded to the volume.

use std::collections::HashSet;
use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};

use zip::ZipArchive;
use zip::result::ZipError;

use super::{DAMAGED, FIELD, TRUNCATED, name, not_a_file, unpack_error};
use crate::boot::sink::Sink;
use crate::boot::source::{EntryError, EntryName, SourceError};
use crate::http::Body;
use bootlace_core::profile::remote::Archive;

/// Size of a read.
const CHUNK: usize = 64 * 1024;

/// A record of the central directory: its signature, the size of its fixed part, and the position of the
/// sizes of its name, its extra field and its comment (APPNOTE 4.3.12).
const RECORD: [u8; 4] = *b"PK\x01\x02";
const RECORD_SIZE: usize = 46;
const NAME_SIZE: usize = 28;

pub(super) async fn unpack(
    body: &mut Body,
    settings: &Archive,
    sink: &mut Sink<'_>,
) -> Result<(), SourceError> {
    let mut scratch = sink.scratch()?;
    while let Some(chunk) = body.chunk().await? {
        scratch.write(&chunk)?;
    }
    let mut list = scratch.reader()?;
    let mut zip = ZipArchive::new(scratch.reader()?).map_err(failed)?;
    // The library silently keeps the last of two files with the same name.
    list.seek(SeekFrom::Start(zip.central_directory_start())).map_err(|error| unreadable(&error))?;
    check_names(&mut io::BufReader::new(list))?;
    let mut buffer = vec![0; CHUNK];
    for index in 0..zip.len() {
        let mut entry = zip.by_index(index).map_err(failed)?;
        let Some(path) = name::parse(entry.name_raw())? else {
            continue;
        };
        let Some(target) = name::target(&path, settings).filter(|_| !entry.is_dir()) else {
            continue;
        };
        if let Some(kind) = entry.unix_mode().and_then(non_file_kind) {
            return Err(not_a_file(&path.to_string(), kind, FIELD));
        }
        let mut file = sink.create(&target)?;
        loop {
            let read = entry.read(&mut buffer).map_err(|error| unreadable(&error))?;
            match buffer.get(..read) {
                None | Some([]) => break,
                Some(chunk) => file.write(chunk)?,
            }
            // Lets the other sources and the deadline make progress.
            tokio::task::yield_now().await;
        }
        sink.finish(file)?;
    }
    Ok(())
}

/// Refuses a central directory with a duplicate name.
fn check_names(list: &mut io::BufReader<File>) -> Result<(), SourceError> {
    let mut seen = HashSet::new();
    let mut record = [0; RECORD_SIZE];
    // The record after the central directory is shorter, and nothing follows it.
    while list.read_exact(&mut record).is_ok() && record.starts_with(&RECORD) {
        let size = |at: usize| match record.get(at..at + 2) {
            Some(&[low, high]) => usize::from(u16::from_le_bytes([low, high])),
            _ => 0,
        };
        let mut name = vec![0; size(NAME_SIZE)];
        list.read_exact(&mut name).map_err(|error| unreadable(&error))?;
        let rest = size(NAME_SIZE + 2) + size(NAME_SIZE + 4);
        list.seek_relative(i64::try_from(rest).unwrap_or(i64::MAX)).map_err(|error| unreadable(&error))?;
        if let Some(name) = seen.replace(name) {
            let name = String::from_utf8_lossy(&name);
            return Err(SourceError::refused(EntryName::ArchiveEntry, &name, EntryError::Duplicate));
        }
    }
    Ok(())
}

fn failed(error: ZipError) -> SourceError {
    match error {
        ZipError::Io(error) => unreadable(&error),
        // Messages of the library that do not quote content: an unknown compression, a password.
        ZipError::UnsupportedArchive(problem) => unpack_error(problem),
        _ => unpack_error(DAMAGED),
    }
}

fn unreadable(error: &io::Error) -> SourceError {
    unpack_error(if error.kind() == io::ErrorKind::UnexpectedEof { TRUNCATED } else { DAMAGED })
}

/// The kind of an entry by its Unix mode, unless it is a file.
fn non_file_kind(mode: u32) -> Option<&'static str> {
    const KIND: u32 = 0o170_000;
    match mode & KIND {
        // Written by a program without Unix modes.
        0 | 0o100_000 => None,
        0o120_000 => Some("a symbolic link"),
        0o020_000 | 0o060_000 => Some("a device"),
        0o010_000 => Some("a named pipe"),
        _ => Some("of an unknown kind"),
    }
}
