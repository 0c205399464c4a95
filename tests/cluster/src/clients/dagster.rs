//! Dagster, whose pods all run on the cluster: one that launches a job, the run worker, and its steps.

use anyhow::{Context, Result, ensure};
use futures::FutureExt as _;

use super::python::Environment;
use super::python_image;
use super::{Client, Demo, OptIn, app};
use crate::scenario::Namespace;

const ENVIRONMENT: Environment = Environment {
    name: "dagster",
    title: "Dagster",
    requirements: include_str!("../../schedulers/dagster/requirements.txt"),
};
/// The modules that its pods import.
const MODULES: [&str; 5] = [
    "dagster",
    "dagster_k8s",
    "dagster._cli",
    "dagster._grpc.server",
    "dagster._core.storage.sqlite_storage",
];
const INSTALL: &str = include_str!("../../schedulers/dagster/install.yaml");
const LAUNCH: &str = include_str!("../../schedulers/dagster/launch.yaml");
/// The program that launches a job.
const RUN: &str = include_str!("../../schedulers/dagster/run.py");
/// The code of the jobs in scenarios.
pub const JOBS: &str = include_str!("../../schedulers/dagster/jobs.py");

/// Dagster with dagster-k8s.
pub const CLIENT: Client = Client {
    name: "dagster",
    requirements: &[],
    prepare: || async { Ok(vec![python_image::prepare(&ENVIRONMENT, &MODULES).await?]) }.boxed(),
    short: false,
    demo: Some(DEMO),
};
const DEMO: Demo = Demo {
    title: "Dagster",
    file: "schedulers/dagster/demo.py",
    command: "dagster job launch --python-file demo.py --job etl",
    opt_in: OptIn::Namespace,
    run: |namespace| Box::pin(run_demo(namespace)),
};

async fn run_demo(namespace: &Namespace) -> Result<String> {
    install(namespace, include_str!("../../schedulers/dagster/demo.py")).await?;
    let state = run(namespace, "etl").await?.state;
    ensure!(state.starts_with("SUCCESS"), "the run has ended as {state}");
    Ok(state)
}

/// The run of a job, which has ended.
pub struct Run {
    /// Its ID.
    pub id: String,
    /// Its state, and the state and attempts of its steps (`SUCCESS: load SUCCESS 2`).
    pub state: String,
}

/// Installs Dagster in the namespace: the rights of its pods, its configuration, and `jobs`, the code of the
/// jobs.
///
/// # Errors
/// If an object cannot be created.
pub async fn install(namespace: &Namespace, jobs: &str) -> Result<()> {
    let code = app::config_map("dagster-app", [("jobs.py", jobs), ("run.py", RUN)]);
    namespace.create(&INSTALL.replace("NAMESPACE", namespace.name())).await?;
    namespace.create(&code).await.map(drop)
}

/// Launches the job `job`, and waits until its run has ended.
///
/// # Errors
/// If it cannot be launched, or does not end in time. A failed run is not an error.
pub async fn run(namespace: &Namespace, job: &str) -> Result<Run> {
    let name = pod_name(job);
    let pod = LAUNCH.replace("NAMESPACE", namespace.name()).replace("NAME", &name).replace("JOB", job);
    namespace.create(&pod).await?;
    namespace.workflow_succeeded(&name).await?;
    ended(namespace, job).await
}

/// The run of a job that [`run`] has launched.
///
/// # Errors
/// If it has not ended.
pub async fn ended(namespace: &Namespace, job: &str) -> Result<Run> {
    let name = pod_name(job);
    let log = namespace.log(&name, "launch").await?;
    let value = |key| app::value(&log, key).with_context(|| format!("the log of {name} has no line {key:?}"));
    Ok(Run { id: value("run")?, state: value("state")? })
}

/// The name of the pod that launches a job.
fn pod_name(job: &str) -> String {
    format!("launch-{}", job.replace('_', "-"))
}
