//! The processes of this cluster: the descendants of its first process.
//!
//! Scenarios share only the network namespace of the cluster, so the process IDs here are those of the
//! machine.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context, Result};
use nix::sys::signal::{Signal, kill};
use nix::unistd::{Pid, SysconfVar, sysconf};

use crate::scenario;

/// The process tree of the node.
pub(crate) struct Node {
    /// Process 1 in the PID namespace of the cluster, which becomes the parent of orphaned processes.
    first: i32,
}

/// A process of the node.
pub(crate) struct Process {
    pid: i32,
    pub(crate) argv: Vec<String>,
}

impl Node {
    /// The node of the cluster in whose network this process runs.
    pub(crate) fn of_this_cluster() -> Result<Self> {
        let folder = scenario::kubeconfig()?;
        let folder = folder.parent().and_then(|folder| folder.file_name()).and_then(|name| name.to_str());
        let id = folder
            .and_then(|name| name.rsplit('-').next())
            .context("KUBECONFIG is not in the folder of a run")?;
        let is_node = |argv: &[String]| argv.get(1..4).is_some_and(|words| words == ["node", "--id", id]);
        let node = all().into_iter().find(|pid| is_node(&argv(*pid)));
        let node = node.with_context(|| format!("no node process found for cluster {id}"))?;
        Ok(Self { first: parent(node).context("the node process has no parent")? })
    }

    /// The CPU time of all processes except etcd and the control plane, including processes that have exited:
    /// the kernel adds their time to that of the process that waited for them, which is process 1 for
    /// orphans.
    pub(crate) fn cpu(&self) -> Result<Duration> {
        let is_control_plane = |argv: &[String]| {
            let program = argv.first().and_then(|path| path.rsplit('/').next());
            program.is_some_and(|program| {
                ["etcd", "kube-apiserver", "kube-controller-manager", "kube-scheduler"].contains(&program)
            })
        };
        let ticks: u64 =
            self.find(|process| !is_control_plane(&process.argv)).iter().map(Process::ticks).sum();
        let rate =
            sysconf(SysconfVar::CLK_TCK)?.context("the kernel does not report the length of a clock tick")?;
        Ok(Duration::from_millis(ticks * 1000 / u64::try_from(rate)?))
    }

    /// Kills one process that `matches` selects. If there are several, the random number `random` selects
    /// one. Returns whether a process was killed.
    pub(crate) fn kill(&self, random: u64, matches: impl Fn(&Process) -> bool) -> bool {
        let found = self.find(matches);
        let at = usize::try_from(random).unwrap_or_default().checked_rem(found.len()).unwrap_or_default();
        found.get(at).is_some_and(|process| kill(Pid::from_raw(process.pid), Signal::SIGKILL).is_ok())
    }

    /// The processes that `matches` selects.
    pub(crate) fn find(&self, matches: impl Fn(&Process) -> bool) -> Vec<Process> {
        let parents: BTreeMap<_, _> = all().into_iter().filter_map(|pid| Some((pid, parent(pid)?))).collect();
        let mut descendants = BTreeSet::from([self.first]);
        let is_descendant = |mut pid: i32, descendants: &mut BTreeSet<i32>| {
            let mut ancestors = Vec::new();
            while let Some(&parent) = parents.get(&pid) {
                if descendants.contains(&pid) {
                    descendants.extend(ancestors);
                    return true;
                }
                ancestors.push(pid);
                pid = parent;
            }
            false
        };
        let mut processes: Vec<_> = Vec::new();
        for &pid in parents.keys() {
            if is_descendant(pid, &mut descendants) {
                processes.push(Process { pid, argv: argv(pid) });
            }
        }
        processes.retain(matches);
        processes
    }
}

impl Process {
    /// Whether the process is in a container of the pod. The kubelet puts the UID of the pod in the name of
    /// the cgroup.
    pub(crate) fn is_in_pod(&self, uid: &str) -> bool {
        let cgroup = fs::read_to_string(file(self.pid, "cgroup")).unwrap_or_default();
        !uid.is_empty() && cgroup.contains(&format!("/pod{uid}"))
    }

    /// The CPU time of the process and of the children that it has waited for, in clock ticks. 0 if it has
    /// exited.
    fn ticks(&self) -> u64 {
        // utime to cstime, see proc_pid_stat(5).
        let fields = stat(self.pid).unwrap_or_default();
        fields.iter().skip(11).take(4).filter_map(|field| field.parse::<u64>().ok()).sum()
    }

    /// The field `name` of `smaps_rollup` (proc(5)), in bytes.
    pub(crate) fn memory(&self, name: &str) -> Result<u64> {
        let path = file(self.pid, "smaps_rollup");
        let all = fs::read_to_string(&path).with_context(|| format!("read {}", path.display()))?;
        let line = all.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'));
        let number =
            line.and_then(|rest| rest.trim().strip_suffix(" kB")).with_context(|| format!("no {name}"))?;
        Ok(number.trim().parse::<u64>()? * 1024)
    }

    /// The peak memory usage of the container of the process, in bytes.
    pub(crate) fn cgroup_peak(&self) -> Result<u64> {
        let cgroups =
            fs::read_to_string(file(self.pid, "cgroup")).context("read the cgroups of the process")?;
        let path_for = |controllers: &str| {
            cgroups
                .lines()
                .find_map(|line| line.split_once(':')?.1.strip_prefix(controllers)?.strip_prefix(":/"))
        };
        let path = match (path_for("memory"), path_for("")) {
            (Some(path), _) => format!("/sys/fs/cgroup/memory/{path}/memory.max_usage_in_bytes"),
            (None, Some(path)) => format!("/sys/fs/cgroup/{path}/memory.peak"),
            (None, None) => anyhow::bail!("the process is in no cgroup with a memory controller"),
        };
        let bytes = fs::read_to_string(&path).with_context(|| format!("read {path}"))?;
        Ok(bytes.trim().parse()?)
    }
}

/// All processes of the machine.
fn all() -> Vec<i32> {
    let entries = fs::read_dir("/proc").into_iter().flatten();
    entries.filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok()).collect()
}

/// The parent of a process. `None` if the process has exited.
fn parent(pid: i32) -> Option<i32> {
    stat(pid)?.get(1)?.parse().ok()
}

/// The fields of `proc_pid_stat(5)`, starting with the state. `None` if the process has exited.
fn stat(pid: i32) -> Option<Vec<String>> {
    let stat = fs::read_to_string(file(pid, "stat")).ok()?;
    // The name before the state is in parentheses and can contain any character.
    Some(stat.rsplit_once(')')?.1.split_whitespace().map(str::to_owned).collect())
}

fn argv(pid: i32) -> Vec<String> {
    let bytes = fs::read(file(pid, "cmdline")).unwrap_or_default();
    let words = bytes.split(|byte| *byte == 0).map(|word| String::from_utf8_lossy(word).into_owned());
    let mut words: Vec<_> = words.collect();
    // Each word ends with a NUL.
    words.pop();
    words
}

fn file(pid: i32, name: &str) -> PathBuf {
    format!("/proc/{pid}/{name}").into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_process_descends_from_its_parent_only() {
        let own = i32::try_from(std::process::id()).unwrap();
        let node = Node { first: parent(own).unwrap() };
        let found = node.find(|process| process.pid == own);
        assert_eq!(found.len(), 1);
        assert_eq!(found[0].argv, std::env::args().collect::<Vec<_>>());
        assert!(Node { first: own }.find(|process| process.pid == node.first).is_empty());
        assert!(!found[0].is_in_pod(""));
    }

    #[test]
    fn the_cpu_of_a_child_that_was_waited_for_counts() {
        let node = Node { first: i32::try_from(std::process::id()).unwrap() };
        let before = node.cpu().unwrap();
        let spin = "i=0; while [ $i -lt 200000 ]; do i=$((i + 1)); done";
        assert!(std::process::Command::new("sh").args(["-c", spin]).status().unwrap().success());
        assert!(node.cpu().unwrap() > before);
    }
}
