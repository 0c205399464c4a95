//! Installs Bootlace on the cluster as a user does: with Helm, from the chart.

use std::time::Duration;

use anyhow::{Context, Result, ensure};

use crate::cluster::Reachable;
use crate::command::{output, run};
use crate::images;
use crate::wait::until_async;

/// The namespace of Bootlace.
pub const NAMESPACE: &str = "bootlace";

/// Installs the chart with the values in `values.yaml`, which `values` (`key=value`) override, and waits
/// until Bootlace is ready.
///
/// # Errors
/// If Helm fails or Bootlace does not become ready. The logs of its pods are then on standard error.
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
        print_state(cluster).await;
    }
    installed.context("install charts/bootlace with Helm")?;
    // The webhook is not reachable before kube-proxy knows its endpoints and the API server knows its
    // configuration.
    until_async(REACHABLE, "the API server does not reach the webhook", async || {
        let mut kubectl = cluster.command("kubectl");
        let image = images::with_registry(images::BUSYBOX);
        kubectl.args(["run", "task", "--dry-run=server", "--image", &image]).args(TASK);
        let annotations = output(&mut kubectl).await?;
        ensure!(annotations.contains("bootlace.dev/injected"), "a pod was not injected");
        Ok(())
    })
    .await
}

/// The timeout for this. kube-proxy collects changes for one second at most.
const REACHABLE: Duration = Duration::from_secs(30);
/// Arguments of `kubectl run` for a pod that the API server sends to the webhook.
const TASK: [&str; 4] =
    ["--labels", "bootlace.dev/task=true", "--output", "jsonpath={.metadata.annotations}"];

/// Prints the state and the logs of the pods. Errors are ignored, because the caller already reports one.
async fn print_state(cluster: &impl Reachable) {
    for arguments in [
        &["get", "pods,events", "--output=wide"][..],
        &["logs", "--selector=app.kubernetes.io/name=bootlace", "--all-containers", "--prefix", "--tail=50"]
            [..],
    ] {
        let _ = run(cluster.command("kubectl").args(["--namespace", NAMESPACE]).args(arguments)).await;
    }
}
