//! Installing Bootlace on the cluster, as its users do: with Helm, from the chart.

use std::time::Duration;

use anyhow::{Context, Result, ensure};

use crate::cluster::Reachable;
use crate::command::{output, run};
use crate::images;
use crate::wait::until_async;

/// The namespace that Bootlace runs in.
pub const NAMESPACE: &str = "bootlace";

/// Installs the chart, with `values` (`key=value`) on top of those in `values.yaml`, and waits until Bootlace is ready.
///
/// # Errors
/// When Helm fails or Bootlace does not become ready; what its pods say is on standard error then.
pub async fn install(cluster: &impl Reachable, values: &[String]) -> Result<()> {
    let root = images::root();
    let mut helm = cluster.command("helm");
    helm.args(["install", "bootlace"]).arg(root.join("charts/bootlace"));
    helm.args(["--namespace", NAMESPACE, "--create-namespace", "--wait", "--timeout", "2m"]);
    helm.arg("--values").arg(root.join("tests/cluster/values.yaml"));
    for value in values {
        helm.args(["--set", value]);
    }
    let installed = output(&mut helm).await;
    if installed.is_err() {
        explain(cluster).await;
    }
    installed.context("install charts/bootlace with Helm")?;
    // A replica that is ready can be reached once kube-proxy has heard of it, and the API server of the webhook.
    until_async(REACHED, "the API server does not reach the webhook", async || {
        let mut kubectl = cluster.command("kubectl");
        let image = images::named(images::BUSYBOX);
        kubectl.args(["run", "task", "--dry-run=server", "--image", &image]).args(TASK);
        let annotations = output(&mut kubectl).await?;
        ensure!(annotations.contains("bootlace.dev/injected"), "it does not know of it");
        Ok(())
    })
    .await
}

/// How long that may take: kube-proxy gathers changes for a second at most.
const REACHED: Duration = Duration::from_secs(30);
/// A pod that goes to the webhook.
const TASK: [&str; 4] =
    ["--labels", "bootlace.dev/task=true", "--output", "jsonpath={.metadata.annotations}"];

/// Prints what tells why pods are not ready. Whatever fails here, the reason to be here is the one to report.
async fn explain(cluster: &impl Reachable) {
    for arguments in [
        &["get", "pods,events", "--output=wide"][..],
        &["logs", "--selector=app.kubernetes.io/name=bootlace", "--all-containers", "--prefix", "--tail=50"]
            [..],
    ] {
        let _ = run(cluster.command("kubectl").args(["--namespace", NAMESPACE]).args(arguments)).await;
    }
}
