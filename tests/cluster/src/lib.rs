//! A throwaway single-node Kubernetes cluster, and what the cluster tests and the demo do on it.
//!
//! In the order of a run:
//!
//! - [`prerequisites`]: what the machine must have; [`debian`] installs packages.
//! - [`tools`]: Kubernetes, Helm and `CoreDNS` from their sources; [`cache`] keeps them.
//! - [`images`]: the images that the node holds; [`store`] is the S3 server in one of them.
//! - [`cluster`]: starts a cluster and holds it; [`run`] is its folder; [`keeper`] cleans up behind it, together
//!   with [`cgroup`].
//! - [`install`]: Bootlace on the cluster.
//! - [`airflow`]: the scheduler whose DAGs run on it.
//! - [`demo`]: the story that `make demo` tells.
//! - [`scenario`]: what a test is given: a namespace of its own, and a report when it fails.
//! - [`kill`]: tasks with outputs, and something killed in the life of each.
//! - [`mod@bench`]: what outputs and the hook cost a pod.
//! - [`node`]: what runs inside the cluster's namespaces.
//!
//! Small helpers: [`command`], [`interrupt`], [`manifest`], `processes`, [`stage`], [`wait`].

pub mod airflow;
pub mod bench;
pub mod cache;
pub mod cgroup;
pub mod cluster;
pub mod command;
pub mod debian;
pub mod demo;
pub mod images;
pub mod install;
pub mod interrupt;
pub mod keeper;
pub mod kill;
pub mod manifest;
pub mod node;
pub mod prerequisites;
mod processes;
pub mod run;
pub mod scenario;
pub mod stage;
pub mod store;
pub mod tools;
pub mod wait;
