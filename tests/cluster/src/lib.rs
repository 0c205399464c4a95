//! A temporary single-node Kubernetes cluster, and the scenarios, the demo and the benchmarks that run on it.
//!
//! In the order of a run:
//!
//! - [`machine`]: checks and installs the requirements on the machine.
//! - [`prepare`]: builds all parts of a cluster, concurrently if possible.
//! - [`tools`]: builds Kubernetes, Helm and `CoreDNS` from source with [`go_module`]; [`cache`] keeps the
//!   results.
//! - [`builds`]: runs cargo and Go, and reports their progress.
//! - [`images`]: the container images of the node; [`store`] builds the S3 server in one of them.
//! - [`mod@previous`]: builds the previous version of Bootlace from its commit.
//! - [`cluster`]: starts and stops a cluster; [`run`] is its folder; [`keeper`] and [`cgroup`] clean up after
//!   it.
//! - [`current`]: an existing cluster, which is used instead.
//! - [`install`]: installs Bootlace on the cluster.
//! - [`airflow`]: runs DAGs with pods on the cluster. [`clients`]: the real clients of other schedulers.
//! - [`demo`]: `make demo`.
//! - [`scenario`]: the environment of a test: a separate namespace, and a report if it fails.
//! - [`kill`]: runs tasks with outputs, and kills one process during each.
//! - [`abort`]: runs tasks that submit a job, and ends each of them in some way.
//! - [`mod@bench`]: measures the cost of outputs and of the hook.
//! - [`node`]: the processes inside the namespaces of the cluster.
//!
//! Small helpers: [`command`], [`interrupt`], [`manifest`], `processes`, [`stage`], [`wait`].

pub mod abort;
pub mod airflow;
pub mod bench;
pub mod builds;
pub mod cache;
pub mod cgroup;
pub mod clients;
pub mod cluster;
pub mod command;
pub mod current;
pub mod demo;
pub mod go_module;
pub mod images;
pub mod install;
pub mod interrupt;
pub mod keeper;
pub mod kill;
pub mod machine;
pub mod manifest;
pub mod node;
pub mod prepare;
pub mod previous;
mod processes;
pub mod run;
pub mod scenario;
pub mod stage;
pub mod store;
pub mod tools;
pub mod wait;
