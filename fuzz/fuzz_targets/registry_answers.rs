//! Responses of a registry: manifests, indexes, configurations, challenges.
#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| bootlace::registry::fuzzing::answer(bytes));
