//! Prefect, whose pods all run on the cluster: the server, the worker, one that deploys and launches a flow,
//! and the runs of flows.

use anyhow::{Result, ensure};
use futures::FutureExt as _;

use super::python::Environment;
use super::python_image;
use super::{Client, Demo, OptIn, app};
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
/// The program that deploys and launches a flow.
const RUN: &str = include_str!("../../schedulers/prefect/run.py");
/// The code of the flows in scenarios.
pub const FLOWS: &str = include_str!("../../schedulers/prefect/flows.py");

/// Prefect with prefect-kubernetes.
pub const CLIENT: Client = Client {
    name: "prefect",
    requirements: &[],
    prepare: || async { Ok(vec![python_image::prepare(&ENVIRONMENT, &MODULES).await?]) }.boxed(),
    short: false,
    demo: Some(DEMO),
};
const DEMO: Demo = Demo {
    title: "Prefect",
    file: "schedulers/prefect/demo.py",
    command: "prefect deployment run etl/etl --watch",
    opt_in: OptIn::Namespace,
    run: |namespace| Box::pin(run_demo(namespace)),
};

async fn run_demo(namespace: &Namespace) -> Result<String> {
    install(namespace, include_str!("../../schedulers/prefect/demo.py")).await?;
    let state = run(namespace, "etl").await?;
    ensure!(state == "Completed", "the flow run has ended as {state}");
    Ok(state)
}

/// Installs Prefect in the namespace with `flows`, the code of the flows, and waits until its server is
/// ready.
///
/// # Errors
/// If an object cannot be created, or the server is not ready in time.
pub async fn install(namespace: &Namespace, flows: &str) -> Result<()> {
    let code = app::config_map("prefect-app", [("flows.py", flows), ("run.py", RUN)]);
    namespace.create(&code).await?;
    namespace.create(&INSTALL.replace("NAMESPACE", namespace.name())).await?;
    namespace.pod_ready("server").await.map(drop)
}

/// Starts the worker, runs the flow `flow`, waits until its run has ended, and returns its
/// state (`Completed`). A namespace can run one flow.
///
/// # Errors
/// If it cannot be launched, or does not end in time. A failed run is not an error.
pub async fn run(namespace: &Namespace, flow: &str) -> Result<String> {
    let pods = LAUNCH.replace("value: NAMESPACE", &format!("value: {}", namespace.name()));
    namespace.create(&pods.replace("FLOW", flow)).await?;
    app::result(namespace, "launch", "launch", "state").await
}
