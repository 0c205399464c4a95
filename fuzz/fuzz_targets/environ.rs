//! The files that the launcher reads: the boot env, and the names that stay the pod's. What is read is written as it was.
#![no_main]

use bootlace_launch::{environ, keep, references};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    if let Ok(records) = environ::parse(bytes) {
        assert_eq!(environ::encode(records), bytes);
    }
    if let Ok(names) = keep::parse(bytes) {
        assert_eq!(keep::encode(names), bytes);
    }
    let _ = references::parse(bytes);
});
