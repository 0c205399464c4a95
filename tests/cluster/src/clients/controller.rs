//! Controllers of schedulers that run as processes on the node, next to the API server.
//!
//! The API server calls their admission webhooks by URL, on the address of the node. Each namespace has its
//! own webhook configurations, so that a controller does not review the pods of other scenarios.

use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result};
use http::Request;
use k8s_openapi::ByteString;
use k8s_openapi::api::admissionregistration::v1::{
    MutatingWebhookConfiguration, ValidatingWebhookConfiguration, WebhookClientConfig,
};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::LabelSelector;
use kube::api::{Api, DeleteParams, ListParams, ObjectMeta, TypeMeta};
use kube::{Client, Config};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use tempfile::TempDir;
use tokio::process::Command;
use tokio::sync::{Mutex, MutexGuard};

use super::process::{Process, end};
use crate::command::command;
use crate::node::ADDRESS;
use crate::scenario::{Namespace, client, kubeconfig, temporary_folder};
use crate::wait::until_async;

/// The label of webhook configurations, with the name of the controller as its value.
const LABEL: &str = "bootlace-cluster/controller";
/// The files of the certificate and of its key.
const CERTIFICATE: [&str; 2] = ["tls.crt", "tls.key"];
/// The timeout for the start of a controller, and until its webhooks are called.
const STARTED: Duration = Duration::from_mins(2);

/// A controller of the whole cluster. All controllers use the network of the node, so the ports of each are
/// different.
pub struct Kind {
    /// Its name (`kueue`).
    pub name: &'static str,
    /// The port of its health checks.
    pub health_port: u16,
    /// The port of its webhooks.
    pub webhook_port: u16,
    /// Locked while one runs: two would act on the same objects.
    pub one: Mutex<()>,
}

/// Whether the webhooks of a controller are called before that of Bootlace. The API server calls them in the
/// order of the names of their configurations.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Order {
    /// Before, as if its configuration was called `aa-…`.
    BeforeBootlace,
    /// After, as with the name that its manifests have.
    AfterBootlace,
}

/// A running controller, until this value is dropped.
pub struct Controller {
    kind: &'static Kind,
    process: Process,
    certificate: String,
    // After the process, which uses its files.
    folder: TempDir,
    _one: MutexGuard<'static, ()>,
}

impl Controller {
    /// Starts the command that `command` returns for its folder, which contains the certificate of its
    /// webhooks in `tls.crt` and `tls.key`. Waits until the controller is ready, and first until no other
    /// scenario runs this controller.
    ///
    /// # Errors
    /// If it cannot be started, or exits or is not ready in time. The message contains the end of its output.
    pub async fn start(kind: &'static Kind, command: impl FnOnce(&Path) -> Result<Command>) -> Result<Self> {
        let one = kind.one.lock().await;
        remove_webhooks(kind.name).await?;
        let folder = temporary_folder(kind.name)?;
        let certificate = write_certificate(folder.path())?;
        let mut command = command(folder.path())?;
        command.env("KUBECONFIG", kubeconfig()?);
        let process = Process::start(kind.name, command, folder.path())?;
        let mut controller = Self { kind, process, certificate, folder, _one: one };
        let ready = controller.ready().await;
        controller.explain(ready)?;
        Ok(controller)
    }

    async fn ready(&mut self) -> Result<()> {
        let url = format!("http://{ADDRESS}:{}", self.kind.health_port);
        let client =
            Client::try_from(Config::new(url.parse().context("parse the URL of the health checks")?))?;
        until_async(STARTED, "the controller is not ready", async || {
            // Waiting longer does not help.
            if let Err(error) = self.process.is_running() {
                return Ok(Err(error));
            }
            client.request_text(Request::get("/readyz").body(Vec::new())?).await?;
            Ok(Ok(()))
        })
        .await?
    }

    /// Adds the end of the output of the controller to an error.
    ///
    /// # Errors
    /// The error in `result`.
    pub fn explain<T>(&self, result: Result<T>) -> Result<T> {
        result.map_err(|error| {
            let log = self.process.output().unwrap_or_else(|error| format!("{error:#}"));
            error.context(format!("the end of the output of {}:\n{}\n", self.kind.name, end(&log)))
        })
    }

    /// Creates the webhook configurations in `manifests` for one namespace, and waits until `covered` returns
    /// no error, which shows that the API server calls them.
    ///
    /// # Errors
    /// If a configuration is invalid, or the last error of `covered`.
    pub async fn cover(
        &self,
        namespace: &Namespace,
        manifests: &str,
        order: Order,
        covered: impl AsyncFnMut() -> Result<()>,
    ) -> Result<()> {
        let created = async {
            for configuration in self.configurations(namespace.name(), manifests, order)? {
                namespace.create(&serde_json::to_string(&configuration)?).await?;
            }
            until_async(STARTED, "the API server does not call the webhooks", covered).await
        };
        self.explain(created.await)
    }

    fn configurations(
        &self,
        namespace: &str,
        manifests: &str,
        order: Order,
    ) -> Result<Vec<WebhookConfiguration>> {
        let mut configurations: Vec<WebhookConfiguration> =
            serde_saphyr::from_multiple(manifests).context("parse the webhooks")?;
        let prefix = match order {
            Order::BeforeBootlace => "aa-",
            Order::AfterBootlace => "",
        };
        let labels = |name: &str, value: &str| Some([(name.to_owned(), value.to_owned())].into());
        for configuration in &mut configurations {
            configuration.metadata = ObjectMeta {
                name: Some(format!("{prefix}{}-{namespace}", self.kind.name)),
                labels: labels(LABEL, self.kind.name),
                ..ObjectMeta::default()
            };
            for webhook in &mut configuration.webhooks {
                let service = webhook.client_config.service.take().context("a webhook has no Service")?;
                let path = service.path.unwrap_or_default();
                webhook.client_config.url =
                    Some(format!("https://{ADDRESS}:{}{path}", self.kind.webhook_port));
                webhook.client_config.ca_bundle = Some(ByteString(self.certificate.clone().into_bytes()));
                webhook.namespace_selector = Some(LabelSelector {
                    match_labels: labels("kubernetes.io/metadata.name", namespace),
                    ..LabelSelector::default()
                });
            }
        }
        Ok(configurations)
    }

    /// Removes its webhooks, and returns `result`, as [`explain`](Self::explain) does. Webhooks that a failed
    /// scenario leaves are removed by the next one.
    ///
    /// # Errors
    /// The error in `result`, and if the webhooks cannot be removed.
    pub async fn stop<T>(self, result: Result<T>) -> Result<T> {
        let value = self.explain(result)?;
        remove_webhooks(self.kind.name).await?;
        drop(self.process);
        self.folder.close().context("remove the folder of the controller")?;
        Ok(value)
    }
}

/// A `MutatingWebhookConfiguration` or a `ValidatingWebhookConfiguration`.
#[derive(Deserialize, Serialize)]
struct WebhookConfiguration {
    #[serde(flatten)]
    types: TypeMeta,
    metadata: ObjectMeta,
    webhooks: Vec<Webhook>,
}

#[derive(Deserialize, Serialize)]
#[serde(rename_all = "camelCase")]
struct Webhook {
    client_config: WebhookClientConfig,
    namespace_selector: Option<LabelSelector>,
    #[serde(flatten)]
    rest: Map<String, Value>,
}

/// Writes a certificate for the address of the node to `tls.crt`, and its key to `tls.key`. Returns the
/// certificate.
fn write_certificate(folder: &Path) -> Result<String> {
    let key = rcgen::KeyPair::generate()?;
    let certificate = rcgen::CertificateParams::new([ADDRESS.to_owned()])?.self_signed(&key)?.pem();
    for (name, content) in CERTIFICATE.into_iter().zip([&certificate, &key.serialize_pem()]) {
        std::fs::write(folder.join(name), content).with_context(|| format!("write {name}"))?;
    }
    Ok(certificate)
}

async fn remove_webhooks(controller: &str) -> Result<()> {
    let (client, delete) = (client().await?, DeleteParams::default());
    let list = ListParams::default().labels(&format!("{LABEL}={controller}"));
    let mutating = Api::<MutatingWebhookConfiguration>::all(client.clone());
    mutating.delete_collection(&delete, &list).await.context("remove mutating webhooks")?;
    let validating = Api::<ValidatingWebhookConfiguration>::all(client);
    validating.delete_collection(&delete, &list).await.context("remove validating webhooks").map(drop)
}

/// A command that runs `program` in a mount namespace in which the files in the folder `files` are laid over
/// the folder `target`, for programs that read files at fixed paths.
///
/// # Errors
/// If the folder for the overlay cannot be created.
pub fn overlaid(target: &str, files: &Path, program: &Path) -> Result<Command> {
    // In memory, because an overlay cannot be the upper layer of another, as the file system of a container
    // is.
    let memory = files.with_extension("overlay");
    std::fs::create_dir_all(&memory).with_context(|| format!("create {}", memory.display()))?;
    let script = r#"set -e
mount -t tmpfs tmpfs "$1"
mkdir "$1/work"
cp -r "$2" "$1/upper"
mount -t overlay -o "lowerdir=$3,upperdir=$1/upper,workdir=$1/work" overlay "$3"
shift 3
exec "$@""#;
    let mut unshare = command("unshare");
    unshare.args(["--mount", "--propagation=private", "--", "sh", "-c", script, "sh"]);
    unshare.arg(memory).arg(files).arg(target).arg(program);
    Ok(unshare)
}

/// Copies the certificate of a controller to the folder `to`, with the names that Kubernetes uses in Secrets.
///
/// # Errors
/// If a file cannot be written.
pub fn copy_certificate(files: &Path, to: &Path) -> Result<()> {
    std::fs::create_dir_all(to).with_context(|| format!("create {}", to.display()))?;
    for name in CERTIFICATE {
        std::fs::copy(files.join(name), to.join(name)).with_context(|| format!("copy {name}"))?;
    }
    Ok(())
}
