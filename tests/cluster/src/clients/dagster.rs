//! Dagster, whose pods all run on the cluster: one that launches a job, the run worker, and its steps.

use std::collections::BTreeMap;

use anyhow::{Context, Result};
use futures::FutureExt as _;
use serde_json::json;

use super::Client;
use super::python::Environment;
use super::python_image;
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
/// The code of the jobs, and the program that launches them.
const APP: [(&str, &str); 2] = [
    ("jobs.py", include_str!("../../schedulers/dagster/jobs.py")),
    ("run.py", include_str!("../../schedulers/dagster/run.py")),
];

/// Dagster with dagster-k8s.
pub const CLIENT: Client = Client {
    name: "dagster",
    requirements: &[],
    prepare: || async { Ok(vec![python_image::prepare(&ENVIRONMENT, &MODULES).await?]) }.boxed(),
    short: false,
    demo: None,
};

/// The run of a job, which has ended.
pub struct Run {
    /// Its ID.
    pub id: String,
    /// Its state, and the state and attempts of its steps (`SUCCESS: load SUCCESS 2`).
    pub state: String,
}

/// Installs Dagster in the namespace: the rights of its pods, its configuration, and the code of the jobs.
///
/// # Errors
/// If an object cannot be created.
pub async fn install(namespace: &Namespace) -> Result<()> {
    let files: BTreeMap<_, _> = APP.into_iter().collect();
    let code = json!({
        "apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "dagster-app"}, "data": files,
    });
    namespace.create(&INSTALL.replace("NAMESPACE", namespace.name())).await?;
    namespace.create(&code.to_string()).await.map(drop)
}

/// Launches the job `job` in `jobs.py`, and waits until its run has ended.
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
    let value = |key: &str| {
        let line = log.lines().rev().find_map(|line| line.strip_prefix(key));
        line.map(str::to_owned).with_context(|| format!("no line in the log of {name} starts with {key:?}"))
    };
    Ok(Run { id: value("run ")?, state: value("state ")? })
}

/// The name of the pod that launches a job.
fn pod_name(job: &str) -> String {
    format!("launch-{}", job.replace('_', "-"))
}
