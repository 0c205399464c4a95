//! Nextflow, which runs each task of a workflow in a pod without an owner.

use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use anyhow::{Context as _, Result, ensure};
use bootlace_image::archive::Config;
use futures::FutureExt as _;
use k8s_openapi::api::core::v1 as core;
use kube::{Api, ResourceExt as _};
use serde_json::json;
use tempfile::TempDir;

use super::maven::{self, JAVA};
use super::process::Process;
use super::{Client, Demo, OptIn, debian};
use crate::cache::Entry;
use crate::command::command;
use crate::images;
use crate::scenario::{Namespace, kubeconfig, temporary_folder};
use crate::stage::{Progress, print, progressing};

/// The client.
pub const CLIENT: Client = Client {
    name: "nextflow",
    requirements: &maven::REQUIREMENTS,
    prepare: || async { Ok(vec![prepare().await?]) }.boxed(),
    short: false,
    demo: Some(DEMO),
};
const DEMO: Demo = Demo {
    title: "Nextflow",
    file: "schedulers/nextflow/demo.nf",
    command: "nextflow run demo.nf   # with `k8s.cleanup = false`: otherwise Nextflow deletes the pods of its tasks",
    opt_in: OptIn::Namespace,
    run: |namespace| Box::pin(run_demo(namespace)),
};

async fn run_demo(namespace: &Namespace) -> Result<String> {
    let run =
        Nextflow::new(namespace).await?.run_with(namespace, "demo.nf", "k8s.cleanup = false\n", &[]).await?;
    ensure!(run.status == "OK", "the run has ended as {}:\n{}", run.status, run.log);
    Ok(run.status)
}

/// The jars of Nextflow 24.10.0, the newest version whose parts are all on Maven Central.
const JARS: &str = include_str!("../../schedulers/nextflow/jars.sha256");
/// The image of the tasks: bash and the programs of coreutils, without an entrypoint.
const IMAGE: &str = "localhost/nextflow-task:test";
/// The claim of the volume that Nextflow shares with its pods.
const CLAIM: &str = "work";
/// The time within which a workflow must end. Nextflow checks its pods every five seconds.
const LIMIT: Duration = Duration::from_mins(4);

/// Groovy and the serialization library need access to internal classes of Java; Nextflow's own start script
/// sets the same options.
const OPENED: [&str; 10] = [
    "java.base/java.lang",
    "java.base/java.io",
    "java.base/java.nio",
    "java.base/java.net",
    "java.base/java.util",
    "java.base/java.util.concurrent.locks",
    "java.base/java.util.concurrent.atomic",
    "java.base/sun.nio.ch",
    "java.base/sun.nio.fs",
    "java.base/jdk.internal.vm",
];

async fn prepare() -> Result<PathBuf> {
    let entry = entry()?;
    if entry.is_complete() {
        print(&format!("==> nextflow: cached in {}", entry.folder().display()));
        return Ok(entry.folder().to_owned());
    }
    progressing("installing nextflow", async |progress| fill(entry, progress).await).await
}

fn entry() -> Result<Entry> {
    Entry::open("nextflow", &[JARS.as_bytes()])
}

async fn fill(entry: Entry, progress: &Progress) -> Result<PathBuf> {
    progress.set("downloading the jars");
    maven::download(JARS, &entry.folder().join("lib")).await?;
    progress.set("writing the image of its tasks");
    let config = Config {
        env: vec!["PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin".to_owned()],
        ..Config::default()
    };
    let layer = debian::layer(&["grep", "sed"]).await?;
    super::write_image(entry.folder(), "nextflow-task", &layer, &config)?;
    entry.complete()
}

/// A Nextflow whose pods run in one namespace.
pub struct Nextflow {
    lib: PathBuf,
    folder: TempDir,
}

/// A run of a workflow.
#[derive(Debug)]
pub struct Run {
    /// `OK` or `ERR`, as `nextflow log` shows it.
    pub status: String,
    /// The ID of the session.
    pub session: String,
    /// The tasks, in the order of their start.
    pub tasks: Vec<Task>,
    /// What Nextflow printed.
    pub log: String,
}

/// An attempt of a task.
#[derive(Debug)]
pub struct Task {
    /// Its name (`extract (1)`).
    pub name: String,
    /// Its exit code. `None` if its script did not end.
    pub exit: Option<i32>,
    /// Its standard output.
    pub output: String,
    started: SystemTime,
}

impl Nextflow {
    /// A Nextflow whose pods run in `namespace`, with a volume that it shares with them. Its files are next
    /// to the kubeconfig, and are removed when this value is dropped.
    ///
    /// # Errors
    /// If it is not in the cache, or the volume cannot be created.
    pub async fn new(namespace: &Namespace) -> Result<Self> {
        let entry = entry()?;
        ensure!(
            entry.is_complete(),
            "nextflow is not in the cache: run `bootlace-cluster test --schedulers`"
        );
        let this = Self { lib: entry.folder().join("lib"), folder: temporary_folder("nextflow-")? };
        let work = this.work();
        std::fs::create_dir(&work).with_context(|| format!("create {}", work.display()))?;
        namespace.create(&volume(namespace, &work).await?).await?;
        Ok(this)
    }

    /// Runs the workflow `workflow` in `tests/cluster/schedulers/nextflow`, and waits until it ends.
    ///
    /// # Errors
    /// If Nextflow cannot be started, does not end in time, or its files cannot be read. A failed run is not
    /// an error.
    pub async fn run(&self, namespace: &Namespace, workflow: &str) -> Result<Run> {
        self.run_with(namespace, workflow, "", &[]).await
    }

    /// As [`run`](Self::run), with `settings` at the end of its configuration, and with environment
    /// variables.
    ///
    /// # Errors
    /// As [`run`](Self::run).
    pub async fn run_with(
        &self,
        namespace: &Namespace,
        workflow: &str,
        settings: &str,
        variables: &[(&str, &str)],
    ) -> Result<Run> {
        let (folder, work) = (self.folder.path(), self.work());
        let config = folder.join("nextflow.config");
        let settings = configuration(namespace.name(), &work) + settings;
        std::fs::write(&config, settings).context("write nextflow.config")?;
        let script = images::root().join("tests/cluster/schedulers/nextflow").join(workflow);
        let mut java = command(JAVA);
        java.args(OPENED.map(|package| format!("--add-opens={package}=ALL-UNNAMED")));
        java.arg("-cp").arg(self.lib.join("*")).arg("nextflow.cli.Launcher");
        java.arg("-log").arg(folder.join("debug.log")).arg("-C").arg(&config).arg("run").arg(script);
        java.args(["-ansi-log", "false", "-work-dir"]).arg(&work).current_dir(folder);
        java.env("NXF_HOME", folder.join("home")).env("KUBECONFIG", kubeconfig()?);
        // Otherwise it looks for plugins and new versions on the network.
        java.envs([("NXF_PLUGINS_DEFAULT", "false"), ("NXF_OFFLINE", "true")]);
        java.envs(variables.iter().copied());
        let mut process = Process::start("nextflow", java, folder)?;
        let (_, log) = process.ended_within(LIMIT).await?;
        let history = std::fs::read_to_string(folder.join(".nextflow/history"));
        let history = history.with_context(|| format!("no run is in the history of Nextflow:\n{log}"))?;
        // The time, the duration, the name of the run, its status, the revision, the session, and the
        // command.
        let run: Vec<_> = history.lines().last().unwrap_or_default().split('\t').collect();
        let field =
            |at: usize| run.get(at).map(|field| (*field).to_owned()).context("the history is incomplete");
        Ok(Run { status: field(3)?, session: field(5)?, tasks: tasks(&work)?, log })
    }

    fn work(&self) -> PathBuf {
        self.folder.path().join("work")
    }
}

/// The volume that Nextflow and its pods share, under the same path, and the claim for it. It is deleted with
/// the namespace.
async fn volume(namespace: &Namespace, work: &Path) -> Result<String> {
    let name = namespace.name();
    let owner = Api::<core::Namespace>::all(namespace.client()).get(name).await?;
    let owner = json!({
        "apiVersion": "v1", "kind": "Namespace", "name": name, "uid": owner.uid().context("the namespace has no UID")?,
    });
    let (size, access) = (json!({"storage": "1Gi"}), json!(["ReadWriteMany"]));
    let volume = json!({
        "apiVersion": "v1", "kind": "PersistentVolume",
        "metadata": {"name": name, "ownerReferences": [owner]},
        "spec": {
            "capacity": size, "accessModes": access, "storageClassName": "", "hostPath": {"path": work},
            "claimRef": {"namespace": name, "name": CLAIM},
        },
    });
    let claim = json!({
        "apiVersion": "v1", "kind": "PersistentVolumeClaim", "metadata": {"name": CLAIM},
        "spec": {
            "resources": {"requests": size}, "accessModes": access, "storageClassName": "", "volumeName": name,
        },
    });
    Ok(format!("{volume}\n---\n{claim}"))
}

fn configuration(namespace: &str, work: &Path) -> String {
    format!(
        "process.executor = 'k8s'\n\
         process.container = '{image}'\n\
         k8s.namespace = '{namespace}'\n\
         k8s.imagePullPolicy = 'Never'\n\
         k8s.storageClaimName = '{CLAIM}'\n\
         k8s.storageMountPath = '{work}'\n",
        image = images::with_registry(IMAGE),
        work = work.display(),
    )
}

/// The tasks in the folder of a run, in the order of their start.
fn tasks(work: &Path) -> Result<Vec<Task>> {
    let mut tasks = Vec::new();
    // WORK/5f/c1c67921f61281135b092c83ed3537
    for folder in folders(work)?.iter().map(|folder| folders(folder)).collect::<Result<Vec<_>>>()?.concat() {
        let script = folder.join(".command.run");
        let Ok(text) = std::fs::read_to_string(&script) else { continue };
        let name = text.lines().find_map(|line| line.strip_prefix("### name: '")?.strip_suffix('\''));
        let name = name.with_context(|| format!("{} does not name its task", script.display()))?;
        let read = |file: &str| std::fs::read_to_string(folder.join(file)).unwrap_or_default();
        tasks.push(Task {
            name: name.to_owned(),
            exit: read(".exitcode").trim().parse().ok(),
            output: read(".command.out"),
            started: script.metadata().and_then(|metadata| metadata.modified()).context("read its time")?,
        });
    }
    tasks.sort_by_key(|task| task.started);
    Ok(tasks)
}

fn folders(parent: &Path) -> Result<Vec<PathBuf>> {
    let entries = std::fs::read_dir(parent).with_context(|| format!("list {}", parent.display()))?;
    let paths = entries.map(|entry| Ok(entry?.path())).collect::<Result<Vec<_>>>()?;
    Ok(paths.into_iter().filter(|path| path.is_dir()).collect())
}
