//! Luigi with `KubernetesJobTask`: Luigi runs in one pod, and each of its tasks as a Job.

use anyhow::{Result, ensure};
use futures::FutureExt as _;

use super::process::end;
use super::python::Environment;
use super::python_image;
use super::{Client, Demo, OptIn, app};
use crate::scenario::{LIMIT, Namespace};
use crate::wait::until_async;

const ENVIRONMENT: Environment = Environment {
    name: "luigi",
    title: "Luigi",
    requirements: include_str!("../../schedulers/luigi/requirements.txt"),
};
/// The modules that its pod imports.
const MODULES: [&str; 2] = ["luigi", "luigi.contrib.kubernetes"];
const INSTALL: &str = include_str!("../../schedulers/luigi/install.yaml");
const LAUNCH: &str = include_str!("../../schedulers/luigi/launch.yaml");
/// The program that runs a task.
const RUN: &str = include_str!("../../schedulers/luigi/run.py");
/// The code of the tasks in scenarios.
pub const TASKS: &str = include_str!("../../schedulers/luigi/tasks.py");
/// The service account of the tasks.
const ACCOUNT: &str = "{apiVersion: v1, kind: ServiceAccount, metadata: {name: etl}}";
/// The pod in which Luigi runs, and its container.
pub const POD: &str = "launch";

/// Luigi with pykube.
pub const CLIENT: Client = Client {
    name: "luigi",
    requirements: &[],
    prepare: || async { Ok(vec![python_image::prepare(&ENVIRONMENT, &MODULES).await?]) }.boxed(),
    short: false,
    demo: Some(DEMO),
};
const DEMO: Demo = Demo {
    title: "Luigi",
    file: "schedulers/luigi/demo.py",
    command: "luigi --module demo Load --local-scheduler",
    opt_in: OptIn::PodLabel,
    run: |namespace| Box::pin(run_demo(namespace)),
};

async fn run_demo(namespace: &Namespace) -> Result<String> {
    namespace.create(&code(include_str!("../../schedulers/luigi/demo.py"))).await?;
    start(namespace, "Load").await?;
    let (state, log) = ended(namespace).await?;
    ensure!(state == "SUCCESS", "Luigi has ended with {state}:\n{}", end(&log));
    Ok(state)
}

/// A `ConfigMap` with `tasks`, the code of the tasks, and the program that runs one.
#[must_use]
pub fn code(tasks: &str) -> String {
    app::config_map("luigi-app", [("run.py", RUN), ("tasks.py", tasks)])
}

/// Starts Luigi with the task `task`, after [`code`] was created, and lets its Job have a pod once Luigi has
/// looked for one: the pod needs a service account. Luigi would accept a pod without a status of its
/// containers, and would fail the task one moment later. A namespace can run one task.
///
/// # Errors
/// If an object cannot be created, or Luigi does not look for the pod in time.
pub async fn start(namespace: &Namespace, task: &str) -> Result<()> {
    namespace.create(&INSTALL.replace("NAMESPACE", namespace.name())).await?;
    namespace.create(&LAUNCH.replace("TASK", task)).await?;
    printed(namespace, "No pods found for ").await?;
    namespace.create(ACCOUNT).await.map(drop)
}

/// Waits until Luigi has printed `text`.
///
/// # Errors
/// If it does not print it in time.
pub async fn printed(namespace: &Namespace, text: &str) -> Result<()> {
    until_async(LIMIT, &format!("Luigi has not printed {text:?}"), async || {
        let log = namespace.log(POD, POD).await?;
        ensure!(log.contains(text), "{log}");
        Ok(())
    })
    .await
}

/// Waits until Luigi has ended, and returns its state (`SUCCESS`) and its log.
///
/// # Errors
/// If it does not end in time. A failed task is not an error.
pub async fn ended(namespace: &Namespace) -> Result<(String, String)> {
    let state = app::result(namespace, POD, POD, "state").await?;
    Ok((state, namespace.log(POD, POD).await?))
}
