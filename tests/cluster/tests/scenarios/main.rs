//! The cluster scenarios. They share one cluster, and each has a namespace of its own.
//!
//! Run by `bootlace-cluster run -- cargo test -p bootlace-cluster --features scenarios --test scenarios`; without a
//! cluster each of them fails.
#![allow(
    clippy::indexing_slicing,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test fails by panicking; clippy's own exemption does not reach a test's helpers"
)]

mod airflow;
mod airflow_sources;
mod boot_failure;
mod boot_image;
mod certificates;
mod containers;
mod distroless;
mod drain;
mod dry_run;
mod entrypoint_lookup;
mod env_modes;
mod env_precedence;
mod harness;
mod hook_when;
mod http_source;
mod https_server;
mod inject;
mod injected;
mod job;
mod kill;
mod object_store;
mod oci_source;
mod optimus_image;
mod pipes;
mod post_start;
mod profile_change;
mod refused;
mod restricted;
mod servers;
mod sources;
mod store;
mod unknown_command;
mod unlabelled;
