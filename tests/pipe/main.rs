//! Tests of the process `bootlace pipe`, with launchers and a fake store.
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "a test fails by panicking; clippy.toml covers test functions, not the helpers beside them"
)]

mod handed_over;
mod hooks;
#[path = "../boot/http/server.rs"]
#[allow(dead_code, reason = "boot's tests need more of it")]
mod server;
mod shared;
mod sidecar;
