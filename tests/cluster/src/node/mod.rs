//! The node: the processes inside the namespaces of the cluster, in the order in which they start.
//!
//! Addresses and paths are constants, because each cluster has separate namespaces. Two clusters on a machine
//! use the same ones.
//!
//! - `mounts`: separate `/etc`, `/run` and `/var`, in memory.
//! - `network`: network devices and addresses.
//! - `pki`, `kubeconfig`: certificates and kubeconfigs.
//! - `component`: starts a program of the cluster, and handles its exit.
//! - `programs`: the programs and their flags.
//! - `ready`: waits until pods can run.

mod component;
mod kubeconfig;
mod mounts;
mod network;
mod pki;
mod programs;
mod ready;

use std::io::Read;
use std::path::Path;
use std::process::ExitCode;

use anyhow::{Context, Result};

use crate::cgroup;
use crate::run::RunDir;
use component::{Components, OnExit};

/// The name of the node in the cluster.
const NAME: &str = "node";
/// The address of the node, on which the API server, the kubelet and `CoreDNS` listen. Also in `node/*.yaml`.
pub const ADDRESS: &str = "10.99.0.1";
/// The socket of containerd, in the `/run` of the node. Also in `node/containerd.toml` and
/// `node/kubelet.yaml`.
pub const CONTAINERD_SOCKET: &str = "/run/containerd/containerd.sock";
/// The port of the API server.
pub const API_PORT: u16 = 6443;
/// The addresses of Services. `CoreDNS` has the tenth, in `node/cluster.yaml`.
const SERVICE_CIDR: &str = "10.96.0.0/16";
/// The first address of [`SERVICE_CIDR`], which belongs to the Service of the API server.
const API_SERVICE: &str = "10.96.0.1";
/// The folder for the files of the control plane, as in kubeadm.
const KUBERNETES: &str = "/etc/kubernetes";

/// The word that the node writes to standard output when pods can run, followed by its process ID on the
/// machine.
pub const READY: &str = "ready";

/// Starts all programs, prints [`READY`], and runs until the lifeline on standard input is closed. With
/// `revive`, programs are restarted when they exit. Otherwise the cluster stops.
///
/// # Errors
/// If a program does not start. The end of its log is on standard error.
pub fn start(run: &RunDir, tools: &Path, revive: bool) -> Result<ExitCode> {
    // Must be read before /proc is replaced, so that it is the process ID on the machine.
    let pid = std::fs::read_link("/proc/self").context("read the process ID on the machine")?;
    std::thread::spawn(exit_with_lifeline);

    mounts::replace()?;
    network::set_up()?;
    let authority = pki::write(&run.token_key())?;
    kubeconfig::write_all(&authority, &run.kubeconfig())?;

    let components = Components::new(run.logs(), if revive { OnExit::Restart } else { OnExit::Stop });
    programs::write_configuration()?;
    programs::start_storage(&components, tools)?;
    programs::start_runtime(&components)?;
    programs::start_api_server(&components, tools)?;
    // Import the images while the API server starts.
    components.explain("containerd", ready::import_images(&run.images()))?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        let client = components.explain("kube-apiserver", ready::api_server(&run.kubeconfig()).await)?;
        ready::cluster_objects(&client).await?;
        programs::start_controllers(&components, tools)?;
        programs::start_dns(&components, tools)?;
        programs::start_kubelet(&components, tools, &cgroup::path(run.id()))?;
        components.explain("kubelet", ready::node(&client).await)?;
        components.explain("kube-controller-manager", ready::service_account(&client).await)?;
        components.explain("coredns", ready::dns())
    })?;

    println!("{READY} {}", pid.display());
    loop {
        std::thread::park();
    }
}

/// Exits when the process that started the cluster has exited, which closes the lifeline.
fn exit_with_lifeline() {
    let mut buffer = [0; 1];
    while std::io::stdin().read(&mut buffer).is_ok_and(|read| read > 0) {}
    std::process::exit(0);
}
