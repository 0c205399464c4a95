//! Kueue: its controller and scheduler, which have webhooks for queued Jobs and pods.

use std::path::Path;

use anyhow::{Context as _, Result, ensure};
use futures::FutureExt as _;
use kube::ResourceExt as _;
use serde_json::json;
use tokio::sync::Mutex;

use super::controller::{Controller, Kind, Order, copy_certificate, overlaid};
use super::{Client, crds};
use crate::go_module::{GoModule, name};
use crate::node::ADDRESS;
use crate::scenario::{NAMESPACES, Namespace};

/// Its scenarios are in `schedulers::kueue`.
pub const CLIENT: Client = Client {
    name: "kueue",
    requirements: &[],
    prepare: || async { Ok(vec![MODULE.build(&[PACKAGE]).await?]) }.boxed(),
    short: false,
    demo: None,
};
/// As the results name it.
pub const TITLE: &str = "Kueue 0.17.0";
/// The label with the name of a queue.
pub const QUEUE: &str = "kueue.x-k8s.io/queue-name";
/// The label of the pods that Kueue has put into a queue.
pub const MANAGED: &str = "kueue.x-k8s.io/managed";

const MODULE: GoModule = GoModule {
    folder: "schedulers/kueue",
    go_mod: include_str!("../../schedulers/kueue/go.mod"),
    go_sum: include_str!("../../schedulers/kueue/go.sum"),
    sources: &[],
};
const PACKAGE: &str = "sigs.k8s.io/kueue/cmd/kueue";
static KIND: Kind = Kind { name: "kueue", health_port: 9510, webhook_port: 9511, one: Mutex::const_new(()) };

/// Starts the controller.
///
/// # Errors
/// As [`Controller::start`].
pub async fn start() -> Result<Controller> {
    let (folder, source) = (MODULE.built().await?, MODULE.source_of("sigs.k8s.io/kueue").await?);
    // Without the conversion webhooks: scenarios use only the stored versions.
    crds::apply(&source.join("config/components/crd/bases")).await?;
    Controller::start(&KIND, |files| {
        // Fixed in the program, if it does not manage certificates.
        let etc = files.join("etc");
        copy_certificate(files, &etc.join("kueue/metrics/certs"))?;
        let file = files.join("config.yaml");
        write_config(&file, files).context("write the configuration of Kueue")?;
        let mut program = overlaid("/etc", &etc, &folder.join(name(PACKAGE)))?;
        program.arg("--config").arg(file).arg("--zap-log-level=2");
        Ok(program)
    })
    .await
}

fn write_config(file: &Path, certificates: &Path) -> Result<()> {
    let (key, value) = NAMESPACES.split_once('=').context("a selector has no value")?;
    let config = json!({
        "apiVersion": "config.kueue.x-k8s.io/v1beta2", "kind": "Configuration",
        "leaderElection": {"leaderElect": false},
        // The harness has written the certificate.
        "internalCertManagement": {"enable": false},
        "metrics": {"bindAddress": "0"},
        "health": {"healthProbeBindAddress": format!("{ADDRESS}:{}", KIND.health_port)},
        "webhook": {"port": KIND.webhook_port, "certDir": certificates},
        "clientConnection": {"qps": 50, "burst": 100},
        "managedJobsNamespaceSelector": {"matchLabels": {key: value}},
        "integrations": {"frameworks": ["batch/job", "pod"]},
        // An aggregated API, which would need a Service.
        "featureGates": {"VisibilityOnDemand": false},
    });
    Ok(std::fs::write(file, config.to_string())?)
}

/// Lets Kueue review the Jobs and pods in a namespace.
///
/// # Errors
/// As [`Controller::cover`].
pub async fn cover(controller: &Controller, namespace: &Namespace, order: Order) -> Result<()> {
    let file = MODULE.source_of("sigs.k8s.io/kueue").await?.join("config/components/webhook/manifests.yaml");
    let manifests = std::fs::read_to_string(&file).with_context(|| format!("read {}", file.display()))?;
    let pod = json!({
        "apiVersion": "v1", "kind": "Pod", "metadata": {"name": "reviewed", "labels": {QUEUE: "tasks"}},
        "spec": {"containers": [{"name": "main", "image": "none", "command": ["true"]}]},
    });
    let pod = pod.to_string();
    controller
        .cover(namespace, &manifests, order, async || {
            let created = namespace.dry_run(&pod).await?;
            let managed = created.iter().all(|created| created.object.labels().contains_key(MANAGED));
            ensure!(managed, "a queued pod has no label {MANAGED}");
            Ok(())
        })
        .await
}
