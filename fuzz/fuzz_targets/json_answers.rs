//! JSON responses of the server of a source. The input is a pointer, a NUL byte and JSON. No error contains a
//! value.
#![no_main]

use bootlace::boot::fuzzing;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|input: &[u8]| {
    let mut parts = input.splitn(2, |&byte| byte == 0);
    let (pointer, json) = (parts.next().unwrap_or_default(), parts.next().unwrap_or_default());
    let Ok(pointer) = str::from_utf8(pointer) else { return };
    if pointer.contains("hunter2") {
        return;
    }
    let root = tempfile::tempdir_in("/dev/shm").expect("a folder");
    fuzzing::answer(json, pointer, root.path()).expect("a volume");
});
