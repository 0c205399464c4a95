//! A pull secret of a tenant, for an image that a tenant names.
#![no_main]

use bootlace::registry::fuzzing;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|input: &[u8]| {
    let mut parts = input.splitn(2, |&byte| byte == 0);
    let (image, secret) = (parts.next().unwrap_or_default(), parts.next().unwrap_or_default());
    fuzzing::pull_secret(secret, str::from_utf8(image).unwrap_or_default());
});
