//! The scenarios. They share one cluster, and each has a separate namespace.
//!
//! `bootlace-cluster test` runs them. Without a cluster, each of them fails.
#![allow(
    clippy::indexing_slicing,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test fails by panicking; the exemption of clippy does not include the helpers of tests"
)]

mod abort;
mod airflow;
mod airflow_sources;
mod applied_again;
mod boot_failure;
mod boot_image;
mod callers;
mod cert_manager;
mod certificates;
mod containers;
mod corpus;
mod debug_copy;
mod distroless;
mod drain;
mod dry_run;
mod entrypoint_lookup;
mod env_modes;
mod env_precedence;
mod harness;
mod hook_kills;
mod hook_when;
mod http_source;
mod https_server;
mod init_tasks;
mod inject;
mod injected;
mod installation;
mod job;
mod kill;
mod mesh;
mod monitor;
mod mounts;
mod mutator;
mod object_store;
mod oci_source;
mod openshift;
mod optimus_image;
mod overlays;
mod pipes;
mod pod_level;
mod post_start;
mod previous;
mod profile_change;
mod progress;
mod refused;
mod resources;
mod restricted;
mod reviewed;
mod rotation;
mod scheduler_extra;
mod scheduler_pods;
mod schedulers;
mod sources;
mod store;
mod tasks;
mod unknown_command;
mod unlabelled;
mod volume_source;
