//! Tests of the monitor: its decisions for pods in every state, and its controller with an API server in
//! memory. The cluster scenarios test what the kubelet and schedulers do with its pods.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test fails by panicking; clippy.toml covers test functions, not the helpers beside them"
)]

mod aborts;
mod diagnoses;
mod launch;
mod leader;
#[path = "../limited/mod.rs"]
#[allow(dead_code, reason = "the tests of other roles use more of it")]
mod limited;
mod messages;
mod outage;
mod scale;
mod support;
mod verdicts;
