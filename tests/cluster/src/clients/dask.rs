//! Dask with the operator of dask-kubernetes, which runs on the node, for one namespace.

use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use futures::FutureExt as _;
use kube::api::{Api, DynamicObject};
use serde_json::Value;
use tempfile::TempDir;

use super::process::{Process, end};
use super::python::Environment;
use super::python_image;
use super::{Client, Demo, OptIn, app, crds};
use crate::command::{command, output};
use crate::scenario::{LIMIT, Namespace, kubeconfig, temporary_folder};
use crate::wait::until_async;

const ENVIRONMENT: Environment = Environment {
    name: "dask",
    title: "Dask",
    requirements: include_str!("../../schedulers/dask/requirements.txt"),
};
/// The modules that its pods import.
const MODULES: [&str; 4] =
    ["dask.__main__", "distributed.cli.dask_scheduler", "distributed.cli.dask_worker", "distributed"];
const JOB: &str = include_str!("../../schedulers/dask/job.yaml");
/// The programs of the runners.
const APP: [(&str, &str); 5] = [
    ("failing.py", include_str!("../../schedulers/dask/failing.py")),
    ("flaky.py", include_str!("../../schedulers/dask/flaky.py")),
    ("read.py", include_str!("../../schedulers/dask/read.py")),
    ("report.py", include_str!("../../schedulers/dask/report.py")),
    ("write.py", include_str!("../../schedulers/dask/write.py")),
];
/// The time within which a job must end. Three pods import Dask at the same time.
const ENDED: Duration = Duration::from_mins(5);

/// Dask with its operator.
pub const CLIENT: Client = Client {
    name: "dask",
    requirements: &[],
    prepare: || async { Ok(vec![python_image::prepare(&ENVIRONMENT, &MODULES).await?]) }.boxed(),
    short: false,
    demo: Some(DEMO),
};
const DEMO: Demo = Demo {
    title: "Dask",
    file: "schedulers/dask/demo.yaml",
    command: "kubectl create --filename demo.yaml",
    opt_in: OptIn::Namespace,
    run: |namespace| run_demo(namespace).boxed_local(),
};

async fn run_demo(namespace: &Namespace) -> Result<String> {
    let job = include_str!("../../schedulers/dask/demo.yaml");
    let job: Value = serde_saphyr::from_str(job).context("parse the DaskJob")?;
    let state = Dask::start(namespace).await?.run(namespace, &job).await?;
    ensure!(state == "Successful", "the DaskJob has ended as {state}");
    Ok(state)
}

/// The operator of one namespace, which runs until this value is dropped.
pub struct Dask {
    operator: Process,
    // After the process, whose output is in it.
    _folder: TempDir,
}

impl Dask {
    /// Starts the operator, waits until it watches the namespace, and creates the programs of the runners.
    ///
    /// # Errors
    /// If Dask is not in the cache, or an object cannot be created, or the operator does not start.
    pub async fn start(namespace: &Namespace) -> Result<Self> {
        let venv = ENVIRONMENT.prepared(&MODULES).await?.join("venv");
        crds::apply(&definitions(&venv).await?).await?;
        namespace.create(&app::config_map("dask-app", APP)).await?;

        let folder = temporary_folder("dask-")?;
        // Without the last part of its name, the module of the operator has no handlers.
        let mut kopf = command(venv.join("bin/kopf"));
        kopf.args(["run", "--module", "dask_kubernetes.operator.controller"]);
        // It would otherwise look for another operator in the whole cluster, and pause.
        kopf.args(["--standalone", "--namespace", namespace.name()]);
        kopf.env("KUBECONFIG", kubeconfig()?).current_dir(folder.path());
        let operator = Process::start("dask-operator", kopf, folder.path())?;
        let mut this = Self { operator, _folder: folder };
        this.wait(LIMIT, "the operator has not started", async |output| {
            ensure!(output.contains("Initial authentication has finished"), "it has not logged in");
            Ok(())
        })
        .await?;
        Ok(this)
    }

    /// Creates the `DaskJob`, and waits until its runner has ended and the operator has deleted its cluster.
    /// Returns its status (`Successful`).
    ///
    /// # Errors
    /// If it is refused, or does not end in time.
    pub async fn run(&mut self, namespace: &Namespace, job: &Value) -> Result<String> {
        namespace.create(&job.to_string()).await?;
        let name = job.pointer("/metadata/name").and_then(Value::as_str);
        let name = name.context("the DaskJob has no name")?.to_owned();
        let (jobs, clusters) = (api(namespace, "DaskJob"), api(namespace, "DaskCluster"));
        self.wait(ENDED, "the DaskJob has not ended", async |_| {
            let job = jobs.get(&name).await?;
            let status = job.data.pointer("/status/jobStatus").and_then(Value::as_str).unwrap_or_default();
            ensure!(["Successful", "Failed"].contains(&status), "its status is {status:?}");
            // The operator has to remove its finalizer from the cluster before it stops.
            ensure!(clusters.get_opt(&name).await?.is_none(), "its cluster still exists");
            Ok(status.to_owned())
        })
        .await
    }

    /// Repeats `attempt`, which gets the output of the operator, until it succeeds.
    async fn wait<T>(
        &mut self,
        limit: Duration,
        problem: &str,
        mut attempt: impl AsyncFnMut(&str) -> Result<T>,
    ) -> Result<T> {
        let waited = until_async(limit, problem, async || {
            // Waiting longer does not help.
            if let Err(error) = self.operator.is_running() {
                return Ok(Err(error));
            }
            attempt(&self.operator.output()?).await.map(Ok)
        })
        .await;
        waited.and_then(|value| value).with_context(|| {
            let log = self.operator.output().unwrap_or_default();
            format!("the end of the output of the operator:\n{}\n", end(&log))
        })
    }
}

/// The `DaskJob` called `name`, whose runner executes `program` in `tests/cluster/schedulers/dask`.
///
/// # Errors
/// If its file cannot be parsed.
pub fn job(name: &str, program: &str) -> Result<Value> {
    let yaml = JOB.replace("JOB", name).replace("SCRIPT", program);
    serde_saphyr::from_str(&yaml).context("parse the DaskJob")
}

/// The API for objects of the operator.
#[must_use]
pub fn api(namespace: &Namespace, kind: &str) -> Api<DynamicObject> {
    namespace.custom_api("kubernetes.dask.org", "v1", kind)
}

/// The folder of the CRDs in the Helm chart of the operator, which its package contains.
async fn definitions(venv: &Path) -> Result<PathBuf> {
    let mut python = command(venv.join("bin/python"));
    python.args([
        "-c",
        "import importlib.util as u; print(*u.find_spec('dask_kubernetes').submodule_search_locations)",
    ]);
    let package = output(&mut python).await?;
    Ok(Path::new(package.trim()).join("operator/deployment/helm/dask-kubernetes-operator/crds"))
}
