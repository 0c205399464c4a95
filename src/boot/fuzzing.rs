//! What the fuzz targets of `fuzz/` reach of boot: what it reads from servers that a profile names.

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

/// Bytes that an archive may give, and files.
const LIMITS: bootlace_core::plan::boot_spec::SourceLimits =
    bootlace_core::plan::boot_spec::SourceLimits { bytes: 1 << 20, files: 256 };

/// Unpacks an archive that comes in chunks of `chunk` bytes into a volume at `root`.
///
/// # Errors
/// Where the volume cannot be made.
///
/// # Panics
/// Where more than the limits was given.
pub fn archive(bytes: &[u8], chunk: usize, says: &Archive, root: &std::path::Path) -> io::Result<()> {
    let volume = Volume::open(root, "default").map_err(io::Error::other)?;
    let mut sink = Sink::new(&volume, Some(LIMITS));
    let chunks: Vec<_> = bytes.chunks(chunk.max(1)).map(|chunk| Ok(Bytes::copy_from_slice(chunk))).collect();
    let body = stream::iter(chunks).boxed();
    let mut body = Body::new(body, "https://example.com/a".to_owned(), Default::default(), 1 << 20, None);
    let runtime = tokio::runtime::Builder::new_current_thread().build()?;
    let unpacked = runtime.block_on(archive::unpack(&mut body, says, &mut sink));
    let amount = sink.into_found().amount();
    assert!(unpacked.is_err() || amount.bytes <= LIMITS.bytes, "an archive gave more than its limit");
    Ok(())
}

/// Reads a JSON answer, and takes the object at `pointer` as env.
///
/// # Errors
/// Where the volume cannot be made.
pub fn answer(json: &[u8], pointer: &str, root: &std::path::Path) -> io::Result<()> {
    let volume = Volume::open(root, "default").map_err(io::Error::other)?;
    for gives in [EntryKind::Env, EntryKind::Files] {
        let mut sink = Sink::new(&volume, Some(LIMITS));
        let given =
            json::object(json, pointer).and_then(|object| json::give(object, gives, "", &[], &mut sink));
        // What is wrong with an answer is said without its values: errors reach the log.
        if let Err(error) = given {
            assert!(!error.to_string().contains("hunter2"), "an error quotes a value");
        }
    }
    Ok(())
}

/// Writes a variable to the file that the kubelet reads.
#[must_use]
pub fn env_file(name: &str, value: &[u8]) -> Option<Vec<u8>> {
    let mut file = Vec::new();
    env_file::append(&mut file, name, value).ok().map(|()| file)
}
