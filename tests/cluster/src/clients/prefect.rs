//! Prefect, whose pods all run on the cluster: the server, the worker, one that deploys and launches a flow,
//! and the runs of flows.

use std::collections::BTreeMap;

use anyhow::{Context, Result};
use futures::FutureExt as _;
use serde_json::json;

use super::Client;
use super::python::Environment;
use super::python_image;
use crate::scenario::Namespace;

const ENVIRONMENT: Environment = Environment {
    name: "prefect",
    title: "Prefect",
    requirements: include_str!("../../schedulers/prefect/requirements.txt"),
};
/// The modules that its pods import.
const MODULES: [&str; 4] =
    ["prefect", "prefect.cli", "prefect.server.api.server", "prefect_kubernetes.worker"];
const INSTALL: &str = include_str!("../../schedulers/prefect/install.yaml");
const LAUNCH: &str = include_str!("../../schedulers/prefect/launch.yaml");
/// The code of the flows, and the program that deploys and launches them.
const APP: [(&str, &str); 2] = [
    ("flows.py", include_str!("../../schedulers/prefect/flows.py")),
    ("run.py", include_str!("../../schedulers/prefect/run.py")),
];

/// Prefect with prefect-kubernetes.
pub const CLIENT: Client = Client {
    name: "prefect",
    requirements: &[],
    prepare: || async { Ok(vec![python_image::prepare(&ENVIRONMENT, &MODULES).await?]) }.boxed(),
    short: false,
    demo: None,
};

/// Installs Prefect in the namespace, and waits until its server is ready.
///
/// # Errors
/// If an object cannot be created, or the server is not ready in time.
pub async fn install(namespace: &Namespace) -> Result<()> {
    let files: BTreeMap<_, _> = APP.into_iter().collect();
    let code = json!({
        "apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "prefect-app"}, "data": files,
    });
    namespace.create(&code.to_string()).await?;
    namespace.create(&INSTALL.replace("NAMESPACE", namespace.name())).await?;
    namespace.pod_ready("server").await.map(drop)
}

/// Starts the worker, runs the flow `flow` in `flows.py`, waits until its run has ended, and returns its
/// state (`Completed`). A namespace can run one flow.
///
/// # Errors
/// If it cannot be launched, or does not end in time. A failed run is not an error.
pub async fn run(namespace: &Namespace, flow: &str) -> Result<String> {
    let pods = LAUNCH.replace("value: NAMESPACE", &format!("value: {}", namespace.name()));
    namespace.create(&pods.replace("FLOW", flow)).await?;
    namespace.workflow_succeeded("launch").await?;
    let log = namespace.log("launch", "launch").await?;
    let state = log.lines().rev().find_map(|line| line.strip_prefix("state "));
    state.map(str::to_owned).context("the log of the pod launch has no state")
}
