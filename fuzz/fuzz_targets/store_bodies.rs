//! What pods send the store.
#![no_main]

use bootlace_core::output::data;
use bootlace::store::protocol::{Env, Output, Report};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|body: &[u8]| {
    let _ = serde_json::from_slice::<Env>(body);
    let _ = serde_json::from_slice::<Report>(body);
    if let Ok(output) = serde_json::from_slice::<Output>(body)
        && let Ok(size) = data::check(&output.files)
    {
        let again = output.clone().encode(size);
        assert!(serde_json::from_slice::<Output>(&again).is_ok_and(|again| again == output));
    }
});
