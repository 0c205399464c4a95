//! `KubeRay`: its operator, and an image of Ray from the Python Package Index.

use std::path::PathBuf;

use anyhow::{Context as _, Result, ensure};
use bootlace_image::archive::Config;
use futures::FutureExt as _;
use kube::api::{Api, DynamicObject};
use serde_json::Value;
use tokio::sync::Mutex;

use super::controller::{Controller, Kind};
use super::python::Environment;
use super::{Client, Demo, OptIn, crds, python_image};
use crate::command::command;
use crate::go_module::{GoModule, name};
use crate::node::ADDRESS;
use crate::scenario::{LIMIT, Namespace};
use crate::wait::until_async;

/// Its scenarios are in `schedulers::kuberay`.
pub const CLIENT: Client = Client {
    name: "kuberay",
    requirements: &PACKAGES,
    prepare: || async { Ok(vec![MODULE.build(&[PACKAGE]).await?, prepare_image().await?]) }.boxed(),
    short: false,
    demo: Some(DEMO),
};
const DEMO: Demo = Demo {
    title: "KubeRay",
    file: "schedulers/kuberay/demo.yaml",
    command: "kubectl create --filename demo.yaml",
    opt_in: OptIn::Namespace,
    run: |namespace| run_demo(namespace).boxed_local(),
};
/// As the results name it.
pub const TITLE: &str = "KubeRay 1.5.0";

const MODULE: GoModule = GoModule {
    folder: "schedulers/kuberay",
    go_mod: include_str!("../../schedulers/kuberay/go.mod"),
    go_sum: include_str!("../../schedulers/kuberay/go.sum"),
    sources: &[],
};
const PACKAGE: &str = "github.com/ray-project/kuberay/ray-operator";
const RAY: Environment = Environment {
    name: "ray",
    title: "Ray",
    requirements: include_str!("../../schedulers/kuberay/requirements.txt"),
};
/// What the processes of the head and of the submitter import first.
const MODULES: [&str; 14] = [
    "ray.scripts.scripts",
    "ray.dashboard.agent",
    "ray.dashboard.dashboard",
    "ray.dashboard.modules.data.data_head",
    "ray.dashboard.modules.job.job_agent",
    "ray.dashboard.modules.job.job_head",
    "ray.dashboard.modules.metrics.metrics_head",
    "ray.dashboard.modules.node.node_head",
    "ray.dashboard.modules.reporter.reporter_head",
    "ray.dashboard.modules.serve.serve_head",
    "ray.dashboard.modules.state.state_head",
    "ray.dashboard.modules.train.train_head",
    "ray._private.runtime_env.agent.main",
    "ray._private.workers.default_worker",
];
/// For the probes that `KubeRay` sets.
const PACKAGES: [&str; 2] = ["grep", "wget"];
static KIND: Kind =
    Kind { name: "kuberay", health_port: 9530, webhook_port: 9531, one: Mutex::const_new(()) };

/// Starts the operator.
///
/// # Errors
/// As [`Controller::start`].
pub async fn start() -> Result<Controller> {
    let (folder, source) = (MODULE.built().await?, MODULE.source_of(PACKAGE).await?);
    crds::apply(&source.join("config/crd/bases")).await?;
    Controller::start(&KIND, |_| {
        let mut program = command(folder.join(name(PACKAGE)));
        program.args(["--enable-leader-election=false", "--metrics-addr=0"]);
        // It runs on the node, which does not resolve the names of Services.
        program.arg("--use-kubernetes-proxy");
        program.arg(format!("--health-probe-bind-address={ADDRESS}:{}", KIND.health_port));
        Ok(program)
    })
    .await
}

/// The image `localhost/ray:test`.
async fn prepare_image() -> Result<PathBuf> {
    RAY.prepare(&[&MODULES[..], &PACKAGES[..]].concat(), async |folder, progress| {
        progress.set("writing the image");
        let venv = folder.join("venv");
        let layer = python_image::layer(&venv, &MODULES, &PACKAGES).await?;
        let config = Config { env: vec![python_image::path(&venv)], ..Config::default() };
        super::write_image(folder, RAY.name, &layer, &config)
    })
    .await
}

/// The API for `RayJobs`.
#[must_use]
pub fn api(namespace: &Namespace) -> Api<DynamicObject> {
    namespace.custom_api("ray.io", "v1", "RayJob")
}

/// Waits until a `RayJob` has ended, and returns the state of the job and of its deployment: `SUCCEEDED,
/// Complete`.
///
/// # Errors
/// If it does not end in time.
pub async fn ended(namespace: &Namespace, name: &str) -> Result<String> {
    // The head of the cluster has to start first.
    until_async(2 * LIMIT, &format!("RayJob {name} has not ended"), async || {
        let job = api(namespace).get(name).await?.data;
        let status = |field| job.pointer(&format!("/status/{field}")).and_then(Value::as_str);
        let (job, deployment) = (status("jobStatus"), status("jobDeploymentStatus"));
        let (job, deployment) = job
            .zip(deployment)
            .filter(|(_, deployment)| matches!(*deployment, "Complete" | "Failed"))
            .with_context(|| format!("job {job:?}, deployment {deployment:?}"))?;
        Ok(format!("{job}, {deployment}"))
    })
    .await
}

async fn run_demo(namespace: &Namespace) -> Result<String> {
    let controller = start().await?;
    let result = async {
        namespace.create(include_str!("../../schedulers/kuberay/demo.yaml")).await?;
        let state = ended(namespace, "etl").await?;
        ensure!(state == "SUCCEEDED, Complete", "the RayJob has ended as {state}");
        Ok(state)
    };
    let result = result.await;
    controller.stop(result).await
}
