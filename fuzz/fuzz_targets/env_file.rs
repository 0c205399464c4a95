//! The file from which the kubelet reads the boot env. The input is `NAME`, a NUL byte and the value. The
//! file has one line for the variable, which the value does not end early.
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
        assert!(!value.contains(&b'\''), "the value ends the line early");
    }
});
