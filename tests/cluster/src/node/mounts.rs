//! The node's own file system: it sees the machine's, but what it writes is in memory and ends with it.

use std::fs;
use std::path::Path;

use anyhow::{Context, Result};
use nix::mount::{MsFlags, mount};

/// Where the upper halves of the overlays lie.
const UPPER: &str = "/run/overlay";

/// Folders of the machine that the node may write to: a layer above them takes the changes.
const OVERLAID: [&str; 2] = ["/etc", "/var"];

/// Folders that start empty. The last two cannot lie on an overlay: containerd stacks overlays of its own on
/// its folder, and the kubelet measures the file system below its.
const EMPTY: [&str; 2] = ["/var/lib/containerd", "/var/lib/kubelet"];

/// Kernel settings that the kubelet insists on and would set for the whole machine. It is shown files that hold
/// the right values instead, so that the machine keeps its own.
const SETTINGS: [(&str, &str); 6] = [
    ("vm/overcommit_memory", "1"),
    ("vm/panic_on_oom", "0"),
    ("kernel/panic", "10"),
    ("kernel/panic_on_oops", "1"),
    ("kernel/keys/root_maxkeys", "1000000"),
    ("kernel/keys/root_maxbytes", "25000000"),
];

/// Replaces `/run`, `/proc` and what a node writes to. Only this mount namespace is changed.
///
/// # Errors
/// When a mount is refused; the message names it.
pub(super) fn make_own() -> Result<()> {
    // The process ids of this namespace, and no others.
    attach("proc", "/proc", "proc", "")?;
    attach("tmpfs", "/run", "tmpfs", "mode=755")?;
    for target in OVERLAID {
        let (upper, work) = (format!("{UPPER}{target}/upper"), format!("{UPPER}{target}/work"));
        for folder in [&upper, &work] {
            fs::create_dir_all(folder).with_context(|| format!("create {folder}"))?;
        }
        attach("overlay", target, "overlay", &format!("lowerdir={target},upperdir={upper},workdir={work}"))?;
    }
    for target in EMPTY {
        fs::create_dir_all(target).with_context(|| format!("create {target}"))?;
        attach("tmpfs", target, "tmpfs", "mode=755")?;
    }
    for (name, value) in SETTINGS {
        let file = Path::new("/run/sysctl").join(name.replace('/', "."));
        fs::create_dir_all("/run/sysctl").context("create /run/sysctl")?;
        fs::write(&file, value).with_context(|| format!("write {}", file.display()))?;
        let target = format!("/proc/sys/{name}");
        mount(Some(&file), target.as_str(), None::<&str>, MsFlags::MS_BIND, None::<&str>)
            .with_context(|| format!("bind {} to {target}", file.display()))?;
    }
    Ok(())
}

fn attach(source: &str, target: &str, kind: &str, options: &str) -> Result<()> {
    mount(Some(source), target, Some(kind), MsFlags::empty(), Some(options))
        .with_context(|| format!("mount {kind} on {target} with the options {options:?}"))
}
