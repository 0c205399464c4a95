//! Kueue: its controller and scheduler, which have webhooks for queued Jobs and pods.

use std::path::Path;

use anyhow::{Context as _, Result, ensure};
use futures::FutureExt as _;
use kube::ResourceExt as _;
use kube::api::{Api, DynamicObject, ListParams};
use serde_json::{Value, json};
use tokio::sync::Mutex;

use super::controller::{Controller, Kind, Order, copy_certificate, overlaid};
use super::{Client, Demo, OptIn, crds};
use crate::go_module::{GoModule, name};
use crate::node::ADDRESS;
use crate::scenario::{LIMIT, Namespace};
use crate::wait::until_async;

/// Its scenarios are in `schedulers::kueue`.
pub const CLIENT: Client = Client {
    name: "kueue",
    requirements: &[],
    prepare: || async { Ok(vec![MODULE.build(&[PACKAGE]).await?]) }.boxed(),
    short: false,
    demo: Some(DEMO),
};
const DEMO: Demo = Demo {
    title: "Kueue",
    file: "schedulers/kueue/demo.yaml",
    command: "kubectl create --filename demo.yaml",
    opt_in: OptIn::Namespace,
    run: |namespace| run_demo(namespace).boxed_local(),
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
/// The queue of a namespace.
const QUEUES: &str = include_str!("../../schedulers/kueue/queue.yaml");
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
    let config = json!({
        "apiVersion": "config.kueue.x-k8s.io/v1beta2", "kind": "Configuration",
        "leaderElection": {"leaderElect": false},
        // The harness has written the certificate.
        "internalCertManagement": {"enable": false},
        "metrics": {"bindAddress": "0"},
        "health": {"healthProbeBindAddress": format!("{ADDRESS}:{}", KIND.health_port)},
        "webhook": {"port": KIND.webhook_port, "certDir": certificates},
        "clientConnection": {"qps": 50, "burst": 100},
        "integrations": {"frameworks": ["batch/job", "pod"]},
        // An aggregated API, which would need a Service.
        "featureGates": {"VisibilityOnDemand": false},
    });
    Ok(std::fs::write(file, config.to_string())?)
}

/// Lets Kueue review the Jobs and pods in a namespace, and creates the queue `tasks` in it.
///
/// # Errors
/// As [`Controller::cover`], and if the API server refuses the queue.
pub async fn add_queue(controller: &Controller, namespace: &Namespace, order: Order) -> Result<()> {
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
        .await?;
    namespace.create(&QUEUES.replace("NAMESPACE", namespace.name())).await.map(drop)
}

/// The API for the workloads of Kueue: a queued Job, pod or group of pods.
#[must_use]
pub fn workloads(namespace: &Namespace) -> Api<DynamicObject> {
    namespace.custom_api("kueue.x-k8s.io", "v1beta2", "Workload")
}

/// Waits until `count` workloads are finished, and returns how: `Succeeded, Failed`.
///
/// # Errors
/// If they do not finish in time.
pub async fn finished(namespace: &Namespace, count: usize) -> Result<String> {
    until_async(LIMIT, "a workload of Kueue is not finished", async || {
        let workloads = workloads(namespace).list(&ListParams::default()).await?.items;
        ensure!(workloads.len() == count, "{} workloads", workloads.len());
        let states: Result<Vec<_>> = workloads.iter().map(state).collect();
        Ok(states?.join(", "))
    })
    .await
}

/// The reason of the condition `Finished`.
fn state(workload: &DynamicObject) -> Result<&str> {
    let conditions = workload.data.pointer("/status/conditions").and_then(Value::as_array);
    let finished = conditions.into_iter().flatten().find(|condition| condition["type"] == "Finished");
    let reason = finished.and_then(|condition| condition["reason"].as_str());
    reason.with_context(|| format!("{} is not finished: {}", workload.name_any(), workload.data))
}

async fn run_demo(namespace: &Namespace) -> Result<String> {
    let controller = start().await?;
    let result = async {
        add_queue(&controller, namespace, Order::AfterBootlace).await?;
        namespace.create(include_str!("../../schedulers/kueue/demo.yaml")).await?;
        let states = finished(namespace, 2).await?;
        ensure!(states == "Succeeded, Succeeded", "the Jobs have ended as {states}");
        Ok(states)
    };
    let result = result.await;
    controller.stop(result).await
}
