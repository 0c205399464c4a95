//! `bootlace wait` as a process, with a store in this process and volumes that the tests fill like a kubelet.
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a test fails by panicking; clippy.toml covers test functions, not the helpers beside them"
)]

mod container;
mod poll;
#[path = "../boot/http/server.rs"]
#[allow(dead_code, reason = "boot's tests need more of it")]
mod server;
mod volumes;
