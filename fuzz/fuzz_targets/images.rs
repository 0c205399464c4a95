//! Image names, and the patterns with which profiles allow them. Parsing a printed name returns the same
//! name.
#![no_main]

use bootlace_core::pod::Image;
use bootlace_core::profile::image;
use bootlace::registry;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|text: &str| {
    let (pattern, name) = text.split_once('\0').unwrap_or(("*", text));
    if let Ok(image) = Image::parse(name) {
        assert_eq!(Image::parse(&image.to_string()).map(|again| again.to_string()), Ok(image.to_string()));
    }
    registry::fuzzing::reference(name);
    let _ = image::matches(pattern, name);
});
