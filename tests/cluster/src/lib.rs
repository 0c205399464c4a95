//! A throwaway single-node Kubernetes cluster, and what the cluster tests and the demo do on it.
//!
//! In the order of a run:
//!
//! - [`machine`]: what the machine must have.
//! - [`prepare`]: everything that a cluster is made of, at the same time where that can be.
//! - [`tools`]: Kubernetes, Helm and `CoreDNS` from their sources; [`cache`] keeps them.
//! - [`builds`]: what cargo and Go build, and how far they are.
//! - [`images`]: the images that the node holds; [`store`] is the S3 server in one of them.
//! - [`cluster`]: starts a cluster and holds it; [`run`] is its folder; [`keeper`] cleans up behind it, together
//!   with [`cgroup`].
//! - [`current`]: a cluster that is there already, in its place.
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
pub mod builds;
pub mod cache;
pub mod cgroup;
pub mod cluster;
pub mod command;
pub mod current;
pub mod demo;
pub mod images;
pub mod install;
pub mod interrupt;
pub mod keeper;
pub mod kill;
pub mod machine;
pub mod manifest;
pub mod node;
pub mod prepare;
mod processes;
pub mod run;
pub mod scenario;
pub mod stage;
pub mod store;
pub mod tools;
pub mod wait;
