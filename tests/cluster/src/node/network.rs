//! The network of the node: loopback and one address, without a route to the outside.

use std::fs;
use std::process::Command;

use anyhow::{Context, Result, bail};

use super::{ADDRESS, SERVICE_CIDR};

/// Settings of this network namespace: the node forwards packets between pods, and applies the rules for
/// Services to them.
const SETTINGS: [&str; 2] = ["net/ipv4/ip_forward", "net/bridge/bridge-nf-call-iptables"];

/// Sets up the network.
///
/// # Errors
/// If a device, an address or a setting is rejected.
pub(super) fn set_up() -> Result<()> {
    ip("link set lo up")?;
    // The address is on a bridge, because minimal kernels do not have the type `dummy`.
    ip("link add node0 type bridge")?;
    ip(&format!("address add {ADDRESS}/24 dev node0"))?;
    ip("link set node0 up")?;
    // No host has the address of a Service. The API server needs a route for it to call webhooks: without
    // one, packets are dropped before the rules of kube-proxy send them to a pod.
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
