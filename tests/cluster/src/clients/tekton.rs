//! Tekton Pipelines. Its controller runs as a process, for one namespace and with the configuration of that
//! namespace, so that scenarios can use different feature flags.
//!
//! The webhooks of Tekton, which set defaults and validate objects, do not run: the controller sets the same
//! defaults, and the objects of the scenarios are valid.

use std::collections::BTreeMap;
use std::fmt::{self, Display, Formatter};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use bootlace_image::archive::Config;
use bootlace_image::layer::Layer;
use k8s_openapi::api::core::v1::ConfigMap;
use kube::api::{Api, DynamicObject, Patch, PatchParams};
use kube::runtime::wait::await_condition;
use serde_json::{Value, json};
use tokio::time::timeout;

use super::process::{Process, end};
use super::{Client, Demo, OptIn, crds};
use crate::cache::Entry;
use crate::command::{command, output};
use crate::go_module::{GoModule, name};
use crate::images::BUSYBOX;
use crate::scenario::{LIMIT, Namespace, kubeconfig};
use crate::stage::{print, progressing};

/// The client.
pub const CLIENT: Client = Client {
    name: "tekton",
    requirements: &[],
    prepare: || Box::pin(prepare()),
    short: true,
    demo: Some(DEMO),
};
const DEMO: Demo = Demo {
    title: "Tekton",
    file: "schedulers/tekton/demo.yaml",
    command: "kubectl create --filename demo.yaml",
    opt_in: OptIn::Namespace,
    run: |namespace| Box::pin(run_demo(namespace)),
};

/// The scheduler and its version, for the table of results.
pub const TITLE: &str = "Tekton 1.6.0";

const MODULE: GoModule = GoModule {
    folder: "schedulers/tekton",
    go_mod: include_str!("../../schedulers/tekton/go.mod"),
    go_sum: include_str!("../../schedulers/tekton/go.sum"),
    sources: &[],
};
const PIPELINE: &str = "github.com/tektoncd/pipeline";
const CONTROLLER: &str = "github.com/tektoncd/pipeline/cmd/controller";
/// The programs that run in pods. The controller starts them at `/ko-app`, where Tekton's images contain
/// them.
const IN_PODS: [&str; 4] = [
    "github.com/tektoncd/pipeline/cmd/entrypoint",
    "github.com/tektoncd/pipeline/cmd/nop",
    "github.com/tektoncd/pipeline/cmd/sidecarlogresults",
    "github.com/tektoncd/pipeline/cmd/workingdirinit",
];
/// The image with all programs in [`IN_PODS`].
const IMAGE: &str = "localhost/tekton:test";
/// The files in the cache entry.
const CRDS: &str = "crds.json";
const CONFIGURATION: &str = "configuration.json";

/// The names of the `ConfigMap`s, as in the Deployment of the controller.
const CONFIGURATION_NAMES: [(&str, &str); 6] = [
    ("CONFIG_DEFAULTS_NAME", "config-defaults"),
    ("CONFIG_LOGGING_NAME", "config-logging"),
    ("CONFIG_OBSERVABILITY_NAME", "config-observability"),
    ("CONFIG_FEATURE_FLAGS_NAME", FEATURE_FLAGS),
    ("CONFIG_LEADERELECTION_NAME", "config-leader-election-controller"),
    ("CONFIG_SPIRE", "config-spire"),
];
const FEATURE_FLAGS: &str = "feature-flags";

async fn prepare() -> Result<Vec<PathBuf>> {
    let programs = MODULE.build(&[&[CONTROLLER], &IN_PODS[..]].concat()).await?;
    let entry = entry(&programs)?;
    if entry.is_complete() {
        print(&format!("==> Tekton: cached in {}", entry.folder().display()));
        return Ok(vec![entry.folder().to_owned()]);
    }
    progressing("writing the image and the manifests of Tekton", async |_| {
        write_image(&programs, entry.folder())?;
        let config = MODULE.source_of(PIPELINE).await?.join("config");
        let crds = objects(&config.join("300-crds"), "CustomResourceDefinition")?;
        // The webhook, which converts between the versions of an object, does not run.
        let crds = crds.into_iter().map(|mut crd| {
            if let Some(spec) = crd.get_mut("spec").and_then(Value::as_object_mut) {
                spec.insert("conversion".to_owned(), json!({"strategy": "None"}));
            }
            crd
        });
        write_list(&entry.folder().join(CRDS), crds)?;
        let configuration = objects(&config, "ConfigMap")?.into_iter().map(|mut map| {
            if let Some(metadata) = map.get_mut("metadata").and_then(Value::as_object_mut) {
                metadata.remove("namespace");
            }
            map
        });
        write_list(&entry.folder().join(CONFIGURATION), configuration)?;
        Ok(vec![entry.complete()?])
    })
    .await
}

/// The cache entry, which depends on the programs, whose folder is named after a hash of their inputs, and on
/// this file.
fn entry(programs: &Path) -> Result<Entry> {
    Entry::open("tekton", &[programs.as_os_str().as_encoded_bytes(), include_bytes!("tekton.rs")])
}

fn write_image(programs: &Path, folder: &Path) -> Result<()> {
    let mut layer = Layer::new().folder("/tmp", 0o1777);
    for package in IN_PODS {
        layer = layer.program(&format!("/ko-app/{}", name(package)), &programs.join(name(package)))?;
    }
    // The controller starts the image `nop` without a command.
    let config = Config { entrypoint: vec!["/ko-app/nop".to_owned()], ..Config::default() };
    super::write_image(folder, "tekton", &layer, &config)
}

/// The objects of a kind in the files of a folder.
fn objects(folder: &Path, kind: &str) -> Result<Vec<Value>> {
    let mut objects = Vec::new();
    for file in std::fs::read_dir(folder).with_context(|| format!("list {}", folder.display()))? {
        let path = file?.path();
        if path.extension().is_some_and(|extension| extension == "yaml") {
            let text = std::fs::read_to_string(&path).with_context(|| format!("read {}", path.display()))?;
            let documents: Vec<Value> =
                serde_saphyr::from_multiple(&text).with_context(|| format!("parse {}", path.display()))?;
            objects.extend(documents.into_iter().filter(|document| document["kind"] == kind));
        }
    }
    Ok(objects)
}

fn write_list(file: &Path, items: impl Iterator<Item = Value>) -> Result<()> {
    let list = json!({"apiVersion": "v1", "kind": "List", "items": items.collect::<Vec<_>>()});
    std::fs::write(file, list.to_string()).with_context(|| format!("write {}", file.display()))
}

async fn run_demo(namespace: &Namespace) -> Result<String> {
    let mut tekton = Tekton::start(namespace, &[]).await?;
    namespace.create(include_str!("../../schedulers/tekton/demo.yaml")).await?;
    let ended = tekton.ended(namespace, "PipelineRun", "etl").await?;
    if ended.reason != "Succeeded" && ended.reason != "Completed" {
        bail!("the PipelineRun has ended as {}: {}", ended.reason, ended.message);
    }
    Ok(ended.reason)
}

/// The controller of a namespace, which runs until this value is dropped.
pub struct Tekton {
    controller: Process,
}

impl Tekton {
    /// Starts the controller, with the feature flags `flags` instead of their defaults.
    ///
    /// # Errors
    /// If Tekton is not in the cache, or the CRDs or the configuration cannot be applied.
    pub async fn start(namespace: &Namespace, flags: &[(&str, &str)]) -> Result<Self> {
        let programs = MODULE.built().await?;
        let entry = entry(&programs)?;
        if !entry.is_complete() {
            bail!("Tekton is not in the cache: run the scenario with `bootlace-cluster test`");
        }
        let files = entry.folder().to_owned();
        drop(entry);
        crds::apply(&files.join(CRDS)).await?;
        let mut apply = command("kubectl");
        apply.args(["apply", "--server-side", "--namespace", namespace.name(), "--filename"]);
        output(apply.arg(files.join(CONFIGURATION))).await?;
        let flags: Value = flags.iter().map(|(flag, value)| ((*flag).to_owned(), json!(value))).collect();
        let patch = Patch::Merge(json!({"data": flags}));
        let maps = namespace.api::<ConfigMap>();
        maps.patch(FEATURE_FLAGS, &PatchParams::default(), &patch).await.context("set the feature flags")?;

        let kubeconfig = kubeconfig()?;
        let mut controller = command(programs.join(name(CONTROLLER)));
        controller.arg("-kubeconfig").arg(&kubeconfig);
        controller.args(["-namespace", namespace.name(), "-disable-ha=true"]);
        for image in ["entrypoint", "nop", "sidecarlogresults", "workingdirinit"] {
            controller.args([format!("-{image}-image"), IMAGE.to_owned()]);
        }
        // The image for Windows must be set, but is not used.
        controller.args(["-shell-image", BUSYBOX, "-shell-image-win", BUSYBOX]);
        controller.env("SYSTEM_NAMESPACE", namespace.name()).envs(CONFIGURATION_NAMES);
        // Several controllers share the network of the node. Port 0 is any free port.
        controller.envs([("PROBES_PORT", "0"), ("PROFILING_PORT", "0"), ("DEFAULT_METRICS_BACKEND", "none")]);
        let folder = kubeconfig.parent().context("the path of the kubeconfig has no parent")?;
        let controller = Process::start(&format!("tekton-{}", namespace.name()), controller, folder)?;
        Ok(Self { controller })
    }

    /// Waits until the `TaskRun` or `PipelineRun` has ended, and returns how.
    ///
    /// # Errors
    /// If it does not end in time, or the controller exits. The message contains the end of the log of the
    /// controller.
    pub async fn ended(&mut self, namespace: &Namespace, kind: &str, run: &str) -> Result<Ended> {
        let ended = |run: Option<&DynamicObject>| run.is_some_and(|run| Ended::new(run).is_some());
        let ended = timeout(LIMIT, await_condition(api(namespace, kind), run, ended));
        let ended = tokio::select! {
            biased;
            ended = ended => ended,
            exited = self.controller.ended() => bail!("the controller has exited: {}", end(&exited?.1)),
        };
        let ended = ended.with_context(|| {
            let log = self.controller.output().unwrap_or_default();
            format!("timed out after {} s: {kind} {run} has not ended:\n{}", LIMIT.as_secs(), end(&log))
        })??;
        ended.as_ref().and_then(Ended::new).with_context(|| format!("{kind} {run} was deleted"))
    }
}

/// How a `TaskRun` or `PipelineRun` has ended.
#[derive(Debug, PartialEq)]
pub struct Ended {
    /// The reason of its condition `Succeeded`, such as `Succeeded` or `Failed`.
    pub reason: String,
    /// The message of the condition.
    pub message: String,
    /// Its results.
    pub results: BTreeMap<String, String>,
}

impl Ended {
    /// `None` if it has not ended.
    fn new(run: &DynamicObject) -> Option<Self> {
        let status = run.data.get("status")?;
        let conditions = status.get("conditions")?.as_array()?;
        let condition = conditions.iter().find(|condition| condition["type"] == "Succeeded")?;
        if condition["status"] == "Unknown" {
            return None;
        }
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        let results = status.get("results").and_then(Value::as_array).into_iter().flatten();
        Some(Self {
            reason: text(&condition["reason"]),
            message: text(&condition["message"]),
            results: results.map(|result| (text(&result["name"]), text(&result["value"]))).collect(),
        })
    }
}

impl Display for Ended {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.reason, self.message)?;
        for (name, value) in &self.results {
            match value.len() {
                0..=20 => write!(f, "; result {name}={value}")?,
                bytes => write!(f, "; result {name} of {bytes} bytes")?,
            }
        }
        Ok(())
    }
}

/// The API for objects of Tekton.
#[must_use]
pub fn api(namespace: &Namespace, kind: &str) -> Api<DynamicObject> {
    namespace.custom_api("tekton.dev", "v1", kind)
}
