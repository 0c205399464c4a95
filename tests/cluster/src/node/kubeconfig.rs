//! Kubeconfigs: one for each client of the API server, with embedded certificates.

use std::fs;
use std::path::Path;

use anyhow::{Context, Result};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::json;

use super::pki::{Authority, client};
use super::{ADDRESS, API_PORT, KUBERNETES};

/// The programs of the node, with the users and groups to which the default roles of Kubernetes are bound.
const CLIENTS: [(&str, &str, Option<&str>); 5] = [
    ("controller-manager", "system:kube-controller-manager", None),
    ("scheduler", "system:kube-scheduler", None),
    ("kubelet", "system:node:node", Some("system:nodes")),
    ("kube-proxy", "system:kube-proxy", None),
    ("coredns", "system:coredns", None),
];

/// Writes `/etc/kubernetes/<program>.kubeconfig` for each program, and the kubeconfig of the administrator to
/// `admin`.
///
/// # Errors
/// If a file cannot be written.
pub(super) fn write_all(authority: &Authority, admin: &Path) -> Result<()> {
    for (program, user, group) in CLIENTS {
        let file = Path::new(KUBERNETES).join(format!("{program}.kubeconfig"));
        write(authority, user, group, &file)?;
    }
    write(authority, "administrator", Some("system:masters"), admin)
}

fn write(authority: &Authority, user: &str, group: Option<&str>, file: &Path) -> Result<()> {
    let identity = client(authority, user, group)?;
    let config = json!({
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [{ "name": "cluster", "cluster": {
            "server": format!("https://{ADDRESS}:{API_PORT}"),
            "certificate-authority-data": STANDARD.encode(authority.pem()),
        }}],
        "users": [{ "name": user, "user": {
            "client-certificate-data": STANDARD.encode(identity.certificate),
            "client-key-data": STANDARD.encode(identity.key),
        }}],
        "contexts": [{ "name": "cluster", "context": { "cluster": "cluster", "user": user } }],
        "current-context": "cluster",
    });
    // JSON is valid YAML.
    fs::write(file, serde_json::to_vec_pretty(&config)?).with_context(|| format!("write {}", file.display()))
}
