//! The fetched content: 1,000 files of 1 KB, and one of 100 MB.

use std::io::{Cursor, Write as _};

use flate2::Compression;
use flate2::write::GzEncoder;
use serde_json::json;
use zip::ZipWriter;
use zip::write::SimpleFileOptions;

pub(crate) const FILES: usize = 1_000;
pub(crate) const FILE: &[u8] = &[b'x'; 1_000];
pub(crate) const LARGE: usize = 100_000_000;
/// Just below the limit of boot for JSON, which is 8 MiB.
const LARGE_JSON: usize = 8_300_000;

/// The path of a small file.
pub(crate) fn name(number: usize) -> String {
    format!("folder-{}/file-{number}", number % 10)
}

/// The content of a small file.
pub(crate) fn text() -> &'static str {
    str::from_utf8(FILE).unwrap()
}

/// The small files as tar.gz.
pub(crate) fn tar() -> Vec<u8> {
    packed((0..FILES).map(|number| (name(number), FILE)))
}

/// The large file as tar.gz.
pub(crate) fn large_tar(large: &[u8]) -> Vec<u8> {
    packed([("large".to_owned(), large)])
}

fn packed<'a>(files: impl IntoIterator<Item = (String, &'a [u8])>) -> Vec<u8> {
    let mut tar = tar::Builder::new(GzEncoder::new(Vec::new(), Compression::fast()));
    for (name, content) in files {
        let mut header = tar::Header::new_ustar();
        header.set_mode(0o644);
        header.set_size(content.len() as u64);
        tar.append_data(&mut header, name, content).unwrap();
    }
    tar.into_inner().unwrap().finish().unwrap()
}

/// The small files as zip.
pub(crate) fn zip() -> Vec<u8> {
    let mut zip = ZipWriter::new(Cursor::new(Vec::new()));
    for number in 0..FILES {
        zip.start_file(name(number), SimpleFileOptions::default()).unwrap();
        zip.write_all(FILE).unwrap();
    }
    zip.finish().unwrap().into_inner()
}

/// Bytes that cannot be compressed.
pub(crate) fn large() -> Vec<u8> {
    let mut bytes = Vec::with_capacity(LARGE);
    let mut state = 1_u64;
    while bytes.len() < LARGE {
        // Knuth's multiplicative generator.
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        bytes.write_all(&state.to_le_bytes()).unwrap();
    }
    bytes
}

/// A JSON object with a file at `files`, as large as boot accepts.
pub(crate) fn large_json() -> Vec<u8> {
    json!({"files": {"large": "x".repeat(LARGE_JSON)}}).to_string().into()
}
