//! The files that the launcher reads: the boot env, and the names of the variables of the pod. Encoding a
//! parsed file returns the same bytes.
#![no_main]

use bootlace_launch::{environ, pod_env, references};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    if let Ok(records) = environ::parse(bytes) {
        assert_eq!(environ::encode(records), bytes);
    }
    if let Ok(names) = pod_env::parse(bytes) {
        assert_eq!(pod_env::encode(names), bytes);
    }
    let _ = references::parse(bytes);
});
