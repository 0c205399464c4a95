//! Airflow with its API server, scheduler, DAG processor, triggerer and Kubernetes executor. They are
//! processes next to the API server of the cluster. Worker pods have an image with the same environment, that
//! of [`crate::airflow`].

use std::fmt::Write as _;
use std::net::TcpListener;
use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use bootlace_image::archive::Config;
use futures::FutureExt as _;
use kube::ResourceExt as _;
use serde_json::json;
use tempfile::TempDir;
use tokio::process::Command;
use tokio::sync::{Mutex, MutexGuard};

use super::process::{Process, end};
use super::{Client, Demo, OptIn, app, python_image};
use crate::airflow;
use crate::cache::Entry;
use crate::command::{command, output};
use crate::node::ADDRESS;
use crate::scenario::{Namespace, kubeconfig, temporary_folder};
use crate::stage::progressing;
use crate::wait::until_async;

/// The modules that a worker imports.
const MODULES: [&str; 4] = [
    "airflow.__main__",
    "airflow.sdk.execution_time.execute_workload",
    "airflow.sdk.execution_time.task_runner",
    "kubernetes.client",
];
const WORKER: &str = include_str!("../../schedulers/airflow/worker.yaml");
const INSTALL: &str = include_str!("../../schedulers/airflow/install.yaml");
const RUN: &str = include_str!("../../schedulers/airflow/run.py");
/// The timeout for the start of Airflow: four Python programs, each of which needs a core for seconds.
const READY: Duration = Duration::from_mins(6);
/// The timeout for runs of DAGs. Each attempt of a task starts Python at least once.
const ENDED: Duration = Duration::from_mins(10);

/// How many lines of each log explain an unexpected end.
const LOG_LINES: usize = 30;

/// The time in which a component ends its own processes before it is killed.
const EXITED: Duration = Duration::from_secs(20);

/// Airflow with its Kubernetes provider.
pub const CLIENT: Client = Client {
    name: "airflow",
    requirements: &[],
    prepare: || async { Ok(vec![prepare().await?]) }.boxed(),
    short: false,
    demo: Some(DEMO),
};
/// See [`Client::demo_name`].
pub const DEMO_NAME: &str = "airflow-executor";
const DEMO: Demo = Demo {
    title: "Airflow with the Kubernetes executor",
    file: "schedulers/airflow/demo.py",
    command: "airflow dags unpause etl   # the scheduler of Airflow then starts the run",
    opt_in: OptIn::Namespace,
    run: |namespace| Box::pin(run_demo(namespace)),
};

async fn run_demo(namespace: &Namespace) -> Result<String> {
    let dags = include_str!("../../schedulers/airflow/demo.py");
    let airflow = Airflow::start(namespace, &Executor { dags, ..KUBERNETES }).await?;
    let state = airflow.run(&["etl"]).await?;
    ensure!(
        state.starts_with("etl success"),
        "the run has ended as {state}:\n{}",
        end(&airflow.log("scheduler")?)
    );
    // A task succeeds before its worker exits.
    for worker in namespace.pods(WORKERS).await? {
        namespace.pod_succeeded(&worker.name_any()).await?;
    }
    Ok(state)
}

/// An executor, with the DAGs that it runs.
pub struct Executor {
    name: &'static str,
    dags: &'static str,
}

/// Runs tasks in processes of the scheduler. Those of the operator wait for their pods in the triggerer.
pub const LOCAL: Executor =
    Executor { name: "LocalExecutor", dags: include_str!("../../schedulers/airflow/deferrable.py") };
/// Tasks of the operator that submit jobs to a remote system. The second one works until it is ended.
pub const REMOTE_JOBS: Executor =
    Executor { name: "LocalExecutor", dags: include_str!("../../airflow/dags/ended.py") };
/// Runs each task in its own pod.
pub const KUBERNETES: Executor =
    Executor { name: "KubernetesExecutor", dags: include_str!("../../schedulers/airflow/executor.py") };
/// Selects the pods of the Kubernetes executor.
pub const WORKERS: &str = "kubernetes_executor=True";

async fn prepare() -> Result<PathBuf> {
    let environment = airflow::prepare().await?;
    // The path contains a hash of everything in the environment.
    let path = environment.display().to_string();
    let inputs: Vec<_> = [path.as_str()].iter().chain(&MODULES).map(|input| input.as_bytes()).collect();
    let entry = Entry::open("airflow-image", &inputs)?;
    if entry.is_complete() {
        return Ok(entry.folder().to_owned());
    }
    progressing("writing the Airflow image", async |_| {
        let venv = environment.join("venv");
        let layer = python_image::layer(&venv, &MODULES, &[]).await?;
        let config = Config { env: vec![python_image::path(&venv)], ..Config::default() };
        super::write_image(entry.folder(), "airflow", &layer, &config)?;
        entry.complete()
    })
    .await
}

/// Locked while an Airflow runs: its programs need all cores of a small machine to start.
static ONE: Mutex<()> = Mutex::const_new(());

/// A running Airflow, until this value is dropped. No other one runs in this process at the same time.
pub struct Airflow {
    components: Vec<Process>,
    venv: PathBuf,
    port: u16,
    // After the components, which use its files.
    folder: TempDir,
    _one: MutexGuard<'static, ()>,
}

impl Airflow {
    /// Starts Airflow, whose pods run in `namespace`, and waits until it is ready.
    ///
    /// # Errors
    /// If it cannot be started, or exits or is not ready in time. The message contains the end of its output.
    pub async fn start(namespace: &Namespace, executor: &Executor) -> Result<Self> {
        let one = ONE.lock().await;
        let installed = airflow::prepared().await?;
        let folder = temporary_folder("airflow-")?;
        let home = folder.path();
        std::fs::create_dir(home.join("dags")).context("create the folder of DAGs")?;
        for (file, content) in [("dags/dags.py", executor.dags), ("worker.yaml", WORKER), ("run.py", RUN)] {
            std::fs::write(home.join(file), content).with_context(|| format!("write {file}"))?;
        }
        let database = home.join("airflow.db");
        std::fs::copy(installed.join("airflow.db"), &database).context("copy the Airflow database")?;

        // Free at this moment. All scenarios on the cluster share its address.
        let port = TcpListener::bind((ADDRESS, 0)).and_then(|listener| listener.local_addr());
        let port = port.context("find a free port")?.port();
        namespace.create(&app::config_map("airflow-app", [("dags.py", executor.dags)])).await?;
        namespace.create(&INSTALL.replace("API/", &format!("http://{ADDRESS}:{port}/"))).await?;

        let venv = installed.join("venv");
        let mut this = Self { components: Vec::new(), venv, port, folder, _one: one };
        for name in ["api-server", "scheduler", "dag-processor", "triggerer"] {
            let mut component = this.program("airflow", executor, namespace)?;
            component.arg(name);
            if name == "api-server" {
                component.args(["--workers", "1", "--port", &port.to_string()]);
            }
            this.components.push(Process::start(name, component, this.folder.path())?);
        }
        this.ready().await?;
        Ok(this)
    }

    /// A program of the environment, with the configuration of all components.
    fn program(&self, name: &str, executor: &Executor, namespace: &Namespace) -> Result<Command> {
        let (home, kubeconfig) = (self.folder.path(), kubeconfig()?);
        // Not the path of the kubeconfig: the trigger of a deferred task has its content already, from
        // KUBECONFIG, and refuses both.
        let connection = json!({"conn_type": "kubernetes", "extra": {"namespace": namespace.name()}});
        let mut program = command(self.venv.join("bin").join(name));
        program
            .env("AIRFLOW_HOME", home)
            .env("KUBECONFIG", &kubeconfig)
            .env("AIRFLOW_CONN_KUBERNETES_DEFAULT", connection.to_string())
            .env("AIRFLOW__CORE__DAGS_FOLDER", home.join("dags"))
            .env("AIRFLOW__KUBERNETES_EXECUTOR__POD_TEMPLATE_FILE", home.join("worker.yaml"))
            .env("AIRFLOW__KUBERNETES_EXECUTOR__CONFIG_FILE", kubeconfig)
            .env("AIRFLOW__KUBERNETES_EXECUTOR__NAMESPACE", namespace.name())
            .env(
                "AIRFLOW__CORE__EXECUTION_API_SERVER_URL",
                format!("http://{ADDRESS}:{}/execution/", self.port),
            )
            .envs([
                ("AIRFLOW__CORE__EXECUTOR", executor.name),
                ("AIRFLOW__CORE__LOAD_EXAMPLES", "False"),
                // The default is 30 s, in which a busy machine does not import the Kubernetes provider.
                ("AIRFLOW__CORE__DAGBAG_IMPORT_TIMEOUT", "300"),
                ("AIRFLOW__DAG_PROCESSOR__DAG_FILE_PROCESSOR_TIMEOUT", "300"),
                ("AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_ALL_ADMINS", "True"),
                // The components have to share these, which are random by default.
                ("AIRFLOW__API__SECRET_KEY", "a key of an Airflow that only exists while a scenario runs"),
                (
                    "AIRFLOW__API_AUTH__JWT_SECRET",
                    "another key of an Airflow that only exists while a scenario runs",
                ),
                ("AIRFLOW__KUBERNETES_EXECUTOR__IN_CLUSTER", "False"),
                // Keep the pods, to read their logs after the run.
                ("AIRFLOW__KUBERNETES_EXECUTOR__DELETE_WORKER_PODS", "False"),
                // The executor creates the pod of the next task before the output of this one is stored, and
                // is refused with 429. Without this setting, it does not try again.
                ("AIRFLOW__KUBERNETES_EXECUTOR__TASK_PUBLISH_MAX_RETRIES", "60"),
                // Any free ports: the servers for logs of local tasks and triggers are not used.
                ("AIRFLOW__LOGGING__WORKER_LOG_SERVER_PORT", "0"),
                ("AIRFLOW__LOGGING__TRIGGER_LOG_SERVER_PORT", "0"),
            ]);
        Ok(program)
    }

    async fn ready(&mut self) -> Result<()> {
        until_async(READY, "Airflow is not ready", async || {
            for component in &mut self.components {
                // Waiting longer does not help.
                if let Err(error) = component.is_running() {
                    return Ok(Err(error));
                }
            }
            let output = self.client(&[]).output().await.context("start the client of Airflow")?;
            ensure!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
            Ok(Ok(()))
        })
        .await?
    }

    /// The program that uses the API of Airflow: see the file for its arguments.
    fn client(&self, arguments: &[&str]) -> Command {
        let mut client = command(self.venv.join("bin/python"));
        client
            .arg(self.folder.path().join("run.py"))
            .arg(format!("http://{ADDRESS}:{}", self.port))
            .args(arguments);
        client
    }

    /// Runs the DAGs `dags`, each of which has one scheduled run, and waits until they have ended. Returns
    /// their states, with the states and attempts of their tasks (`etl success: extract success 2`).
    ///
    /// # Errors
    /// If they do not end in time. A failed run is not an error.
    pub async fn run(&self, dags: &[&str]) -> Result<String> {
        let names = dags.join(" and ");
        let output = tokio::time::timeout(ENDED, self.client(dags).output()).await;
        let output = output
            .with_context(|| format!("timed out after {} s: {names} has not ended", ENDED.as_secs()))?;
        let output = output.context("start the client of Airflow")?;
        if !output.status.success() {
            bail!("{names} cannot be run: {}", String::from_utf8_lossy(&output.stderr));
        }
        Ok(String::from_utf8_lossy(&output.stdout).trim().to_owned())
    }

    /// Sets a task of a run that [`run`](Self::run) waits for to failed, as a user does.
    ///
    /// # Errors
    /// If Airflow refuses it.
    pub async fn fail(&self, dag: &str, task: &str) -> Result<()> {
        output(&mut self.client(&["--fail", dag, task])).await.map(drop)
    }

    /// The output of a component (`scheduler`) until now.
    ///
    /// # Errors
    /// If there is no such component, or its output cannot be read.
    pub fn log(&self, component: &str) -> Result<String> {
        let process = self.components.iter().find(|process| process.name() == component);
        process.with_context(|| format!("there is no component {component}"))?.output()
    }

    /// The last lines of the logs of all attempts of all tasks, to explain how they ended.
    ///
    /// # Errors
    /// If a log cannot be read.
    pub fn task_logs(&self) -> Result<String> {
        let mut text = String::new();
        let mut folders = vec![self.folder.path().join("logs")];
        while let Some(folder) = folders.pop() {
            for file in std::fs::read_dir(&folder).with_context(|| format!("list {}", folder.display()))? {
                let path = file.with_context(|| format!("list {}", folder.display()))?.path();
                if path.is_dir() {
                    folders.push(path);
                } else if path.to_string_lossy().contains("attempt=") {
                    let log = std::fs::read_to_string(&path).context("read the log of a task")?;
                    let lines: Vec<_> = log.lines().collect();
                    let end = lines.len().saturating_sub(LOG_LINES);
                    writeln!(
                        text,
                        "{}:\n{}",
                        path.display(),
                        lines.get(end..).unwrap_or_default().join("\n")
                    )?;
                }
            }
        }
        Ok(text)
    }

    /// The log of the triggers of an attempt, if the task was deferred.
    ///
    /// # Errors
    /// If it was not deferred, or the log cannot be read.
    pub fn trigger_log(&self, dag: &str, run: &str, task: &str, attempt: u8) -> Result<String> {
        let logs = format!("logs/dag_id={dag}/run_id={run}/task_id={task}");
        let logs = self.folder.path().join(logs);
        let start = format!("attempt={attempt}.log.trigger.");
        for file in std::fs::read_dir(&logs).with_context(|| format!("list {}", logs.display()))? {
            let file = file.with_context(|| format!("list {}", logs.display()))?;
            if file.file_name().to_string_lossy().starts_with(&start) {
                return std::fs::read_to_string(file.path()).context("read the log of a trigger");
            }
        }
        bail!("{task} of {dag} was not deferred in attempt {attempt}")
    }
}

impl Drop for Airflow {
    fn drop(&mut self) {
        self.components.iter().for_each(Process::terminate);
        self.components.iter_mut().for_each(|component| component.exited(EXITED));
    }
}
