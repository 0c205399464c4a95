//! The processes of this cluster, and of no other: what descends from its first one.
//!
//! They are seen from outside of the cluster's own process ids, as a scenario shares only its network.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context, Result};
use nix::sys::signal::{Signal, kill};
use nix::unistd::{Pid, SysconfVar, sysconf};

use crate::scenario;

/// The cluster's node, as a tree of processes.
pub(crate) struct Node {
    /// Process 1 of the cluster's process ids: whatever loses its parent becomes its child.
    first: i32,
}

/// A process.
pub(crate) struct Process {
    pid: i32,
    pub(crate) argv: Vec<String>,
}

impl Node {
    /// That of the cluster which this process was started on.
    pub(crate) fn of_this_cluster() -> Result<Self> {
        let folder = scenario::kubeconfig()?;
        let folder = folder.parent().and_then(|folder| folder.file_name()).and_then(|name| name.to_str());
        let id =
            folder.and_then(|name| name.rsplit('-').next()).context("KUBECONFIG is in no run's folder")?;
        let is_node = |argv: &[String]| argv.get(1..4).is_some_and(|words| words == ["node", "--id", id]);
        let node = all().into_iter().find(|pid| is_node(&argv(*pid)));
        let node = node.with_context(|| format!("the cluster {id} has no node"))?;
        Ok(Self { first: parent(node).context("the node has no parent")? })
    }

    /// CPU time that all of it has used but etcd and the control plane, those that have ended included: a process that
    /// was waited for counts with the one that waited, and process 1 waits for those that lost theirs.
    pub(crate) fn cpu(&self) -> Result<Duration> {
        let is_control = |argv: &[String]| {
            let program = argv.first().and_then(|path| path.rsplit('/').next());
            program.is_some_and(|program| {
                ["etcd", "kube-apiserver", "kube-controller-manager", "kube-scheduler"].contains(&program)
            })
        };
        let ticks: u64 = self.find(|process| !is_control(&process.argv)).iter().map(Process::ticks).sum();
        let rate = sysconf(SysconfVar::CLK_TCK)?.context("the kernel does not say how long a tick is")?;
        Ok(Duration::from_millis(ticks * 1000 / u64::try_from(rate)?))
    }

    /// Kills one process that `is` says is the one; where there are several, the one that `chance` falls on. Whether
    /// there was any.
    pub(crate) fn kill(&self, chance: u64, is: impl Fn(&Process) -> bool) -> bool {
        let found = self.find(is);
        // Not as many as would not fit.
        let at = usize::try_from(chance).unwrap_or_default().checked_rem(found.len()).unwrap_or_default();
        found.get(at).is_some_and(|process| kill(Pid::from_raw(process.pid), Signal::SIGKILL).is_ok())
    }

    /// The processes that `is` says are the ones.
    pub(crate) fn find(&self, is: impl Fn(&Process) -> bool) -> Vec<Process> {
        let parents: BTreeMap<_, _> = all().into_iter().filter_map(|pid| Some((pid, parent(pid)?))).collect();
        let mut ours = BTreeSet::from([self.first]);
        let descends = |mut pid: i32, ours: &mut BTreeSet<i32>| {
            let mut way = Vec::new();
            while let Some(&above) = parents.get(&pid) {
                if ours.contains(&pid) {
                    ours.extend(way);
                    return true;
                }
                way.push(pid);
                pid = above;
            }
            false
        };
        let mut processes: Vec<_> = Vec::new();
        for &pid in parents.keys() {
            if descends(pid, &mut ours) {
                processes.push(Process { pid, argv: argv(pid) });
            }
        }
        processes.retain(is);
        processes
    }
}

impl Process {
    /// Whether it is in a container of the pod: the kubelet names the cgroup by the pod's uid.
    pub(crate) fn is_in_pod(&self, uid: &str) -> bool {
        let cgroup = fs::read_to_string(file(self.pid, "cgroup")).unwrap_or_default();
        !uid.is_empty() && cgroup.contains(&format!("/pod{uid}"))
    }

    /// Clock ticks that it ran, with what it waited for; none where it has ended meanwhile.
    fn ticks(&self) -> u64 {
        // From utime to cstime, proc_pid_stat(5).
        let fields = stat(self.pid).unwrap_or_default();
        fields.iter().skip(11).take(4).filter_map(|field| field.parse::<u64>().ok()).sum()
    }

    /// A figure of its memory by its name in `smaps_rollup` (proc(5)), in bytes.
    pub(crate) fn memory(&self, name: &str) -> Result<u64> {
        let path = file(self.pid, "smaps_rollup");
        let all = fs::read_to_string(&path).with_context(|| format!("read {}", path.display()))?;
        let line = all.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'));
        let number =
            line.and_then(|rest| rest.trim().strip_suffix(" kB")).with_context(|| format!("no {name}"))?;
        Ok(number.trim().parse::<u64>()? * 1024)
    }

    /// The most memory that its container was ever charged with, in bytes.
    pub(crate) fn cgroup_peak(&self) -> Result<u64> {
        let cgroups = fs::read_to_string(file(self.pid, "cgroup")).context("read its cgroups")?;
        let of = |controllers: &str| {
            cgroups
                .lines()
                .find_map(|line| line.split_once(':')?.1.strip_prefix(controllers)?.strip_prefix(":/"))
        };
        let path = match (of("memory"), of("")) {
            (Some(path), _) => format!("/sys/fs/cgroup/memory/{path}/memory.max_usage_in_bytes"),
            (None, Some(path)) => format!("/sys/fs/cgroup/{path}/memory.peak"),
            (None, None) => anyhow::bail!("no cgroup counts its memory"),
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

/// None where it has ended.
fn parent(pid: i32) -> Option<i32> {
    stat(pid)?.get(1)?.parse().ok()
}

/// The fields of `proc_pid_stat(5)` from the state on. None where it has ended.
fn stat(pid: i32) -> Option<Vec<String>> {
    let stat = fs::read_to_string(file(pid, "stat")).ok()?;
    // The name before it, in parentheses, may hold anything.
    Some(stat.rsplit_once(')')?.1.split_whitespace().map(str::to_owned).collect())
}

fn argv(pid: i32) -> Vec<String> {
    let bytes = fs::read(file(pid, "cmdline")).unwrap_or_default();
    let words = bytes.split(|byte| *byte == 0).map(|word| String::from_utf8_lossy(word).into_owned());
    let mut words: Vec<_> = words.collect();
    // Each is ended by a NUL.
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
    fn this_process_descends_from_its_parent_and_from_nobody_else() {
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
