//! Luigi with `KubernetesJobTask`: Luigi runs in one pod, and each of its tasks as a Job.

use anyhow::Result;
use futures::FutureExt as _;

use super::python::Environment;
use super::python_image;
use super::{Client, app};
use crate::scenario::Namespace;

const ENVIRONMENT: Environment = Environment {
    name: "luigi",
    title: "Luigi",
    requirements: include_str!("../../schedulers/luigi/requirements.txt"),
};
/// The modules that its pod imports.
const MODULES: [&str; 2] = ["luigi", "luigi.contrib.kubernetes"];
const INSTALL: &str = include_str!("../../schedulers/luigi/install.yaml");
const LAUNCH: &str = include_str!("../../schedulers/luigi/launch.yaml");
/// The code of the tasks, and the program that runs them.
const APP: [(&str, &str); 2] = [
    ("run.py", include_str!("../../schedulers/luigi/run.py")),
    ("tasks.py", include_str!("../../schedulers/luigi/tasks.py")),
];
/// The pod in which Luigi runs, and its container.
pub const POD: &str = "launch";

/// Luigi with pykube.
pub const CLIENT: Client = Client {
    name: "luigi",
    requirements: &[],
    prepare: || async { Ok(vec![python_image::prepare(&ENVIRONMENT, &MODULES).await?]) }.boxed(),
    short: false,
    demo: None,
};

/// A `ConfigMap` with the code of the tasks.
#[must_use]
pub fn code() -> String {
    app::config_map("luigi-app", APP)
}

/// Starts Luigi with the task `task`, after [`code`] was created. A namespace can run one task.
///
/// # Errors
/// If an object cannot be created.
pub async fn start(namespace: &Namespace, task: &str) -> Result<()> {
    namespace.create(&INSTALL.replace("NAMESPACE", namespace.name())).await?;
    namespace.create(&LAUNCH.replace("TASK", task)).await.map(drop)
}

/// Waits until Luigi has ended, and returns its state (`SUCCESS`) and its log.
///
/// # Errors
/// If it does not end in time. A failed task is not an error.
pub async fn ended(namespace: &Namespace) -> Result<(String, String)> {
    let state = app::result(namespace, POD, POD, "state").await?;
    Ok((state, namespace.log(POD, POD).await?))
}
