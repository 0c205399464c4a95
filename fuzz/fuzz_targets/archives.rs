//! Archives as they stream in: nothing is written outside of the volume, and no more than the limits.
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
    let says = Archive { format, strip_components: u32::from(strip % 4), ..Archive::default() };
    let outside = tempfile::tempdir_in(memory()).expect("a folder");
    let root = outside.path().join("volume");
    std::fs::create_dir(&root).expect("a folder");
    fuzzing::archive(bytes, usize::from(chunk) * 16, &says, &root).expect("a volume");
    let left = std::fs::read_dir(outside.path()).expect("a folder").count();
    assert_eq!(left, 1, "an archive wrote outside of the volume");
});

/// Where files cost no disk.
fn memory() -> &'static Path {
    Path::new("/dev/shm")
}
