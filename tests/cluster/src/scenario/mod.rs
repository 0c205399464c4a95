//! The environment of a scenario: a separate Kubernetes namespace, and a report if it fails.
//!
//! ```no_run
//! # use bootlace_cluster::scenario::scenario;
//! # async fn test() -> anyhow::Result<()> {
//! scenario("greeting").label("bootlace.dev/schedulers", "enabled").run(async |namespace| {
//!     namespace.create("{apiVersion: v1, kind: Pod, metadata: {name: hello}, spec: …}").await?;
//!     namespace.pod_succeeded("hello").await?;
//!     assert_eq!(namespace.log("hello", "main").await?, "hello\n");
//!     Ok(())
//! }).await
//! # }
//! ```

pub mod load;
mod namespace;
pub mod needs;
mod process;
mod profile;
pub mod release;
mod report;
pub mod servers;
pub mod state;

use std::collections::BTreeMap;
use std::panic::{AssertUnwindSafe, resume_unwind};
use std::path::PathBuf;

use anyhow::{Context, Result, ensure};
use futures::FutureExt;
use k8s_openapi::api::core::v1 as core;
use kube::api::{Api, DeleteParams, ObjectMeta, PostParams};
use kube::config::{KubeConfigOptions, Kubeconfig};
use kube::runtime::wait::await_condition;
use kube::{Client, Config, ResourceExt};
use tempfile::TempDir;

pub use namespace::{LIMIT, Namespace, Output};
pub use process::Process;

/// The label of the namespaces of all scenarios, as a selector.
pub const NAMESPACES: &str = "bootlace-cluster/scenario=true";

/// A scenario that has not run yet.
pub struct Scenario {
    name: &'static str,
    labels: BTreeMap<String, String>,
}

/// A scenario. The name of its namespace starts with `name`.
#[must_use]
pub fn scenario(name: &'static str) -> Scenario {
    let label = NAMESPACES.split_once('=').map(|(key, value)| (key.to_owned(), value.to_owned()));
    Scenario { name, labels: label.into_iter().collect() }
}

impl Scenario {
    /// Adds a label to its namespace.
    #[must_use]
    pub fn label(mut self, key: &str, value: &str) -> Self {
        self.labels.insert(key.to_owned(), value.to_owned());
        self
    }

    /// Creates the namespace, runs `body`, and deletes the namespace. If `body` fails or panics, it prints
    /// the objects in the namespace first.
    ///
    /// # Errors
    /// The errors of `body`, and if no cluster can be reached.
    pub async fn run(self, body: impl AsyncFnOnce(&Namespace) -> Result<()>) -> Result<()> {
        let client = client().await?;
        let name = self.create_namespace(&client).await?;
        let namespace = Namespace::new(client.clone(), name);
        let ended = AssertUnwindSafe(body(&namespace)).catch_unwind().await;
        if !matches!(ended, Ok(Ok(()))) {
            report::print(self.name, &client, namespace.name()).await;
        }
        // The deletion completes in the background.
        let namespaces = Api::<core::Namespace>::all(client);
        let deleted = namespaces.delete(namespace.name(), &DeleteParams::background()).await;
        ended.unwrap_or_else(|panic| resume_unwind(panic))?;
        deleted.context("delete the namespace of the scenario").map(drop)
    }

    /// Creates the namespace, and waits until pods can be created in it.
    async fn create_namespace(&self, client: &Client) -> Result<String> {
        let namespace = core::Namespace {
            metadata: ObjectMeta {
                generate_name: Some(format!("{}-", self.name)),
                labels: Some(self.labels.clone()),
                ..ObjectMeta::default()
            },
            ..core::Namespace::default()
        };
        let created = Api::all(client.clone()).create(&PostParams::default(), &namespace).await;
        let name = created.context("create the namespace of the scenario")?.name_any();
        let accounts = Api::<core::ServiceAccount>::namespaced(client.clone(), &name);
        let exists = await_condition(accounts, "default", |account: Option<&_>| account.is_some());
        tokio::time::timeout(LIMIT, exists)
            .await
            .with_context(|| format!("namespace {name} has no service account"))??;
        Ok(name)
    }
}

/// The path of the kubeconfig of the cluster on which the scenarios run.
///
/// # Errors
/// If `KUBECONFIG` is not set.
pub fn kubeconfig() -> Result<PathBuf> {
    let path = std::env::var_os("KUBECONFIG").filter(|path| !path.is_empty()).map(PathBuf::from);
    path.context(
        "KUBECONFIG is not set: scenarios need a cluster, so run them with `bootlace-cluster test NAME`",
    )
}

/// A temporary folder next to the kubeconfig, for the files of a process. The node has its own `/run` and
/// `/var`, but shares the folder of the kubeconfig.
///
/// # Errors
/// If it cannot be created.
pub fn temporary_folder(prefix: &str) -> Result<TempDir> {
    let kubeconfig = kubeconfig()?;
    let parent = kubeconfig.parent().context("the path of the kubeconfig has no parent")?;
    let folder = tempfile::Builder::new().prefix(prefix).tempdir_in(parent);
    folder.with_context(|| format!("create a folder in {}", parent.display()))
}

/// The path of the program `bootlace`, as in the image ([`RunDir::bootlace`](crate::run::RunDir)).
///
/// # Errors
/// If the cluster was started without Bootlace.
pub fn bootlace() -> Result<PathBuf> {
    let binary = kubeconfig()?.with_file_name(crate::run::BOOTLACE);
    ensure!(binary.exists(), "{} not found: the cluster was started without Bootlace", binary.display());
    Ok(binary)
}

/// The path of the archive of an image (`entrypoint` for [`ENTRYPOINT`](crate::images::ENTRYPOINT)).
///
/// # Errors
/// If `KUBECONFIG` is not set.
pub fn image_archive(name: &str) -> Result<PathBuf> {
    Ok(kubeconfig()?.with_file_name(crate::run::IMAGES).join(format!("{name}.tar")))
}

pub(crate) async fn client() -> Result<Client> {
    let file = kubeconfig()?;
    let kubeconfig = Kubeconfig::read_from(&file).with_context(|| format!("read {}", file.display()))?;
    let config = Config::from_custom_kubeconfig(kubeconfig, &KubeConfigOptions::default()).await?;
    Ok(Client::try_from(config)?)
}
