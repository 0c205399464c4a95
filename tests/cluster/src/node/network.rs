//! The node's own network: loopback and one address. No route leads out of it.

use std::fs;
use std::process::Command;

use anyhow::{Context, Result, bail};

use super::{ADDRESS, SERVICE_CIDR};

/// Settings of this network namespace: pods reach each other through the node, and Services by its rules.
const SETTINGS: [&str; 2] = ["net/ipv4/ip_forward", "net/bridge/bridge-nf-call-iptables"];

/// Brings the network up.
///
/// # Errors
/// When a device, an address or a setting is refused.
pub(super) fn up() -> Result<()> {
    ip("link set lo up")?;
    // A bridge carries the node's address, because small kernels have no type `dummy`.
    ip("link add node0 type bridge")?;
    ip(&format!("address add {ADDRESS}/24 dev node0"))?;
    ip("link set node0 up")?;
    // A Service's address is no host's: this only lets packets to it set out, so that kube-proxy's rules can send
    // them to a pod. The API server calls webhooks by it.
    ip(&format!("route add {SERVICE_CIDR} dev node0"))?;
    for name in SETTINGS {
        fs::write(format!("/proc/sys/{name}"), "1").with_context(|| format!("set {name} to 1"))?;
    }
    Ok(())
}

fn ip(arguments: &str) -> Result<()> {
    let output = Command::new("ip").args(arguments.split(' ')).output().context("start ip, of iproute2")?;
    if !output.status.success() {
        bail!("ip {arguments}: {}", String::from_utf8_lossy(&output.stderr).trim());
    }
    Ok(())
}
