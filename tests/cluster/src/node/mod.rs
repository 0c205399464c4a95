//! The node: what runs inside the cluster's own namespaces, in the order it starts.
//!
//! Its addresses and paths are constants, because nobody else is in its namespaces: two clusters side by side
//! have the same ones.
//!
//! - `mounts`: its own `/etc`, `/run` and `/var`, in memory.
//! - `network`: its own devices and addresses.
//! - `pki`, `kubeconfig`: who may speak to whom.
//! - `component`: one program of the cluster, and its end.
//! - `programs`: which programs there are, and their flags.
//! - `ready`: what has to be true before pods can run.

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
use component::{AtEnd, Components};

/// The node's name in the cluster.
const NAME: &str = "node";
/// The node's address, where the API server, the kubelet and `CoreDNS` listen. Also in `node/*.yaml`.
pub const ADDRESS: &str = "10.99.0.1";
/// Where containerd listens, in the node's own `/run`. Also in `node/containerd.toml` and `node/kubelet.yaml`.
pub const CONTAINERD_SOCKET: &str = "/run/containerd/containerd.sock";
/// The API server's port.
const API_PORT: u16 = 6443;
/// The addresses of Services. `CoreDNS` has the tenth, in `node/cluster.yaml`.
const SERVICE_CIDR: &str = "10.96.0.0/16";
/// The first address of [`SERVICE_CIDR`], which is the API server's own Service.
const API_SERVICE: &str = "10.96.0.1";
/// Where the standard tools look for a control plane's files.
const KUBERNETES: &str = "/etc/kubernetes";

/// What the node writes to standard output when pods can run; its process id on the machine follows.
pub const READY: &str = "ready";

/// Starts everything, says [`READY`], and stays until the lifeline on standard input ends. With `revive`, a program that
/// ends is started again; else its end is the cluster's.
///
/// # Errors
/// When something does not start; the log's end of what failed is on standard error by then.
pub fn start(run: &RunDir, tools: &Path, revive: bool) -> Result<ExitCode> {
    // Before /proc is our own: this is the machine's, so the number is ours on the machine.
    let pid = std::fs::read_link("/proc/self").context("find our own process id on the machine")?;
    std::thread::spawn(end_with_lifeline);

    mounts::make_own()?;
    network::up()?;
    let authority = pki::write(&run.token_key())?;
    kubeconfig::write_all(&authority, &run.kubeconfig())?;

    let components = Components::new(run.logs(), if revive { AtEnd::Revive } else { AtEnd::End });
    programs::write_configuration()?;
    programs::start_storage(&components)?;
    programs::start_runtime(&components)?;
    programs::start_api_server(&components, tools)?;
    // The API server takes longest, so what does not need it comes first.
    components.explain("containerd", ready::images(&run.images()))?;
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

/// The lifeline's other end is held by the process that started the cluster: when that one ends, this does.
fn end_with_lifeline() {
    let mut nothing = [0; 1];
    while std::io::stdin().read(&mut nothing).is_ok_and(|read| read > 0) {}
    std::process::exit(0);
}
