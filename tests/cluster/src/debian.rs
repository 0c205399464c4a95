//! Debian's packages: which are missing, and installing them without starting the services in them.

use std::fs::{self, OpenOptions};
use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use anyhow::{Context, Result};

use crate::command::{command, output};

/// Packages and what each is here for.
pub const PACKAGES: [(&str, &str); 16] = [
    ("busybox-static", "the programs in the test image"),
    ("ca-certificates", "the authorities of the package registries"),
    ("conntrack", "kube-proxy clears stale UDP flows with it"),
    ("containerd", "the node's container runtime"),
    ("containernetworking-plugins", "the pods' network devices"),
    ("docker-registry", "the registry that boot is tested against"),
    ("etcd-server", "the API server's storage"),
    ("gcc", "links, and compiles the few C files among the dependencies"),
    ("iproute2", "the node's network device"),
    ("iptables", "kube-proxy's rules"),
    ("kmod", "loads kernel modules"),
    ("libc6-dev", "linking"),
    ("npm", "the Azure Blob server of the tests, and Node, which runs it"),
    ("python3-venv", "Airflow's environment"),
    ("runc", "starts containers"),
    ("tini", "process 1 of the cluster"),
    ("util-linux", "unshare, nsenter, setpriv"),
];

/// Services in those packages, which Debian would start now and at each boot.
const SERVICES: [&str; 3] = ["containerd", "docker-registry", "etcd"];

/// What Debian's packaging asks before it starts a service.
const POLICY: &str = "/usr/sbin/policy-rc.d";

/// The packages that are not installed.
///
/// # Errors
/// When dpkg is not there.
pub async fn missing() -> Result<Vec<&'static str>> {
    let mut dpkg = command("dpkg-query");
    dpkg.args(["--show", "--showformat", "${db:Status-Status} ${Package}\\n"]);
    let listed = output(&mut dpkg).await?;
    let names = PACKAGES.iter().map(|(name, _)| *name);
    Ok(names
        .filter(|name| !listed.lines().any(|line| line.strip_prefix("installed ") == Some(name)))
        .collect())
}

/// Installs the packages. No service of theirs is started, and none that comes with them is enabled.
///
/// # Errors
/// When apt-get fails; what it says is in the message.
pub async fn install(packages: &[&str]) -> Result<()> {
    let policy = Policy::deny_services()?;
    let apt = |arguments: &[&str]| {
        let mut apt = command("apt-get");
        apt.env("DEBIAN_FRONTEND", "noninteractive")
            .args(["--quiet=2", "-o=Dpkg::Use-Pty=0"])
            .args(arguments);
        apt
    };
    output(&mut apt(&["update"])).await?;
    output(apt(&["install", "--yes", "--no-install-recommends"]).args(packages)).await?;
    drop(policy);
    for service in SERVICES {
        let package = if service == "etcd" { "etcd-server" } else { service };
        if packages.contains(&package) {
            // Without systemd there is nothing to disable and nothing that would start it.
            let offline = !Path::new("/run/systemd/system").exists();
            let mut systemctl = command("systemctl");
            systemctl.env("SYSTEMD_OFFLINE", if offline { "1" } else { "0" }).args(["disable", service]);
            let _ = output(&mut systemctl).await;
        }
    }
    Ok(())
}

/// A policy that lets no service start while it is held. A policy that the machine has already is left alone.
struct Policy {
    ours: bool,
}

impl Policy {
    fn deny_services() -> Result<Self> {
        let file = OpenOptions::new().write(true).create_new(true).mode(0o755).open(POLICY);
        match file {
            Ok(mut file) => {
                // 101 is "forbidden by policy".
                file.write_all(b"#!/bin/sh\nexit 101\n").with_context(|| format!("write {POLICY}"))?;
                Ok(Self { ours: true })
            }
            Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => Ok(Self { ours: false }),
            Err(error) => Err(error).with_context(|| format!("create {POLICY}")),
        }
    }
}

impl Drop for Policy {
    fn drop(&mut self) {
        if self.ours {
            let _ = fs::remove_file(POLICY);
        }
    }
}
