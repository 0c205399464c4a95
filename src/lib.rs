//! The roles of Bootlace, one directory each. They use [`bootlace_core`], which does not depend on them:
//!
//! | role | module | what it does |
//! |---|---|---|
//! | admission | [`webhook`] | responds to the reviews of the API server |
//! | store | [`store`] | creates the `Secret`s, `ConfigMap`s and `Event`s that task pods cannot create |
//! | monitor | [`monitor`] | fails pods whose tasks do not start in time |
//! | boot | [`boot`] | fetches the sources of a profile, in an init container |
//! | wait | [`wait`] | waits until an earlier task has stored an output, in an init container |
//! | sidecar | [`sidecar`] | stores the outputs of a task, in a native sidecar |
//! | command line | [`cli`] | starts the other roles; `inject`, `explain`, `tasks`, `certs` and `crds` |
//!
//! The roles share these modules:
//!
//! | module | content | used by |
//! |---|---|---|
//! | [`process`] | event loop, signals, logging | all |
//! | [`server`] | listener, TLS, certificates, shutdown | webhook, store, monitor |
//! | [`store_client`] | the protocol of the store, and its client | store, boot, wait, sidecar |
//! | [`registry`] | OCI registries | webhook, boot |
//! | `http` | requests to servers that a profile or a pod names; TLS of clients | webhook, boot, store client |
//! | `hook_request` | requests of hooks | sidecar, monitor |
//! | `text` | texts of other programs, for messages | all |
//! | `pod_status` | parts of pods and their Events | monitor, command line |
//!
//! Boot, wait and sidecar run in pods and import nothing of the servers; `tests/references/imports.rs` checks
//! this. The package `bootlace-launch` runs in the container of the task.

pub mod boot;
pub mod cli;
mod command_error;
mod hook_request;
mod http;
#[cfg(test)]
mod messages;
pub mod monitor;
mod pod_status;
pub mod process;
pub mod profile_files;
pub mod registry;
pub mod server;
pub mod sidecar;
pub mod store;
pub mod store_client;
mod text;
pub mod wait;
pub mod webhook;
