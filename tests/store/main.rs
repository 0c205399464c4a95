//! Tests of the store with an in-memory API server: the order of its writes, what is left behind if a replica
//! is killed at any request, and what is removed. The cluster scenarios test what needs a real API server.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test fails by panicking; clippy.toml covers test functions, not the helpers beside them"
)]

mod aborts;
mod awaited;
#[path = "../webhook/client.rs"]
#[allow(dead_code, reason = "the webhook's tests use more of it")]
mod client;
mod expiry;
mod hostile;
mod killed;
#[path = "../limited/mod.rs"]
mod limited;
mod outputs;
mod progress;
mod requests;
mod shares;
mod support;
mod versions;
