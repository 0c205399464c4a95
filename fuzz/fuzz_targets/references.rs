//! `$(NAME)` as Kubernetes expands it: an escaped text expands to itself, and unknown references do not
//! change.
#![no_main]

use bootlace_launch::expansion;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|text: &str| {
    let escaped = expansion::escape(text);
    assert_eq!(expansion::expand(&escaped, |_| Some(b"value")), text.as_bytes());
    assert_eq!(expansion::references(&escaped).count(), 0);
    let _ = expansion::expand(text, |name| (name.len() % 2 == 0).then_some(b"value"));
});
