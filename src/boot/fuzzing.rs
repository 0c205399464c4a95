//! Entry points for the fuzz targets of `fuzz/`: parsers of responses from servers that a profile names.

use std::io;

use futures::{StreamExt as _, stream};
use hyper::body::Bytes;

use super::archive;
use super::env_file;
use super::json;
use super::sink::{EntryKind, Sink};
use super::volume::Volume;
use crate::http::Body;
use bootlace_core::profile::remote::Archive;

/// Limits for the content of an archive.
const LIMITS: bootlace_core::plan::boot_spec::SourceLimits =
    bootlace_core::plan::boot_spec::SourceLimits { bytes: 1 << 20, files: 256 };

/// Unpacks an archive, which arrives in chunks of `chunk` bytes, into a volume at `root`.
///
/// # Errors
/// If the volume cannot be created.
///
/// # Panics
/// If the content exceeds the limits.
pub fn archive(bytes: &[u8], chunk: usize, settings: &Archive, root: &std::path::Path) -> io::Result<()> {
    let volume = Volume::open(root, "default").map_err(io::Error::other)?;
    let mut sink = Sink::new(&volume, Some(LIMITS));
    let chunks: Vec<_> = bytes.chunks(chunk.max(1)).map(|chunk| Ok(Bytes::copy_from_slice(chunk))).collect();
    let body = stream::iter(chunks).boxed();
    let mut body = Body::new(body, "https://example.com/a".to_owned(), Default::default(), 1 << 20, None);
    let runtime = tokio::runtime::Builder::new_current_thread().build()?;
    let unpacked = runtime.block_on(archive::unpack(&mut body, settings, &mut sink));
    let amount = sink.into_content().amount();
    assert!(unpacked.is_err() || amount.bytes <= LIMITS.bytes, "an archive gave more than its limit");
    Ok(())
}

/// Parses a JSON response, and reads the object at `pointer` as env and as files.
///
/// # Errors
/// If the volume cannot be created.
pub fn answer(json: &[u8], pointer: &str, root: &std::path::Path) -> io::Result<()> {
    let volume = Volume::open(root, "default").map_err(io::Error::other)?;
    for kind in [EntryKind::Env, EntryKind::Files] {
        let mut sink = Sink::new(&volume, Some(LIMITS));
        let written = json::object(json, pointer)
            .and_then(|object| json::write_entries(object, kind, "", &[], &mut sink));
        // Errors are logged, so they must not contain values.
        if let Err(error) = written {
            assert!(!error.to_string().contains("hunter2"), "an error quotes a value");
        }
    }
    Ok(())
}

/// Writes a variable to the env file for the kubelet.
#[must_use]
pub fn env_file(name: &str, value: &[u8]) -> Option<Vec<u8>> {
    let mut file = Vec::new();
    env_file::append(&mut file, name, value).ok().map(|()| file)
}
