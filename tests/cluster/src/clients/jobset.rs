//! `JobSet`: its controller, which has webhooks for `JobSets` and for pods.

use anyhow::{Context as _, Result, ensure};
use futures::FutureExt as _;
use kube::api::{Api, DynamicObject};
use serde_json::{Value, json};
use tokio::sync::Mutex;

use super::controller::{Controller, Kind, Order};
use super::{Client, Demo, OptIn, crds};
use crate::command::command;
use crate::go_module::{GoModule, name};
use crate::node::ADDRESS;
use crate::scenario::{LIMIT, Namespace};
use crate::wait::until_async;

/// Its scenarios are in `schedulers::jobset`.
pub const CLIENT: Client = Client {
    name: "jobset",
    requirements: &[],
    prepare: || async { Ok(vec![MODULE.build(&[PACKAGE]).await?]) }.boxed(),
    short: false,
    demo: Some(DEMO),
};
const DEMO: Demo = Demo {
    title: "JobSet",
    file: "schedulers/jobset/demo.yaml",
    command: "kubectl create --filename demo.yaml",
    opt_in: OptIn::Namespace,
    run: |namespace| run_demo(namespace).boxed_local(),
};
/// As the results name it.
pub const TITLE: &str = "JobSet 0.10.1";

const MODULE: GoModule = GoModule {
    folder: "schedulers/jobset",
    go_mod: include_str!("../../schedulers/jobset/go.mod"),
    go_sum: include_str!("../../schedulers/jobset/go.sum"),
    sources: &[],
};
const PACKAGE: &str = "sigs.k8s.io/jobset";
static KIND: Kind = Kind { name: "jobset", health_port: 9500, webhook_port: 9501, one: Mutex::const_new(()) };

/// Starts the controller.
///
/// # Errors
/// As [`Controller::start`].
pub async fn start() -> Result<Controller> {
    let (folder, source) = (MODULE.built().await?, MODULE.source_of(PACKAGE).await?);
    crds::apply(&source.join("config/components/crd/bases")).await?;
    Controller::start(&KIND, |files| {
        let config = json!({
            "apiVersion": "config.jobset.x-k8s.io/v1alpha1", "kind": "Configuration",
            "leaderElection": {"leaderElect": false},
            // The harness has written the certificate.
            "internalCertManagement": {"enable": false},
            "metrics": {"bindAddress": "0"},
            "health": {"healthProbeBindAddress": format!("{ADDRESS}:{}", KIND.health_port)},
            "webhook": {"port": KIND.webhook_port, "certDir": files},
        });
        let file = files.join("config.yaml");
        std::fs::write(&file, config.to_string()).context("write the configuration of JobSet")?;
        let mut program = command(folder.join(name(PACKAGE)));
        program.arg("--config").arg(file);
        Ok(program)
    })
    .await
}

/// Lets the controller review the `JobSets` and pods in a namespace.
///
/// # Errors
/// As [`Controller::cover`].
pub async fn cover(controller: &Controller, namespace: &Namespace) -> Result<()> {
    let source = MODULE.source_of(PACKAGE).await?;
    let file = source.join("config/components/webhook/manifests.yaml");
    let manifests = std::fs::read_to_string(&file).with_context(|| format!("read {}", file.display()))?;
    let template = json!({"restartPolicy": "Never", "containers": [{"name": "main", "image": "none"}]});
    let jobs = json!([{"name": "job", "template": {"spec": {"template": {"spec": template}}}}]);
    let jobset = json!({
        "apiVersion": "jobset.x-k8s.io/v1alpha2", "kind": "JobSet", "metadata": {"name": "reviewed"},
        "spec": {"replicatedJobs": jobs},
    });
    let jobset = jobset.to_string();
    controller
        .cover(namespace, &manifests, Order::AfterBootlace, async || {
            let created = namespace.dry_run(&jobset).await?;
            // The CRD has no default for this field.
            let mode = "/spec/replicatedJobs/0/template/spec/completionMode";
            let defaulted = created.iter().all(|created| created.object.data.pointer(mode).is_some());
            ensure!(defaulted, "{mode} of a JobSet is not set");
            Ok(())
        })
        .await
}

/// The API for `JobSets`.
#[must_use]
pub fn api(namespace: &Namespace) -> Api<DynamicObject> {
    namespace.custom_api("jobset.x-k8s.io", "v1alpha2", "JobSet")
}

/// Waits until a `JobSet` has ended, and returns its state: `Completed after 1 restart`.
///
/// # Errors
/// If it does not end in time.
pub async fn ended(namespace: &Namespace, name: &str) -> Result<String> {
    until_async(LIMIT, &format!("JobSet {name} has not ended"), async || {
        let jobset = api(namespace).get(name).await?.data;
        let state = jobset.pointer("/status/terminalState").and_then(Value::as_str);
        let state = state.context("no terminal state")?;
        let restarts = jobset.pointer("/status/restarts").and_then(Value::as_i64).unwrap_or_default();
        Ok(if restarts == 0 { state.to_owned() } else { format!("{state} after {restarts} restart") })
    })
    .await
}

async fn run_demo(namespace: &Namespace) -> Result<String> {
    let controller = start().await?;
    let result = async {
        cover(&controller, namespace).await?;
        namespace.create(include_str!("../../schedulers/jobset/demo.yaml")).await?;
        let state = ended(namespace, "etl").await?;
        ensure!(state == "Completed", "the JobSet has ended as {state}");
        Ok(state)
    };
    let result = result.await;
    controller.stop(result).await
}
