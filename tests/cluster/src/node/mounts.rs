//! The file system of the node: that of the machine, with changes only in memory.

use std::fs;
use std::path::Path;

use anyhow::{Context, Result};
use nix::mount::{MsFlags, mount};

/// The folder of the upper layers of the overlays.
const UPPER: &str = "/run/overlay";

/// Folders of the machine that the node can change, through an overlay.
const OVERLAID: [&str; 2] = ["/etc", "/var"];

/// Folders that are empty at the start. They cannot be on an overlay: containerd mounts overlays on its
/// folder, and the kubelet measures the file system of its folder.
const EMPTY: [&str; 2] = ["/var/lib/containerd", "/var/lib/kubelet"];

/// Kernel settings that the kubelet requires and would change for the whole machine. Files with these values
/// are mounted over them, so that the kubelet does not change them.
const SETTINGS: [(&str, &str); 6] = [
    ("vm/overcommit_memory", "1"),
    ("vm/panic_on_oom", "0"),
    ("kernel/panic", "10"),
    ("kernel/panic_on_oops", "1"),
    ("kernel/keys/root_maxkeys", "1000000"),
    ("kernel/keys/root_maxbytes", "25000000"),
];

/// Replaces `/run`, `/proc` and the folders that a node writes to. Changes only this mount namespace.
///
/// # Errors
/// If a mount fails. The message contains its target.
pub(super) fn replace() -> Result<()> {
    // Shows the processes of this PID namespace.
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
