//! Runs the real launcher's hook against servers, with TLS and without.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "a test fails by panicking; clippy.toml allows it in test functions, but not in their helpers"
)]

mod httpget;
mod https;
mod support;
