//! Argo Workflows: a controller for each namespace, and the image of the executor in its pods.

use std::collections::BTreeMap;
use std::fmt;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use bootlace_image::archive::Config;
use bootlace_image::layer::Layer;
use kube::ResourceExt as _;
use kube::api::{Api, DeleteParams, DynamicObject, Patch, PatchParams};
use kube::runtime::wait::await_condition;
use serde_json::{Value, json};
use tempfile::TempDir;

use super::process::{Process, end};
use super::{Client, Demo, IMAGES, OptIn, crds};
use crate::command::command;
use crate::go_module::{Addition, GoModule, name};
use crate::scenario::{LIMIT, Namespace, kubeconfig, temporary_folder};

/// The scheduler, as in tables of results.
pub const TITLE: &str = "Argo Workflows 4.0.5";

/// The client.
pub const CLIENT: Client = Client {
    name: "argo",
    requirements: &[],
    prepare: || Box::pin(prepare()),
    short: true,
    demo: Some(DEMO),
};
const DEMO: Demo = Demo {
    title: "Argo Workflows",
    file: "schedulers/argo/workflows/demo.yaml",
    command: "argo submit --wait demo.yaml",
    opt_in: OptIn::Namespace,
    run: |namespace| Box::pin(run_demo(namespace)),
};

const MODULE: &str = "github.com/argoproj/argo-workflows/v4";
const CONTROLLER: &str = "github.com/argoproj/argo-workflows/v4/cmd/workflow-controller";
const EXECUTOR: &str = "github.com/argoproj/argo-workflows/v4/cmd/argoexec";
const SIGNALS: &str = include_str!("../../schedulers/argo/osspecific/signal_linux.go");
const PROGRAMS: GoModule = GoModule {
    folder: "schedulers/argo",
    go_mod: include_str!("../../schedulers/argo/go.mod"),
    go_sum: include_str!("../../schedulers/argo/go.sum"),
    sources: &[SIGNALS],
};
/// The published module does not contain this file, so it only builds for other systems.
const MISSING: Addition =
    Addition { module: MODULE, path: "workflow/executor/osspecific/signal_linux.go", content: SIGNALS };

/// The image of the executor.
const EXECUTOR_IMAGE: &str = "localhost/argoexec:test";

/// Files in the cache, and the manifests in the module that they consist of. The small definitions, because
/// those with a schema of all fields are too large for some clients.
const MANIFESTS: [(&str, &[&str]); 2] = [
    (
        CRDS,
        &[
            "base/crds/minimal/argoproj.io_clusterworkflowtemplates.yaml",
            "base/crds/minimal/argoproj.io_cronworkflows.yaml",
            "base/crds/minimal/argoproj.io_workflowartifactgctasks.yaml",
            "base/crds/minimal/argoproj.io_workflows.yaml",
            "base/crds/minimal/argoproj.io_workflowtaskresults.yaml",
            "base/crds/minimal/argoproj.io_workflowtasksets.yaml",
            "base/crds/minimal/argoproj.io_workflowtemplates.yaml",
        ],
    ),
    (
        PERMISSIONS,
        &[
            "quick-start/base/executor/emissary/executor-role.yaml",
            "quick-start/base/executor-default-rolebinding.yaml",
        ],
    ),
];
const CRDS: &str = "crds.yaml";
/// The permissions of the executor, for the default service account of a namespace.
const PERMISSIONS: &str = "permissions.yaml";

async fn prepare() -> Result<Vec<PathBuf>> {
    let folder = PROGRAMS.build_with(&[CONTROLLER, EXECUTOR], Some(&MISSING)).await?;
    let source = PROGRAMS.source_of(MODULE).await?.join("manifests");
    for (file, manifests) in MANIFESTS {
        let texts: Result<Vec<_>> = manifests
            .iter()
            .map(|path| source.join(path))
            .map(|path| std::fs::read_to_string(&path).with_context(|| format!("read {}", path.display())))
            .collect();
        let file = folder.join(file);
        std::fs::write(&file, texts?.join("\n---\n")).with_context(|| format!("write {}", file.display()))?;
    }
    write_image(&folder)?;
    Ok(vec![folder])
}

fn write_image(folder: &Path) -> Result<()> {
    if folder.join(IMAGES).exists() {
        return Ok(());
    }
    let layer = Layer::new().program("/bin/argoexec", &folder.join(name(EXECUTOR)))?.folder("/tmp", 0o1777);
    let config = Config { env: vec!["PATH=/bin".to_owned()], ..Config::default() };
    super::write_image(folder, "argoexec", &layer, &config)
}

async fn run_demo(namespace: &Namespace) -> Result<String> {
    let ended = Argo::start(namespace, &json!({})).await?.run(namespace, "demo").await?;
    if ended.phase != "Succeeded" {
        bail!("the workflow has ended as {}: {}", ended.phase, ended.message.unwrap_or_default());
    }
    Ok(ended.phase)
}

/// A controller for the workflows of one namespace. It runs until this value is dropped.
pub struct Argo {
    workflows: Api<DynamicObject>,
    controller: Process,
    /// Contains the log of the controller.
    _folder: TempDir,
}

impl Argo {
    /// Starts a controller for `namespace`, with `settings` in its `ConfigMap`.
    ///
    /// # Errors
    /// If Argo is not in the cache, or the API server refuses one of its objects.
    pub async fn start(namespace: &Namespace, settings: &Value) -> Result<Self> {
        let programs = PROGRAMS.built().await?;
        let permissions = programs.join(PERMISSIONS);
        let permissions = std::fs::read_to_string(&permissions).with_context(|| {
            format!("read {}: run the scenario with `bootlace-cluster test`", permissions.display())
        })?;
        crds::apply(&programs.join(CRDS)).await?;
        namespace.create(&permissions).await?;
        let mut settings = settings.clone();
        // All controllers run in the same network, in which only one could open the port.
        let fields = settings.as_object_mut().context("the settings are not an object")?;
        fields.insert("metricsConfig".to_owned(), json!({"enabled": false}));
        let config = json!({
            "apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "workflow-controller-configmap"},
            "data": {"config": settings.to_string()},
        });
        namespace.create(&config.to_string()).await?;

        let folder = temporary_folder("argo-")?;
        let mut controller = command(programs.join(name(CONTROLLER)));
        controller.arg("--kubeconfig").arg(kubeconfig()?);
        controller.args(["--namespaced", "--namespace", namespace.name()]);
        controller
            .args(["--executor-image", EXECUTOR_IMAGE, "--executor-image-pull-policy", "Never"])
            .env("LEADER_ELECTION_DISABLE", "true")
            // By default, the controller looks at a workflow only every 10 seconds. Less than one second is
            // not useful, because its caches may not have received its own changes.
            .env("DEFAULT_REQUEUE_TIME", "1s");
        let controller = Process::start("argo-controller", controller, folder.path())?;
        let workflows = namespace.custom_api("argoproj.io", "v1alpha1", "Workflow");
        Ok(Self { workflows, controller, _folder: folder })
    }

    /// Creates the workflow in `tests/cluster/schedulers/argo/workflows/FILE.yaml`, and waits until it has
    /// ended.
    ///
    /// # Errors
    /// If it cannot be created or does not end in time, and if the controller exits. A failed workflow is not
    /// an error.
    pub async fn run(&mut self, namespace: &Namespace, file: &str) -> Result<Ended> {
        let file = PROGRAMS.source_folder().join("workflows").join(format!("{file}.yaml"));
        let yaml = std::fs::read_to_string(&file).with_context(|| format!("read {}", file.display()))?;
        let created = namespace.create(&yaml).await?;
        let name = created.first().context("the file contains no workflow")?.object.name_any();
        self.ended(&name).await
    }

    /// Waits until the workflow has ended.
    ///
    /// # Errors
    /// If it does not end in time, and if the controller exits. A failed workflow is not an error.
    pub async fn ended(&mut self, name: &str) -> Result<Ended> {
        let has_ended =
            |workflow: Option<&DynamicObject>| workflow.is_some_and(|workflow| Ended::of(workflow).is_some());
        let ended = await_condition(self.workflows.clone(), name, has_ended);
        let workflow = tokio::select! {
            waited = tokio::time::timeout(LIMIT, ended) => waited.ok(),
            exited = self.controller.ended() => bail!("the controller has exited:\n{}", end(&exited?.1)),
        };
        let workflow = match workflow {
            Some(workflow) => workflow?.context("the workflow was deleted")?,
            None => bail!(
                "timed out after {} s: workflow {name} has not ended. The end of the log of the controller:\n{}",
                LIMIT.as_secs(),
                end(&self.controller.output()?),
            ),
        };
        Ended::of(&workflow).context("the workflow has not ended")
    }

    /// Shuts the workflow down with a strategy: `Stop`, as `argo stop` does, or `Terminate`, as
    /// `argo terminate` does.
    ///
    /// # Errors
    /// If it does not exist.
    pub async fn shut_down(&self, name: &str, strategy: &str) -> Result<()> {
        let patch = Patch::Merge(json!({"spec": {"shutdown": strategy}}));
        let patched = self.workflows.patch(name, &PatchParams::default(), &patch).await;
        patched.with_context(|| format!("shut down workflow {name}")).map(drop)
    }

    /// Deletes the workflow. Kubernetes then deletes its pods.
    ///
    /// # Errors
    /// If it does not exist.
    pub async fn delete(&self, name: &str) -> Result<()> {
        let deleted = self.workflows.delete(name, &DeleteParams::background()).await;
        deleted.with_context(|| format!("delete workflow {name}")).map(drop)
    }
}

/// A workflow that has ended.
#[derive(Debug)]
pub struct Ended {
    /// Its name, which differs in each run.
    pub name: String,
    /// `Succeeded`, `Failed` or `Error`.
    pub phase: String,
    /// Why it has failed.
    pub message: Option<String>,
    /// The phase and message of each node, by its name without that of the workflow: `.extract`,
    /// `[0].write(1:b)(0)`.
    pub nodes: BTreeMap<String, [String; 2]>,
}

impl Ended {
    fn of(workflow: &DynamicObject) -> Option<Self> {
        let status = workflow.data.get("status")?;
        let text = |value: &Value, key| value.get(key).and_then(Value::as_str).map(str::to_owned);
        let phase = text(status, "phase")?;
        // Set together with the last phase, unlike the phase itself, which an exit handler follows.
        status.get("finishedAt").filter(|time| !time.is_null())?;
        let name = workflow.name_any();
        let nodes =
            status.get("nodes").and_then(Value::as_object).into_iter().flat_map(|nodes| nodes.values());
        let nodes = nodes.map(|node| {
            let path = text(node, "name").unwrap_or_default();
            let path = path.strip_prefix(&name).unwrap_or(&path).to_owned();
            (path, ["phase", "message"].map(|key| text(node, key).unwrap_or_default()))
        });
        Some(Self { phase, message: text(status, "message"), nodes: nodes.collect(), name })
    }
}

impl PartialEq for Ended {
    fn eq(&self, other: &Self) -> bool {
        (&self.phase, &self.message, &self.nodes) == (&other.phase, &other.message, &other.nodes)
    }
}

impl fmt::Display for Ended {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.phase)?;
        self.message.iter().try_for_each(|message| write!(f, " ({message})"))
    }
}
