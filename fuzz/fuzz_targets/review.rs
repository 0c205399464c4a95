//! A posted review, byte for byte: whatever comes in, a well-formed answer goes out, its patch applies to the pod, and
//! the patched pod is not patched again.
#![no_main]

mod common;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bootlace_core::admission::{self, ReviewOutcome};
use libfuzzer_sys::fuzz_target;
use serde_json::Value;

fuzz_target!(|body: &[u8]| {
    let recipes = common::recipes();
    let answered = admission::review(body, recipes);
    let answer = answered.response.to_json().expect("an answer is JSON");
    if answered.outcome != ReviewOutcome::Injected {
        return;
    }
    let answer: Value = serde_json::from_slice(&answer).expect("an answer is JSON");
    let mut review: Value = serde_json::from_slice(body).expect("what was injected is JSON");
    let patch = answer.pointer("/response/patch").and_then(Value::as_str).expect("a patch");
    let patch = STANDARD.decode(patch).expect("a patch is base64");
    let patch: json_patch::Patch = serde_json::from_slice(&patch).expect("a patch is a JSON patch");
    let pod = review.pointer_mut("/request/object").expect("a pod");
    json_patch::patch(pod, &patch).expect("the patch applies");
    let again = serde_json::to_vec(&review).expect("a review is JSON");
    let outcome = admission::review(&again, recipes).outcome;
    assert!(matches!(outcome, ReviewOutcome::Skipped(_)), "what was injected is injected again: {outcome}");
});
