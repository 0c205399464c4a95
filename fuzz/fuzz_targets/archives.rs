//! Streams of archives: nothing is written outside of the volume or beyond the limits.
#![no_main]

use std::path::Path;

use bootlace::boot::fuzzing;
use bootlace_core::profile::remote::{Archive, ArchiveFormat};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|input: &[u8]| {
    let Some((&[format, strip, chunk], bytes)) = input.split_first_chunk() else { return };
    let format = match format % 4 {
        0 => ArchiveFormat::Auto,
        1 => ArchiveFormat::Tar,
        2 => ArchiveFormat::TarGz,
        _ => ArchiveFormat::Zip,
    };
    let archive = Archive { format, strip_components: u32::from(strip % 4), ..Archive::default() };
    let outside = tempfile::tempdir_in(memory()).expect("a folder");
    let root = outside.path().join("volume");
    std::fs::create_dir(&root).expect("a folder");
    fuzzing::archive(bytes, usize::from(chunk) * 16, &archive, &root).expect("a volume");
    let entries = std::fs::read_dir(outside.path()).expect("a folder").count();
    assert_eq!(entries, 1, "an archive wrote outside of the volume");
});

/// A file system in memory.
fn memory() -> &'static Path {
    Path::new("/dev/shm")
}
