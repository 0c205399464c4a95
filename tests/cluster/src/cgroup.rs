//! The parent cgroup of the node's containers, in each cgroup hierarchy of the machine.
//!
//! cgroup v2 has one hierarchy, v1 has one for each controller. The mount table lists them.

use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result};

use crate::wait;

/// The timeout for removing a cgroup after its last process has exited.
const REMOVAL: Duration = Duration::from_secs(10);

/// The path of the cgroup, relative to the root of the hierarchy, for the kubelet.
#[must_use]
pub fn path(id: &str) -> String {
    format!("/bootlace-cluster-{id}")
}

/// Creates the cgroup in every hierarchy.
///
/// # Errors
/// If a hierarchy is read-only, as in an unprivileged container.
pub fn create(id: &str) -> Result<()> {
    for folder in folders(id)? {
        enable_controllers(&folder)?;
        fs::create_dir(&folder).with_context(|| format!("create the cgroup {}", folder.display()))?;
        // A v1 cpuset with an empty list of CPUs accepts no processes. With clone_children, children copy the
        // list.
        let clone = folder.join("cgroup.clone_children");
        if clone.exists() {
            fs::write(&clone, "1").with_context(|| format!("write {}", clone.display()))?;
            copy_cpuset(&folder)?;
        }
    }
    Ok(())
}

/// Enables all controllers for the children of the root in a v2 hierarchy, as the kubelet requires.
fn enable_controllers(folder: &Path) -> Result<()> {
    let Some(root) = folder.parent() else { return Ok(()) };
    // v1 hierarchies do not have this file, and a v2 hierarchy that is mounted in addition to them has no
    // controllers.
    let Ok(controllers) = fs::read_to_string(root.join("cgroup.controllers")) else { return Ok(()) };
    for controller in controllers.split_whitespace() {
        let file = root.join("cgroup.subtree_control");
        fs::write(&file, format!("+{controller}"))
            .with_context(|| format!("enable {controller} in {}", file.display()))?;
    }
    Ok(())
}

fn copy_cpuset(folder: &Path) -> Result<()> {
    for name in ["cpuset.cpus", "cpuset.mems"] {
        let Some(parent) = folder.parent().map(|parent| parent.join(name)).filter(|file| file.exists())
        else {
            continue;
        };
        let value = fs::read(&parent).with_context(|| format!("read {}", parent.display()))?;
        fs::write(folder.join(name), value)
            .with_context(|| format!("write {name} of {}", folder.display()))?;
    }
    Ok(())
}

/// Removes the cgroup and its descendants from every hierarchy. All their processes must have exited.
///
/// # Errors
/// If one is still busy after [`REMOVAL`].
pub fn remove(id: &str) -> Result<()> {
    for folder in folders(id)? {
        let problem = format!("failed to remove the cgroup {}", folder.display());
        wait::until(REMOVAL, &problem, || remove_tree(&folder))?;
    }
    Ok(())
}

/// Removes the folders, deepest first. The kernel removes the files in them.
fn remove_tree(folder: &Path) -> Result<()> {
    let entries = match fs::read_dir(folder) {
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(()),
        entries => entries?,
    };
    for entry in entries {
        let entry = entry?;
        if entry.file_type()?.is_dir() {
            remove_tree(&entry.path())?;
        }
    }
    fs::remove_dir(folder)?;
    Ok(())
}

fn folders(id: &str) -> Result<Vec<PathBuf>> {
    let mounts = fs::read_to_string("/proc/self/mounts").context("read the mount table")?;
    let roots: Vec<PathBuf> = hierarchies(&mounts).map(PathBuf::from).collect();
    Ok(roots.into_iter().map(|root| root.join(path(id).trim_start_matches('/'))).collect())
}

/// The mount points of the file system types `cgroup` and `cgroup2` in the text of `/proc/self/mounts`.
fn hierarchies(mounts: &str) -> impl Iterator<Item = &str> {
    mounts.lines().filter_map(|line| {
        let mut fields = line.split(' ').skip(1);
        let (target, kind) = (fields.next()?, fields.next()?);
        matches!(kind, "cgroup" | "cgroup2").then_some(target)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hierarchies_of_both_versions_are_found() {
        let v2 = "cgroup2 /sys/fs/cgroup cgroup2 rw,nosuid 0 0\nproc /proc proc rw 0 0\n";
        assert_eq!(hierarchies(v2).collect::<Vec<_>>(), ["/sys/fs/cgroup"]);
        let v1 = "tmpfs /sys/fs/cgroup tmpfs rw 0 0\ncgroup /sys/fs/cgroup/cpu cgroup rw,cpu 0 0\n";
        assert_eq!(hierarchies(v1).collect::<Vec<_>>(), ["/sys/fs/cgroup/cpu"]);
    }
}
