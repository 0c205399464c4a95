//! Metaflow, which runs a flow in one pod, and each of its steps with `@kubernetes` in another one.

use std::path::{Path, PathBuf};

use anyhow::{Result, bail};
use bootlace_image::archive::Config;
use futures::FutureExt as _;
use serde_json::json;

use super::process::end;
use super::python::Environment;
use super::python_image;
use super::{Client, Demo, OptIn, app};
use crate::scenario::{Namespace, Output, servers};
use crate::stage::Progress;

const ENVIRONMENT: Environment = Environment {
    name: "metaflow",
    title: "Metaflow",
    requirements: include_str!("../../schedulers/metaflow/requirements.txt"),
};
/// The modules that its pods import.
const MODULES: [&str; 6] = [
    "metaflow.cli",
    "metaflow.mflog.save_logs",
    "metaflow.plugins.datastores.s3_storage",
    "metaflow.plugins.datatools.s3.s3op",
    "boto3",
    "kubernetes",
];
/// The packages of Debian that Metaflow needs in the image of a step: it unpacks the code with `tar -z`, and
/// stops a step with `/sbin/killall5`.
const PACKAGES: [&str; 3] = ["tar", "gzip", "sysvinit-utils"];
const INSTALL: &str = include_str!("../../schedulers/metaflow/install.yaml");
const LAUNCH: &str = include_str!("../../schedulers/metaflow/launch.yaml");
/// The code of the flows, and the program that runs them.
const APP: [(&str, &str); 8] = [
    ("etl.py", include_str!("../../schedulers/metaflow/demo.py")),
    ("failing.py", include_str!("../../schedulers/metaflow/failing.py")),
    ("handover.py", include_str!("../../schedulers/metaflow/handover.py")),
    ("report.py", include_str!("../../schedulers/metaflow/report.py")),
    ("run.py", include_str!("../../schedulers/metaflow/run.py")),
    ("show.py", include_str!("../../schedulers/metaflow/show.py")),
    ("stopped.py", include_str!("../../schedulers/metaflow/stopped.py")),
    ("submitting.py", include_str!("../../schedulers/metaflow/submitting.py")),
];
/// The pod that runs a flow.
const POD: &str = "launch";
/// The secret access key of the datastore.
const KEY: &str = "metaflow-datastore";

/// Metaflow with the clients of S3 and Kubernetes.
pub const CLIENT: Client = Client {
    name: "metaflow",
    requirements: &[],
    prepare: || async { Ok(vec![prepare().await?]) }.boxed(),
    short: false,
    demo: Some(DEMO),
};
const DEMO: Demo = Demo {
    title: "Metaflow",
    file: "schedulers/metaflow/demo.py",
    command: "python demo.py run",
    opt_in: OptIn::Namespace,
    run: |namespace| Box::pin(run_demo(namespace)),
};

async fn run_demo(namespace: &Namespace) -> Result<String> {
    install(namespace).await?;
    start(namespace, "Etl").await?;
    let state = ended(namespace).await?;
    if !state.starts_with("exit code 0:") {
        bail!("the flow has ended with {state}:\n{}", end(&namespace.log(POD, POD).await?));
    }
    Ok(state)
}

async fn prepare() -> Result<PathBuf> {
    let inputs = [&MODULES[..], &PACKAGES[..]].concat();
    let write = async |folder: &Path, progress: &Progress| {
        progress.set("writing the image");
        let venv = folder.join("venv");
        let layer = python_image::layer(&venv, &MODULES, &PACKAGES).await?;
        // Otherwise each step installs boto3 and requests from the Python Package Index.
        let env = vec![python_image::path(&venv), "METAFLOW_SKIP_INSTALL_DEPENDENCIES=1".to_owned()];
        super::write_image(folder, ENVIRONMENT.name, &layer, &Config { env, ..Config::default() })
    };
    ENVIRONMENT.prepare(&inputs, write).await
}

/// Installs Metaflow in the namespace: its datastore, its rights, and the code of the flows.
///
/// # Errors
/// If an object cannot be created, or the datastore is not ready in time.
pub async fn install(namespace: &Namespace) -> Result<()> {
    servers::s3(namespace, KEY, &json!({})).await?;
    namespace.create(&INSTALL.replace("NAMESPACE", namespace.name())).await?;
    namespace.create(&app::config_map("metaflow-app", APP)).await.map(drop)
}

/// Starts the flow `flow` (the class `Report` in `report.py`). A namespace can run one flow.
///
/// # Errors
/// If its pod cannot be created.
pub async fn start(namespace: &Namespace, flow: &str) -> Result<()> {
    let pod = LAUNCH.replace("value: NAMESPACE", &format!("value: {}", namespace.name()));
    namespace.create(&pod.replace("run.py FLOW", &format!("run.py {flow}"))).await.map(drop)
}

/// Waits until the flow has ended, and returns its exit code and the number of attempts of each step
/// (`exit code 0: start 1, end 2`).
///
/// # Errors
/// If it does not end in time. A failed flow is not an error.
pub async fn ended(namespace: &Namespace) -> Result<String> {
    app::result(namespace, POD, POD, "state").await
}

/// Stops all steps of the flow that run on the cluster, as a user does.
///
/// # Errors
/// If the command cannot be started.
pub async fn kill(namespace: &Namespace, flow: &str) -> Result<Output> {
    let file = format!("{}.py", flow.to_lowercase());
    namespace.exec(POD, POD, &["python", &file, "kubernetes", "kill"]).await
}
