//! The files that a task's launcher and the pipe sidecar leave each other: what is read is written as it was.
#![no_main]

use bootlace_launch::handover::{Manifest, StoreResult};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    if let Ok(manifest) = Manifest::parse(bytes) {
        assert_eq!(manifest.encode(), bytes);
    }
    if let Ok(word) = StoreResult::parse(bytes) {
        assert_eq!(word.encode(), bytes);
    }
});
