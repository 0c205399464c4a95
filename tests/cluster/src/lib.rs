//! A throwaway single-node Kubernetes cluster, and what the cluster tests and the demo do on it.
//!
//! In the order of a run:
//!
//! - [`prerequisites`]: what the machine must have; [`debian`] installs packages.
//! - [`tools`]: Kubernetes, Helm and `CoreDNS` from their sources; [`cache`] keeps them.
//! - [`images`]: the images that the node holds.
//! - [`cluster`]: starts a cluster and holds it; [`run`] is its folder; [`keeper`] cleans up behind it, together
//!   with [`cgroup`].
//! - [`node`]: what runs inside the cluster's namespaces.
//!
//! Small helpers: [`command`], [`interrupt`], [`manifest`], [`stage`], [`wait`].

pub mod cache;
pub mod cgroup;
pub mod cluster;
pub mod command;
pub mod debian;
pub mod images;
pub mod interrupt;
pub mod keeper;
pub mod manifest;
pub mod node;
pub mod prerequisites;
pub mod run;
pub mod stage;
pub mod tools;
pub mod wait;
