//! Responses to the request of the hook. The input is the address, a NUL byte and the response.
#![no_main]

use bootlace_launch::fuzzing;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|input: &[u8]| {
    let Some((&chunk, input)) = input.split_first() else { return };
    let mut parts = input.splitn(2, |&byte| byte == 0);
    let (url, response) = (parts.next().unwrap_or_default(), parts.next().unwrap_or_default());
    fuzzing::http(url, response, usize::from(chunk));
});
