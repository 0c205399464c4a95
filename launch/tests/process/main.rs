//! Runs the real launcher and looks at what the processes that it starts really hold.
//!
//! The hook's tests put tasks into process namespaces of their own with util-linux' `unshare`. That needs no
//! root where the kernel lets users make user namespaces.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "a test fails by panicking; clippy.toml allows it in test functions, but not in their helpers"
)]

mod exec;
mod handler;
mod hook;
mod init;
mod outputs;
mod product;
mod run;
mod shipped;
mod signals;
mod support;
mod terminal;
