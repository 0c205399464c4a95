//! The training operator of Kubeflow, with its webhook for `PyTorchJobs`.

use anyhow::{Context as _, Result, bail, ensure};
use futures::FutureExt as _;
use k8s_openapi::api::core::v1::Secret;
use kube::api::{Api, DynamicObject, ObjectMeta, Patch, PatchParams};
use serde_json::{Value, json};
use tokio::sync::Mutex;

use super::controller::{Controller, Kind, Order, copy_certificate, overlaid};
use super::{Client, Demo, OptIn, crds};
use crate::go_module::{GoModule, name};
use crate::images::BUSYBOX;
use crate::node::ADDRESS;
use crate::scenario::{LIMIT, Namespace, client};
use crate::wait::until_async;

/// Its scenarios are in `schedulers::training_operator`.
pub const CLIENT: Client = Client {
    name: "training_operator",
    requirements: &[],
    prepare: || async { Ok(vec![MODULE.build(&[PACKAGE]).await?]) }.boxed(),
    short: false,
    demo: Some(DEMO),
};
const DEMO: Demo = Demo {
    title: "the Kubeflow training operator",
    file: "schedulers/training-operator/demo.yaml",
    command: "kubectl create --filename demo.yaml",
    opt_in: OptIn::Namespace,
    run: |namespace| run_demo(namespace).boxed_local(),
};
/// As the results name it.
pub const TITLE: &str = "Kubeflow training operator 1.8.1";

const MODULE: GoModule = GoModule {
    folder: "schedulers/training-operator",
    go_mod: include_str!("../../schedulers/training-operator/go.mod"),
    go_sum: include_str!("../../schedulers/training-operator/go.sum"),
    sources: &[],
};
const PACKAGE: &str = "github.com/kubeflow/training-operator/cmd/training-operator.v1";
const SOURCE: &str = "github.com/kubeflow/training-operator";
static KIND: Kind =
    Kind { name: "training-operator", health_port: 9520, webhook_port: 9521, one: Mutex::const_new(()) };
/// The namespace and the name of the Secret into which the operator writes its certificates. It does not
/// start if there is no such Secret.
const SECRET: (&str, &str) = ("default", "training-operator-webhook-cert");
/// The init container of workers, which waits until the name of the master can be resolved. As in the
/// operator, except for the result of nslookup: since Busybox 1.31, it fails if one of the search domains
/// does not contain the name.
const INIT_CONTAINER: &str = "
- name: init-pytorch
  image: {{.InitContainerImage}}
  imagePullPolicy: IfNotPresent
  resources:
    limits: {cpu: 100m, memory: 20Mi}
    requests: {cpu: 50m, memory: 10Mi}
  command: [sh, -c]
  args:
  - |
    for i in $(seq {{.MaxTries}}); do
      nslookup {{.MasterAddr}} | grep ^Name: && exit
      echo waiting for master
      sleep 2
    done
    exit 1
";

/// Starts the operator for `PyTorchJobs`.
///
/// # Errors
/// As [`Controller::start`].
pub async fn start() -> Result<Controller> {
    let (folder, source) = (MODULE.built().await?, MODULE.source_of(SOURCE).await?);
    let crd = source.join("manifests/base/crds/kubeflow.org_pytorchjobs.yaml");
    crds::apply(&crd).await?;
    apply_secret().await?;
    Controller::start(&KIND, |files| {
        // Fixed in the program. Its own certificate has no address, so it serves the one of the harness,
        // which is where the kubelet would mount its Secret.
        let tmp = files.join("tmp");
        copy_certificate(files, &tmp.join("k8s-webhook-server/serving-certs"))?;
        let mut program = overlaid("/tmp", &tmp, &folder.join(name(PACKAGE)))?;
        program.args(["--enable-scheme=pytorchjob", "--metrics-bind-address=0"]);
        program.arg(format!("--health-probe-bind-address={ADDRESS}:{}", KIND.health_port));
        program.arg(format!("--webhook-server-port={}", KIND.webhook_port));
        program.arg(format!("--webhook-secret-name={}", SECRET.1)).env("MY_POD_NAMESPACE", SECRET.0);
        let file = files.join("init.yaml");
        std::fs::write(&file, INIT_CONTAINER).context("write the init container of workers")?;
        program.arg(format!("--pytorch-init-container-image={BUSYBOX}"));
        program.arg("--pytorch-init-container-template-file").arg(file);
        Ok(program)
    })
    .await
}

async fn apply_secret() -> Result<()> {
    let metadata = ObjectMeta { name: Some(SECRET.1.to_owned()), ..ObjectMeta::default() };
    let secret = Secret { metadata, ..Secret::default() };
    let secrets = Api::<Secret>::namespaced(client().await?, SECRET.0);
    let (params, patch) = (PatchParams::apply("bootlace-cluster"), Patch::Apply(&secret));
    let applied = secrets.patch(SECRET.1, &params, &patch).await;
    applied.with_context(|| format!("apply the Secret {}", SECRET.1)).map(drop)
}

/// Lets the operator review the `PyTorchJobs` in a namespace.
///
/// # Errors
/// As [`Controller::cover`].
pub async fn cover(controller: &Controller, namespace: &Namespace) -> Result<()> {
    let file = MODULE.source_of(SOURCE).await?.join("manifests/base/webhook/manifests.yaml");
    let manifests = std::fs::read_to_string(&file).with_context(|| format!("read {}", file.display()))?;
    let template = json!({"spec": {"containers": [{"name": "not-pytorch", "image": "none"}]}});
    let job = json!({
        "apiVersion": "kubeflow.org/v1", "kind": "PyTorchJob", "metadata": {"name": "reviewed"},
        "spec": {"pytorchReplicaSpecs": {"Master": {"template": template}}},
    });
    let job = job.to_string();
    controller
        .cover(namespace, &manifests, Order::AfterBootlace, async || match namespace.dry_run(&job).await {
            Err(error) if error.to_string().contains("container with name pytorch") => Ok(()),
            Err(error) => Err(error),
            Ok(_) => bail!("a PyTorchJob without a container called pytorch is not refused"),
        })
        .await
}

/// The API for `PyTorchJobs`.
#[must_use]
pub fn api(namespace: &Namespace) -> Api<DynamicObject> {
    namespace.custom_api("kubeflow.org", "v1", "PyTorchJob")
}

/// Waits until a `PyTorchJob` has ended, and returns its last condition: `Succeeded` or `Failed`.
///
/// # Errors
/// If it does not end in time.
pub async fn ended(namespace: &Namespace, name: &str) -> Result<&'static str> {
    until_async(LIMIT, &format!("PyTorchJob {name} has not ended"), async || {
        let job = api(namespace).get(name).await?;
        let conditions = job.data.pointer("/status/conditions").and_then(Value::as_array);
        let conditions = conditions.map(Vec::as_slice).unwrap_or_default();
        let is = |state: &str| {
            conditions.iter().any(|condition| condition["type"] == state && condition["status"] == "True")
        };
        let state = ["Succeeded", "Failed"].into_iter().find(|state| is(state));
        state.with_context(|| format!("its conditions are {conditions:?}"))
    })
    .await
}

async fn run_demo(namespace: &Namespace) -> Result<String> {
    let controller = start().await?;
    let result = async {
        cover(&controller, namespace).await?;
        namespace.create(include_str!("../../schedulers/training-operator/demo.yaml")).await?;
        let state = ended(namespace, "train").await?;
        ensure!(state == "Succeeded", "the PyTorchJob has ended as {state}");
        Ok(state.to_owned())
    };
    let result = result.await;
    controller.stop(result).await
}
