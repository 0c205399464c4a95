//! The process that cleans up after a cluster. It outlives the process that started the cluster.
//!
//! The chain of processes, in which the end of each one ends the next:
//!
//! ```text
//! bootlace-cluster up|run    has the write end of the lifeline, a pipe
//! └─ bootlace-cluster keeper     in a separate process group, so that Ctrl-C does not reach it
//!    └─ unshare                  creates the namespaces; is killed with the keeper, and its child with it
//!       └─ tini                  process 1 of the cluster: when it exits, the kernel kills all others
//!          └─ bootlace-cluster node  reads the lifeline, and exits when the pipe is closed
//!             └─ etcd, kube-apiserver, kubelet, …
//! ```
//!
//! Mounts, network devices and addresses are removed with their namespaces. The keeper removes the folder of
//! the run and the cgroups.

use std::path::Path;
use std::process::{Command, ExitCode};

use anyhow::{Context, Result};

use crate::cgroup;
use crate::command::this_program;
use crate::run::RunDir;

/// Starts the node in separate namespaces, waits until it exits, and cleans up. The node gets `revive`.
///
/// # Errors
/// If the namespaces cannot be created, or something cannot be removed.
pub fn keep(run: &RunDir, tools: &Path, revive: bool) -> Result<ExitCode> {
    let _lock = run.lock()?;
    cgroup::create(run.id())?;
    let status = Command::new("setpriv")
        .args([
            "--pdeathsig",
            "KILL",
            "--",
            "unshare",
            "--net",
            "--pid",
            "--mount",
            "--fork",
            "--kill-child",
            "--",
            "tini",
            "--",
        ])
        .arg(this_program())
        .args(["node", "--id", run.id(), "--tools"])
        .arg(tools)
        .args(revive.then_some("--revive"))
        .status()
        .context("start setpriv, of the package util-linux")?;
    // Remove the folder even if the cgroups cannot be removed.
    let cgroups_removed = cgroup::remove(run.id());
    run.remove()?;
    cgroups_removed?;
    Ok(if status.success() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// Removes the files and cgroups of clusters whose keeper was killed too. If this fails, it prints the error
/// and continues, because they do not affect other clusters.
///
/// # Errors
/// If the runs cannot be listed.
pub fn sweep() -> Result<()> {
    for run in RunDir::all()?.iter().filter(|run| run.is_abandoned()) {
        if let Err(error) = cgroup::remove(run.id()).and_then(|()| run.remove()) {
            eprintln!("failed to clean up after an earlier cluster: {error:#}");
        }
    }
    Ok(())
}
