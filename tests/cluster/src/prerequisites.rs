//! What the machine must have: checked, installed where that can be done, else named in one line each.

use std::path::Path;

use anyhow::{Context, Result, bail};
use bootlace_image::product;

use crate::command::{command, output};
use crate::debian;
use crate::stage::stage;

/// Kernel modules that a node needs, and a file that is there when the kernel has them.
const MODULES: [(&str, &str); 2] =
    [("br_netfilter", "/proc/sys/net/bridge"), ("overlay", "/sys/module/overlay")];

/// Checks the machine and installs the Debian packages that are missing.
///
/// # Errors
/// When something is missing that cannot be installed from here; each is named with its remedy.
pub async fn ensure() -> Result<()> {
    let mut problems = Vec::new();
    if !nix::unistd::geteuid().is_root() {
        problems
            .push("root is missing: containers and network namespaces need it. Run this as root".to_owned());
    } else if let Err(error) =
        output(command("unshare").args(["--net", "--pid", "--mount", "--fork", "true"])).await
    {
        problems.push(format!("the right to make namespaces is missing: {error}. Run this on a machine or VM of its own, or in a privileged container"));
    }
    for (program, remedy) in [
        ("cargo", "install Rust with rustup"),
        ("go", "install the Go that tests/cluster/tools/go.mod asks for, from Debian's backports or go.dev"),
        ("apt-get", "use Debian 12: the node's programs are Debian's packages"),
    ] {
        if find(program).is_none() {
            problems.push(format!("{program} is missing: {remedy}"));
        }
    }
    if find("go").is_some() {
        problems.extend(go_is_too_old().await?);
    }
    if find("rustc").is_some() {
        problems.extend(target_is_missing().await?);
    }
    refuse(&problems)?;

    let mut missing = debian::missing().await?;
    if find("npm").is_some() {
        // Node's own packages bring an npm that Debian's would stand in the way of.
        missing.retain(|package| *package != "npm");
    }
    if !missing.is_empty() {
        let what = format!("installing Debian's {}", missing.join(", "));
        stage(&what, debian::install(&missing)).await?;
    }
    for (module, sign) in MODULES {
        let there = Path::new(sign).exists() || built_in(module)?;
        if !there && let Err(error) = output(command("/sbin/modprobe").arg(module)).await {
            problems
                .push(format!("the kernel module {module} is missing: {error}. Use a kernel that has it"));
        }
    }
    refuse(&problems)
}

fn refuse(problems: &[String]) -> Result<()> {
    if !problems.is_empty() {
        bail!("this machine lacks what the cluster needs:\n  {}", problems.join("\n  "));
    }
    Ok(())
}

fn find(program: &str) -> Option<std::path::PathBuf> {
    let path = std::env::var_os("PATH")?;
    std::env::split_paths(&path).map(|folder| folder.join(program)).find(|file| file.exists())
}

/// A file system is built in when the kernel lists it, whether or not a module of that name is loaded.
fn built_in(module: &str) -> Result<bool> {
    let systems = std::fs::read_to_string("/proc/filesystems").context("list the kernel's file systems")?;
    Ok(systems.lines().any(|line| line.split_whitespace().last() == Some(module)))
}

async fn go_is_too_old() -> Result<Option<String>> {
    let tools = Path::new(env!("CARGO_MANIFEST_DIR")).join("tools");
    // Go itself compares its version with the one in go.mod, and says what it would need.
    let answer = output(command("go").current_dir(tools).args(["list", "-m"])).await;
    Ok(answer.err().map(|error| format!("Go is too old: {error}")))
}

async fn target_is_missing() -> Result<Option<String>> {
    let target = product::TARGET;
    let folder = output(command("rustc").args(["--print", "target-libdir", "--target", target])).await?;
    let there = Path::new(folder.trim()).exists();
    Ok((!there).then(|| format!("Rust's target {target} is missing: run `rustup target add {target}`")))
}
