//! Runs DAGs with a real Airflow, which creates pods on the cluster.

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::{Output, Stdio};

use anyhow::{Context, Result};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::json;
use tempfile::TempDir;
use tokio::process::Command;
use tokio::sync::Mutex;
use tokio::time::timeout;

use crate::clients::python::Environment;
use crate::command::{command, output};
use crate::images;
use crate::scenario::LIMIT;
use crate::stage::Progress;

const ENVIRONMENT: Environment = Environment {
    name: "airflow",
    title: "Airflow",
    requirements: include_str!("../airflow/requirements.txt"),
};

/// Installs Airflow into the cache if necessary, and returns the folder: the environment is in `venv`, and
/// `airflow.db` is an initialized database to copy.
///
/// # Errors
/// If the packages cannot be installed or Airflow does not start.
pub async fn prepare() -> Result<PathBuf> {
    ENVIRONMENT.prepare(&[], fill).await
}

/// The folder of [`prepare`]. Needs no network.
///
/// # Errors
/// If Airflow is not installed.
pub async fn prepared() -> Result<PathBuf> {
    ENVIRONMENT.prepared(&[]).await
}

async fn fill(folder: &Path, progress: &Progress) -> Result<()> {
    let (venv, home) = (folder.join("venv"), folder.join("home"));
    progress.set("creating the database");
    // This is the slowest step before the first task of a DAG, so each run copies this database.
    output(airflow(&venv, &home, "airflow").args(["db", "migrate"])).await?;
    std::fs::rename(home.join("airflow.db"), folder.join("airflow.db"))
        .context("move the Airflow database into the cache")?;
    std::fs::remove_dir_all(&home).context("remove the temporary Airflow home")
}

fn airflow(venv: &Path, home: &Path, program: &str) -> Command {
    let mut program = command(venv.join("bin").join(program));
    program.env("AIRFLOW_HOME", home).env("AIRFLOW__CORE__LOAD_EXAMPLES", "False");
    program
}

/// Locked while an Airflow runs. Each one uses a whole core most of the time, and several at once slow down
/// the webhook on a small machine so much that its reviews time out.
static RUNS: Mutex<()> = Mutex::const_new(());

/// An Airflow with an empty database and a connection to the cluster.
pub struct Airflow {
    venv: PathBuf,
    home: TempDir,
    connection: OsString,
}

/// The result of a DAG run.
#[derive(Debug)]
pub struct DagRun {
    /// Whether Airflow marked the run as successful.
    pub succeeded: bool,
    /// The output of Airflow, with the logs of the tasks.
    pub log: String,
}

impl DagRun {
    fn of(output: &Output) -> Self {
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        Self { succeeded: output.status.success(), log: text(&output.stdout) + &text(&output.stderr) }
    }
}

impl Airflow {
    /// An Airflow whose pods run in `namespace`, with the environment of [`prepare`]. Its files are in the
    /// folder of the kubeconfig, and are removed when this value is dropped.
    ///
    /// # Errors
    /// If Airflow is not installed, or the folder of `kubeconfig` cannot be written.
    pub async fn new(kubeconfig: &Path, namespace: &str) -> Result<Self> {
        let installed = prepared().await?;
        let folder = kubeconfig.parent().context("the path of the kubeconfig has no parent")?;
        let home = tempfile::Builder::new()
            .prefix("airflow-")
            .tempdir_in(folder)
            .context("create the Airflow home")?;
        std::fs::copy(installed.join("airflow.db"), home.path().join("airflow.db"))
            .context("copy the Airflow database")?;
        let connection = json!({ "conn_type": "kubernetes", "extra": {
            "kube_config_path": kubeconfig,
            "namespace": namespace,
            // The default of the provider is an image that would have to be pulled.
            "xcom_sidecar_container_image": images::with_registry(images::BUSYBOX),
        }});
        let dags = home.path().join("dags");
        copy_dags(&dags)?;
        Ok(Self { venv: installed.join("venv"), home, connection: connection.to_string().into() })
    }

    /// Runs the DAG `dag` in `tests/cluster/airflow/dags` once, for the logical date `date` (`2026-01-01`),
    /// and waits until it ends. Concurrent calls run one after another.
    ///
    /// # Errors
    /// If Airflow cannot be started. A failed run is not an error.
    pub async fn run(&self, dag: &str, date: &str) -> Result<DagRun> {
        let mut airflow = self.program("airflow");
        airflow.args(["dags", "test", dag, date]);
        dag_run(airflow).await
    }

    /// Runs the DAG as [`run`](Self::run) does, and sends the process of its task SIGTERM when `moment` is
    /// ready, as a worker of Airflow does if the task was set to another state.
    ///
    /// # Errors
    /// If Airflow cannot be started, or does not exit in time after the signal. A failed run is not an error.
    pub async fn run_and_end(&self, dag: &str, date: &str, moment: impl Future) -> Result<DagRun> {
        let mut airflow = self.program("airflow");
        airflow.args(["dags", "test", dag, date]).stdout(Stdio::piped()).stderr(Stdio::piped());
        let _lock = RUNS.lock().await;
        let airflow = airflow.spawn().context("start Airflow")?;
        // `dags test` runs tasks in its own process.
        let pid = airflow.id().and_then(|id| i32::try_from(id).ok()).context("Airflow has exited")?;
        let mut output = std::pin::pin!(airflow.wait_with_output());
        tokio::select! {
            output = &mut output => return Ok(DagRun::of(&output.context("wait for Airflow")?)),
            _ = moment => {}
        }
        kill(Pid::from_raw(pid), Signal::SIGTERM).context("send Airflow SIGTERM")?;
        let output = timeout(LIMIT, output).await;
        let output = output.with_context(|| {
            format!("timed out after {} s: Airflow has not exited after SIGTERM", LIMIT.as_secs())
        })?;
        Ok(DagRun::of(&output.context("wait for Airflow")?))
    }

    /// Runs the DAG as [`run`](Self::run) does, clears the run, as a user does to run its tasks again, and
    /// waits until it ends again.
    ///
    /// # Errors
    /// If Airflow cannot be started. A failed run is not an error.
    pub async fn run_and_clear(&self, dag: &str, date: &str) -> Result<DagRun> {
        let mut python = self.program("python");
        python.arg(images::root().join("tests/cluster/airflow/again.py")).args([dag, date]);
        dag_run(python).await
    }

    /// A program of the environment, configured for the DAGs and the cluster.
    fn program(&self, name: &str) -> Command {
        let mut program = airflow(&self.venv, self.home.path(), name);
        program.env("AIRFLOW__CORE__DAGS_FOLDER", self.home.path().join("dags"));
        program.env("AIRFLOW_CONN_KUBERNETES_DEFAULT", &self.connection);
        program
    }
}

/// Copies `tests/cluster/airflow/dags`, with the names of the images on this cluster.
fn copy_dags(to: &Path) -> Result<()> {
    let from = images::root().join("tests/cluster/airflow/dags");
    let copy = || -> std::io::Result<()> {
        std::fs::create_dir(to)?;
        for entry in std::fs::read_dir(&from)? {
            let entry = entry?;
            // Skip the bytecode cache of Python.
            if entry.path().extension().is_some_and(|extension| extension == "py") {
                let text = std::fs::read_to_string(entry.path())?;
                std::fs::write(to.join(entry.file_name()), images::with_registry(&text))?;
            }
        }
        Ok(())
    };
    copy().with_context(|| format!("copy {}", from.display()))
}

/// Runs Airflow until it exits.
async fn dag_run(mut airflow: Command) -> Result<DagRun> {
    let _lock = RUNS.lock().await;
    Ok(DagRun::of(&airflow.output().await.context("start Airflow")?))
}
