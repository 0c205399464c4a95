//! The process that outlives the one that started a cluster, only to clean up behind it.
//!
//! The chain of processes, each of which ends the next:
//!
//! ```text
//! bootlace-cluster up|run    holds the lifeline, a pipe
//! └─ bootlace-cluster keeper     in a process group of its own: Ctrl-C does not reach it
//!    └─ unshare                  makes the namespaces; dies with the keeper, and its child with it
//!       └─ tini                  process 1 of the cluster: when it ends, the kernel ends all others
//!          └─ bootlace-cluster node  reads the lifeline: its end, for whatever reason, is the cluster's
//!             └─ etcd, kube-apiserver, kubelet, …
//! ```
//!
//! Mounts, network devices and addresses end with their namespaces. What is left for the keeper is the folder of
//! this run and the cgroups.

use std::path::Path;
use std::process::{Command, ExitCode};

use anyhow::{Context, Result};

use crate::cgroup;
use crate::command::this_program;
use crate::run::RunDir;

/// Starts the node in namespaces of its own, waits for its end and removes what it leaves. `revive` is the node's.
///
/// # Errors
/// When the namespaces cannot be made, or something could not be removed.
pub fn keep(run: &RunDir, tools: &Path, revive: bool) -> Result<ExitCode> {
    let _held = run.hold()?;
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
    // The node is over, so neither may keep the other from being removed.
    let groups = cgroup::remove(run.id());
    run.remove()?;
    groups?;
    Ok(if status.success() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// Removes what is left of clusters whose keeper was killed too. What cannot be removed is said and left: it is in
/// nobody's way.
///
/// # Errors
/// When the runs cannot be listed.
pub fn sweep() -> Result<()> {
    for run in RunDir::all()?.iter().filter(|run| run.is_abandoned()) {
        if let Err(error) = cgroup::remove(run.id()).and_then(|()| run.remove()) {
            eprintln!("an earlier cluster left something: {error:#}");
        }
    }
    Ok(())
}
