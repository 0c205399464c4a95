//! Airflow: the real one, which runs a DAG's tasks as pods of the cluster.

use std::ffi::OsString;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use serde_json::json;
use tempfile::TempDir;
use tokio::process::Command;
use tokio::sync::Mutex;

use crate::cache::Entry;
use crate::command::{command, output};
use crate::images;
use crate::stage::{Progress, progressing, say};

const REQUIREMENTS: &str = include_str!("../airflow/requirements.txt");
/// Installs the requirements in seconds, where pip takes minutes.
const UV: &str = "uv==0.13.8";
/// Debian's own, whatever else calls itself python3 on this machine.
const PYTHON: &str = "/usr/bin/python3";

/// Installs Airflow into the cache, unless it is there, and returns the cache's folder: the environment in `venv`,
/// and a database that is ready to be copied in `airflow.db`.
///
/// # Errors
/// When the packages cannot be had or Airflow does not start.
pub async fn prepare() -> Result<PathBuf> {
    let entry = entry().await?;
    if entry.is_complete() {
        say(&format!("==> Airflow: cached in {}", entry.folder().display()));
        return Ok(entry.folder().to_owned());
    }
    progressing("installing Airflow", async |progress| fill(entry, progress).await).await
}

/// The cache's entry: what is in it depends on the requirements and on the Python that they are built for.
async fn entry() -> Result<Entry> {
    let python = output(command(PYTHON).arg("--version")).await?;
    Entry::open("airflow", &[REQUIREMENTS, UV, &python].map(str::as_bytes))
}

async fn fill(entry: Entry, progress: &Progress) -> Result<PathBuf> {
    progress.set("making its environment");
    let (venv, home) = (entry.folder().join("venv"), entry.folder().join("home"));
    let requirements = images::root().join("tests/cluster/airflow/requirements.txt");
    output(command(PYTHON).args(["-m", "venv"]).arg(&venv)).await?;
    output(command(venv.join("bin/pip")).args(["install", "--quiet", UV])).await?;
    progress.set(format!("installing its {} packages", REQUIREMENTS.lines().count()));
    let mut uv = command(venv.join("bin/uv"));
    // The machine's own certificates, as pip, cargo and Go take them: a proxy's CA is known there.
    uv.args(["pip", "install", "--quiet", "--system-certs", "--python"]).arg(venv.join("bin/python"));
    output(uv.arg("--requirements").arg(requirements)).await?;
    progress.set("making its database");
    // Making the database takes longer than all else before a DAG's first task, so each run copies this one.
    output(airflow(&venv, &home, "airflow").args(["db", "migrate"])).await?;
    std::fs::rename(home.join("airflow.db"), entry.folder().join("airflow.db"))
        .context("keep Airflow's database")?;
    std::fs::remove_dir_all(&home).context("remove Airflow's first home")?;
    entry.complete()
}

fn airflow(venv: &Path, home: &Path, program: &str) -> Command {
    let mut program = command(venv.join("bin").join(program));
    program.env("AIRFLOW_HOME", home).env("AIRFLOW__CORE__LOAD_EXAMPLES", "False");
    program
}

/// Held while an Airflow runs: each takes a core for most of its time, and several at once leave so little of a small
/// machine that the webhook's answers come too late.
static RUNS: Mutex<()> = Mutex::const_new(());

/// An Airflow of its own: an empty database, and a connection to the cluster that `KUBECONFIG` names.
pub struct Airflow {
    venv: PathBuf,
    home: TempDir,
    connection: OsString,
}

/// How a DAG's run ended.
#[derive(Debug)]
pub struct DagRun {
    /// Whether Airflow marked the run as successful.
    pub succeeded: bool,
    /// Everything that Airflow said, with the tasks' logs as it fetched them.
    pub log: String,
}

impl Airflow {
    /// An Airflow whose pods run in `namespace`, from the environment that [`prepare`] made. Its files lie beside
    /// the kubeconfig and go when this is dropped.
    ///
    /// # Errors
    /// When Airflow has not been installed, or `kubeconfig`'s folder cannot be written.
    pub async fn new(kubeconfig: &Path, namespace: &str) -> Result<Self> {
        let entry = entry().await?;
        if !entry.is_complete() {
            anyhow::bail!(
                "Airflow is not installed: run `bootlace-cluster prepare`, where there is a network"
            );
        }
        let beside = kubeconfig.parent().context("the kubeconfig lies in no folder")?;
        let home =
            tempfile::Builder::new().prefix("airflow-").tempdir_in(beside).context("make Airflow's home")?;
        std::fs::copy(entry.folder().join("airflow.db"), home.path().join("airflow.db"))
            .context("copy Airflow's database")?;
        let connection = json!({ "conn_type": "kubernetes", "extra": {
            "kube_config_path": kubeconfig,
            "namespace": namespace,
            // The provider's default is an image that would be pulled.
            "xcom_sidecar_container_image": images::named(images::BUSYBOX),
        }});
        let dags = home.path().join("dags");
        copy_dags(&dags)?;
        Ok(Self { venv: entry.folder().join("venv"), home, connection: connection.to_string().into() })
    }

    /// Runs the DAG `dag` of `tests/cluster/airflow/dags` once, for the logical date `date` (`2026-01-01`), to its
    /// end. Runs wait for one another.
    ///
    /// # Errors
    /// When Airflow cannot be started. A run that fails is no error.
    pub async fn run(&self, dag: &str, date: &str) -> Result<DagRun> {
        let mut airflow = self.program("airflow");
        airflow.args(["dags", "test", dag, date]);
        ended(airflow).await
    }

    /// Runs the DAG as [`run`](Self::run) does, clears the run, as a person does to have its tasks run again, and runs it
    /// to its end again.
    ///
    /// # Errors
    /// When Airflow cannot be started. A run that fails is no error.
    pub async fn run_and_clear(&self, dag: &str, date: &str) -> Result<DagRun> {
        let mut python = self.program("python");
        python.arg(images::root().join("tests/cluster/airflow/again.py")).args([dag, date]);
        ended(python).await
    }

    /// A program of the environment, which finds the DAGs and the cluster.
    fn program(&self, name: &str) -> Command {
        let mut program = airflow(&self.venv, self.home.path(), name);
        program.env("AIRFLOW__CORE__DAGS_FOLDER", self.home.path().join("dags"));
        program.env("AIRFLOW_CONN_KUBERNETES_DEFAULT", &self.connection);
        program
    }
}

/// Copies `tests/cluster/airflow/dags`, with the images' names as the cluster knows them.
fn copy_dags(to: &Path) -> Result<()> {
    let from = images::root().join("tests/cluster/airflow/dags");
    let copy = || -> std::io::Result<()> {
        std::fs::create_dir(to)?;
        for entry in std::fs::read_dir(&from)? {
            let entry = entry?;
            // Not what Python compiled beside them.
            if entry.path().extension().is_some_and(|extension| extension == "py") {
                let text = std::fs::read_to_string(entry.path())?;
                std::fs::write(to.join(entry.file_name()), images::named(&text))?;
            }
        }
        Ok(())
    };
    copy().with_context(|| format!("copy {}", from.display()))
}

/// What became of a DAG's run.
async fn ended(mut airflow: Command) -> Result<DagRun> {
    let _alone = RUNS.lock().await;
    let output = airflow.output().await.context("start Airflow")?;
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    let log = text(&output.stdout) + &text(&output.stderr);
    Ok(DagRun { succeeded: output.status.success(), log })
}
