//! The arguments of the harness.

use std::path::PathBuf;

use bootlace_cluster::bench;
use bootlace_cluster::tools::Kubernetes;
use clap::{Args, Parser, ValueEnum};

/// The scheduler of the demo, unless another one is named.
pub(crate) const AIRFLOW: &str = "airflow";

/// A temporary single-node Kubernetes cluster in separate Linux namespaces.
#[derive(Parser)]
#[command(version)]
pub(crate) enum Arguments {
    /// Build everything that a cluster needs, so that later runs start immediately.
    Prepare {
        #[command(flatten)]
        release: Release,
        /// Build the real clients of all schedulers too, or of those whose names contain one of the names.
        #[arg(long)]
        schedulers: bool,
        /// The names.
        #[arg(requires = "schedulers")]
        names: Vec<String>,
    },
    /// Start a cluster, print how to connect to it, and stop it on Ctrl-C.
    Up {
        #[command(flatten)]
        release: Release,
        /// Do not install Bootlace.
        #[arg(long)]
        bare: bool,
    },
    /// Start a cluster, run a command in its network with KUBECONFIG set, and stop the cluster. Exits with
    /// the exit code of the command.
    Run {
        #[command(flatten)]
        release: Release,
        /// Do not install Bootlace.
        #[arg(long)]
        bare: bool,
        /// The command and its arguments.
        #[arg(required = true, last = true)]
        command: Vec<String>,
    },
    /// Start a cluster with Bootlace and run the scenarios on it.
    Test {
        #[command(flatten)]
        release: Release,
        #[command(flatten)]
        on: On,
        /// Build cert-manager, and run only the scenario that needs it.
        #[arg(long, conflicts_with = "names")]
        cert_manager: bool,
        /// Build the previous version of Bootlace, and run only the scenarios that need it.
        #[arg(long, conflicts_with_all = ["names", "cert_manager"])]
        previous: bool,
        /// Build the real clients of all schedulers whose names contain one of the names, and run only their
        /// scenarios.
        #[arg(long, conflicts_with_all = ["cert_manager", "previous"])]
        schedulers: bool,
        /// Run only scenarios whose names contain one of these.
        names: Vec<String>,
    },
    /// Build the release image of Bootlace as an OCI archive, and print its name, digest and file.
    Image {
        /// The file to write.
        #[arg(long, default_value = "dist/bootlace.tar")]
        output: PathBuf,
    },
    /// Print the path of a program (`helm`, `kubectl`), and build it if it is not in the cache.
    Tool {
        /// The program.
        name: String,
    },
    /// Run an Airflow DAG on a cluster with Bootlace, and show how its pods change.
    Demo {
        #[command(flatten)]
        on: On,
        /// Run a workflow of this scheduler instead.
        #[arg(long, default_value = AIRFLOW)]
        scheduler: String,
    },
    /// Start a cluster with Bootlace, run tasks with outputs on it, kill one process during each, and print
    /// the results.
    Kill(Kill),
    /// Start a cluster with Bootlace, run tasks that submit a job to a remote system on it, end each at a
    /// random moment, and print which jobs were cancelled.
    Abort(Kill),
    /// Start a cluster with Bootlace, and measure the cost of outputs and of the hook for docs/figures.md.
    Bench(Bench),
    /// Internal: run the pods of `bench`, inside the network of the cluster.
    #[command(hide = true)]
    Benched(Bench),
    /// Internal: run the tasks of `kill`, inside the network of the cluster.
    #[command(hide = true)]
    Killings(Kill),
    /// Internal: run the tasks of `abort`, inside the network of the cluster.
    #[command(hide = true)]
    Aborts(Kill),
    /// Internal: run the chapters of the demo, inside the network of the cluster.
    #[command(hide = true)]
    Story {
        /// The scheduler, if it is not Airflow.
        #[arg(long)]
        scheduler: Option<String>,
    },
    /// Internal: the process that cleans up after a cluster.
    #[command(hide = true)]
    Keeper(Inside),
    /// Internal: the node.
    #[command(hide = true)]
    Node(Inside),
}

/// The version of the cluster.
#[derive(Args)]
pub(crate) struct Release {
    /// The version of Kubernetes.
    #[arg(long, value_enum, default_value_t)]
    pub(crate) kubernetes: Kubernetes,
}

/// The cluster to use.
#[derive(Args)]
pub(crate) struct On {
    /// A temporary cluster, or the cluster of the current context of the kubeconfig.
    #[arg(long, value_enum, default_value_t)]
    pub(crate) cluster: Which,
    /// With `current`: the registry, `host:port/path`, to push the images to, and from which the nodes pull
    /// them. Without it, the images are loaded with the tool that created the cluster: kind, k3d, minikube,
    /// or ctr or nerdctl if the node is this machine (`CONTAINERD_ADDRESS` overrides the default socket of
    /// containerd).
    #[arg(long, env = "REGISTRY")]
    pub(crate) registry: Option<String>,
}

/// The kind of cluster.
#[derive(Clone, Copy, Default, PartialEq, Eq, ValueEnum)]
pub(crate) enum Which {
    /// A temporary cluster, which ends with this command.
    #[default]
    Own,
    /// An existing cluster. Bootlace is installed on it, and removed at the end.
    Current,
}

/// Identifies the cluster for one of its internal processes.
#[derive(Args)]
pub(crate) struct Inside {
    /// The ID of the run.
    #[arg(long)]
    pub(crate) id: String,
    /// The folder with the programs of the cluster.
    #[arg(long)]
    pub(crate) tools: PathBuf,
    /// Restart programs that exit, instead of stopping the cluster.
    #[arg(long)]
    pub(crate) revive: bool,
}

/// The amount of work of `kill` and `abort`.
#[derive(Args)]
pub(crate) struct Kill {
    /// The number of tasks.
    #[arg(long, default_value_t = 200)]
    pub(crate) runs: u32,
    /// The number of tasks that run at the same time.
    #[arg(long, default_value_t = 4)]
    pub(crate) at_once: usize,
    /// The seed of the random numbers. Random by default.
    #[arg(long)]
    pub(crate) seed: Option<u64>,
}

/// The amount of work of `bench`.
#[derive(Args)]
pub(crate) struct Bench {
    /// The number of pods of each kind.
    #[arg(long, default_value_t = 20)]
    pub(crate) rounds: u32,
    /// The sections to measure.
    #[arg(value_enum, default_values_t = [bench::Section::Outputs, bench::Section::Hook])]
    pub(crate) sections: Vec<bench::Section>,
}
