//! `bootlace boot` on folders that look like the boot container's: what the task finds, what is refused and in
//! which words, that a second run gives the same, that no value shows anywhere. In-process but for `process`.
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a test fails by panicking; clippy.toml covers test functions, not the helpers beside them"
)]

mod again;
mod containers;
mod content;
mod http;
mod init_image;
mod layout;
mod log;
mod object_store;
mod oci;
mod process;
mod refused;
mod secrets;
mod support;
