//! The roles of Bootlace, one folder each. They run the pure half, the crate [`bootlace_core`], which does not know them:
//!
//! | role | module | what it does |
//! |---|---|---|
//! | admission | [`webhook`] | serves the reviews of the API server |
//! | store | [`store`] | creates the `Secret`s, `ConfigMap`s and `Event`s that task pods may not create |
//! | boot | [`boot`] | fetches the sources of a profile, in an init container |
//! | wait | [`wait`] | waits for an output that an earlier task has not stored yet, in an init container |
//! | sidecar | [`sidecar`] | stores the outputs of a task, in a native sidecar |
//! | command line | [`cli`] | all of the above, and `inject`, `explain`, `certs` and `crds` |
//!
//! The roles share [`server`] (listener, TLS, certificates, shutdown), [`registry`] (OCI registries) and `http` (requests to
//! servers that a profile or a pod names). What runs in the task's own container is the package `bootlace-launch`.

pub mod boot;
pub mod cli;
mod http;
#[cfg(test)]
mod messages;
pub mod profile_files;
pub mod registry;
pub mod server;
pub mod sidecar;
pub mod store;
pub mod wait;
pub mod webhook;
