//! The webhook as the API server meets it: on a socket, over TLS that is verified.
//!
//! One binary of several modules, because each would link the whole webhook anew. Limits are set small where a
//! test is about time: what is tested is which limit applies when, not that a clock runs.
#![allow(
    clippy::indexing_slicing,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test fails by panicking; clippy's own exemption does not reach a test's helpers"
)]
#![allow(clippy::float_cmp, reason = "metrics that count are whole numbers")]

mod api_server;
mod bad_input;
mod binary;
mod callers;
mod client;
mod cluster;
mod drain;
mod entrypoints;
mod harness;
mod hostile;
#[path = "../limited/mod.rs"]
mod limited;
mod limits;
mod lookups;
mod reload;
mod signing;
