//! The process that outlives the one that started a cluster, only to clean up behind it.
//!
//! The chain of processes, each of which ends the next:
//!
//! ```text
//! bootlace-cluster up|run    holds the lifeline, a pipe
//! └─ bootlace-cluster keeper     in a process group of its own: Ctrl-C does not reach it
//!    └─ unshare                  makes the namespaces, dies with its child and its child with it
//!       └─ tini                  process 1 of the cluster: when it ends, the kernel ends all others
//!          └─ bootlace-cluster node  reads the lifeline: its end, for whatever reason, is the cluster's
//!             └─ etcd, kube-apiserver, kubelet, …
//! ```
//!
//! Mounts, network devices and addresses end with their namespaces. What is left for the keeper is the folder of
//! this run and the cgroups.

use std::fs::File;
use std::path::Path;
use std::process::{Command, ExitCode};

use anyhow::{Context, Result};

use crate::cgroup;
use crate::run::RunDir;

/// Starts the node in namespaces of its own, waits for its end and removes what it leaves.
///
/// # Errors
/// When the namespaces cannot be made, or something could not be removed.
pub fn keep(run: &RunDir, tools: &Path) -> Result<ExitCode> {
    let lock = File::create(run.lock()).with_context(|| format!("create {}", run.lock().display()))?;
    lock.lock().context("lock the run's folder")?;
    cgroup::create(run.id())?;
    let status = Command::new("unshare")
        .args(["--net", "--pid", "--mount", "--fork", "--kill-child", "--", "tini", "--"])
        .arg(std::env::current_exe().context("find this program")?)
        .args(["node", "--id", run.id(), "--tools"])
        .arg(tools)
        .status()
        .context("start unshare, of the package util-linux")?;
    // The node is over, so neither may keep the other from being removed.
    let groups = cgroup::remove(run.id());
    run.remove()?;
    groups?;
    Ok(if status.success() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// Removes what is left of clusters whose keeper was killed too.
///
/// # Errors
/// When something could not be removed.
pub fn sweep() -> Result<()> {
    for run in RunDir::all()? {
        // A keeper holds its lock as long as it lives. A run without the file has not come that far yet.
        let abandoned = File::open(run.lock()).is_ok_and(|lock| lock.try_lock().is_ok());
        if abandoned {
            cgroup::remove(run.id())?;
            run.remove()?;
        }
    }
    Ok(())
}
