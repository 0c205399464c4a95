//! The files between the launcher of a task and the pipe sidecar. Encoding a parsed file returns the same
//! bytes.
#![no_main]

use bootlace_launch::handover::{Ending, Manifest, StoreResult};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    if let Ok(manifest) = Manifest::parse(bytes) {
        assert_eq!(manifest.encode(), bytes);
    }
    if let Ok(result) = StoreResult::parse(bytes) {
        assert_eq!(result.encode(), bytes);
    }
    if let Ok(ending) = Ending::parse(bytes) {
        assert_eq!(ending.encode(), bytes);
    }
});
