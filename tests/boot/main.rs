//! `bootlace boot` with folders like those of the boot container: the content of the volume, refused content
//! and codes, repeated runs, and that no value appears in the output. All but `process` run in this process.
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
mod vault;
mod volume;
