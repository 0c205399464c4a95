//! The webhook on a socket with verified TLS, as for the API server.
//!
//! One program with several modules, because each program would link the whole webhook again. Tests of
//! timeouts use small ones: they check which timeout applies, not its length.
#![allow(
    clippy::indexing_slicing,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test fails by panicking; clippy's own exemption does not reach a test's helpers"
)]
#![allow(clippy::float_cmp, reason = "metrics that count are whole numbers")]

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
