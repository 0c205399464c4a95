//! The file that the kubelet reads the boot env from: `NAME`, a NUL byte, the value. What is written has one line for the
//! variable, and nothing of the value ends it early.
#![no_main]

use bootlace::boot::fuzzing;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|input: &[u8]| {
    let mut parts = input.splitn(2, |&byte| byte == 0);
    let (name, value) = (parts.next().unwrap_or_default(), parts.next().unwrap_or_default());
    let Ok(name) = str::from_utf8(name) else { return };
    if let Some(file) = fuzzing::env_file(name, value) {
        let rest = file.strip_prefix(name.as_bytes()).and_then(|rest| rest.strip_prefix(b"='"));
        assert_eq!(rest.and_then(|rest| rest.strip_suffix(b"'\n")), Some(value));
        assert!(!value.contains(&b'\''), "a value ends early");
    }
});
