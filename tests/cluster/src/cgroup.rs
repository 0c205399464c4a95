//! The cgroup below which the node puts its containers, one in each hierarchy of the machine.
//!
//! With cgroup v2 there is one hierarchy, with v1 one a controller; both are found in the mount table.

use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result};

use crate::wait;

/// How long the kernel may take to let go of a cgroup whose last process is gone.
const REMOVAL: Duration = Duration::from_secs(10);

/// The cgroup's path from the hierarchy's root, as the kubelet takes it.
#[must_use]
pub fn path(id: &str) -> String {
    format!("/bootlace-cluster-{id}")
}

/// Makes it in every hierarchy.
///
/// # Errors
/// When a hierarchy is read-only, as in a container without rights over its cgroups.
pub fn create(id: &str) -> Result<()> {
    for folder in folders(id)? {
        enable_controllers(&folder)?;
        fs::create_dir(&folder).with_context(|| format!("create the cgroup {}", folder.display()))?;
        // In a v1 cpuset an empty list of CPUs lets no process in; a child that clones has its parent's.
        let clone = folder.join("cgroup.clone_children");
        if clone.exists() {
            fs::write(&clone, "1").with_context(|| format!("write {}", clone.display()))?;
            copy_cpuset(&folder)?;
        }
    }
    Ok(())
}

/// In a v2 hierarchy the root says which controllers the cgroups below it have; the kubelet wants them all.
fn enable_controllers(folder: &Path) -> Result<()> {
    let Some(root) = folder.parent() else { return Ok(()) };
    // The v1 hierarchies have no such file, and beside them a v2 hierarchy has no controllers.
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

/// Removes it from every hierarchy, with the cgroups below it. No process may be left in them.
///
/// # Errors
/// When one is still busy after a while.
pub fn remove(id: &str) -> Result<()> {
    for folder in folders(id)? {
        wait::until(REMOVAL, &format!("remove the cgroup {}", folder.display()), || remove_tree(&folder))?;
    }
    Ok(())
}

/// Removes the folders, deepest first; the kernel removes the files in them.
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

/// The mount points of file system type `cgroup` or `cgroup2` in the text of `/proc/self/mounts`.
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
