//! Installing Bootlace on the cluster, as its users do: with Helm, from the chart.

use anyhow::{Context, Result};

use crate::cluster::Cluster;
use crate::command::{output, run};
use crate::images;

/// The namespace that Bootlace runs in.
pub const NAMESPACE: &str = "bootlace";

/// Installs the chart and waits until Bootlace is ready.
///
/// # Errors
/// When Helm fails or Bootlace does not become ready; what its pods say is on standard error then.
pub async fn install(cluster: &Cluster) -> Result<()> {
    let root = images::root()?;
    let mut helm = cluster.command("helm");
    helm.args(["install", "bootlace"]).arg(root.join("charts/bootlace"));
    helm.args(["--namespace", NAMESPACE, "--create-namespace", "--wait", "--timeout", "2m"]);
    helm.arg("--values").arg(root.join("tests/cluster/values.yaml"));
    let installed = output(&mut helm).await;
    if installed.is_err() {
        explain(cluster).await;
    }
    installed.map(drop).context("install charts/bootlace with Helm")
}

/// Prints what tells why pods are not ready. Whatever fails here, the reason to be here is the one to report.
async fn explain(cluster: &Cluster) {
    for arguments in [
        &["get", "pods,events", "--output=wide"][..],
        &["logs", "--selector=app.kubernetes.io/name=bootlace", "--all-containers", "--prefix", "--tail=50"]
            [..],
    ] {
        let _ = run(cluster.command("kubectl").args(["--namespace", NAMESPACE]).args(arguments)).await;
    }
}
