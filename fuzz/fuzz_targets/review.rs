//! The body of a review. For any input, the response is well-formed, its patch applies to the pod, and the
//! patched pod is not patched again.
#![no_main]

mod common;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bootlace_core::admission::{self, ReviewOutcome};
use libfuzzer_sys::fuzz_target;
use serde_json::Value;

fuzz_target!(|body: &[u8]| {
    let recipes = common::recipes();
    let reviewed = admission::review(body, recipes);
    let response = reviewed.response.to_json().expect("the response is JSON");
    if reviewed.outcome != ReviewOutcome::Injected {
        return;
    }
    let response: Value = serde_json::from_slice(&response).expect("the response is JSON");
    let mut review: Value = serde_json::from_slice(body).expect("the review is JSON");
    let patch = response.pointer("/response/patch").and_then(Value::as_str).expect("the response has a patch");
    let patch = STANDARD.decode(patch).expect("the patch is base64");
    let patch: json_patch::Patch = serde_json::from_slice(&patch).expect("the patch is a JSON patch");
    let pod = review.pointer_mut("/request/object").expect("the review has a pod");
    json_patch::patch(pod, &patch).expect("the patch applies");
    let again = serde_json::to_vec(&review).expect("the review can be serialized");
    let outcome = admission::review(&again, recipes).outcome;
    assert!(matches!(outcome, ReviewOutcome::Skipped(_)), "an injected pod was not skipped: {outcome}");
});
