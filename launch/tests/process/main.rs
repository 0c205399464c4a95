//! Runs the real launcher and checks the processes that it starts.
//!
//! The tests of the hook run tasks in separate process namespaces with `unshare` of util-linux. That does not
//! need root if the kernel allows unprivileged user namespaces.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "a test fails by panicking; clippy.toml allows it in test functions, but not in their helpers"
)]

mod endings;
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
mod task_hooks;
mod terminal;
