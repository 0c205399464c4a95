//! The request bodies that pods send to the store.
#![no_main]

use bootlace_core::output::data;
use bootlace::store_client::protocol::{EnvRequest, EventRequest, OutputRequest};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|body: &[u8]| {
    let _ = serde_json::from_slice::<EnvRequest>(body);
    let _ = serde_json::from_slice::<EventRequest>(body);
    if let Ok(output) = serde_json::from_slice::<OutputRequest>(body)
        && let Ok(size) = data::check(&output.files)
    {
        let again = output.clone().encode(size);
        assert!(serde_json::from_slice::<OutputRequest>(&again).is_ok_and(|again| again == output));
    }
});
