//! What a scenario is given: a Kubernetes namespace of its own, and a report when it fails.
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

pub use namespace::{LIMIT, Namespace, Output};
pub use process::Process;

/// The label of every scenario's namespace, as a selector.
pub const NAMESPACES: &str = "bootlace-cluster/scenario=true";

/// A scenario before it runs.
pub struct Scenario {
    name: &'static str,
    labels: BTreeMap<String, String>,
}

/// A scenario; its namespace's name begins with `name`.
#[must_use]
pub fn scenario(name: &'static str) -> Scenario {
    let label = NAMESPACES.split_once('=').map(|(key, value)| (key.to_owned(), value.to_owned()));
    Scenario { name, labels: label.into_iter().collect() }
}

impl Scenario {
    /// Puts a label on its namespace.
    #[must_use]
    pub fn label(mut self, key: &str, value: &str) -> Self {
        self.labels.insert(key.to_owned(), value.to_owned());
        self
    }

    /// Makes the namespace, runs `body` in it, and deletes it. When `body` fails or panics, what the namespace
    /// holds is printed first.
    ///
    /// # Errors
    /// Those of `body`, and when no cluster can be reached.
    pub async fn run(self, body: impl AsyncFnOnce(&Namespace) -> Result<()>) -> Result<()> {
        let client = client().await?;
        let name = self.create_namespace(&client).await?;
        let namespace = Namespace::new(client.clone(), name);
        let ended = AssertUnwindSafe(body(&namespace)).catch_unwind().await;
        if !matches!(ended, Ok(Ok(()))) {
            report::print(self.name, &client, namespace.name()).await;
        }
        // The kubelet and the controllers do the rest; nobody waits for it.
        let namespaces = Api::<core::Namespace>::all(client);
        let deleted = namespaces.delete(namespace.name(), &DeleteParams::background()).await;
        ended.unwrap_or_else(|panic| resume_unwind(panic))?;
        deleted.context("delete the scenario's namespace").map(drop)
    }

    /// Makes the namespace, and waits until pods can be made in it.
    async fn create_namespace(&self, client: &Client) -> Result<String> {
        let wanted = core::Namespace {
            metadata: ObjectMeta {
                generate_name: Some(format!("{}-", self.name)),
                labels: Some(self.labels.clone()),
                ..ObjectMeta::default()
            },
            ..core::Namespace::default()
        };
        let made = Api::all(client.clone()).create(&PostParams::default(), &wanted).await;
        let name = made.context("create the scenario's namespace")?.name_any();
        let accounts = Api::<core::ServiceAccount>::namespaced(client.clone(), &name);
        let there = await_condition(accounts, "default", |account: Option<&_>| account.is_some());
        tokio::time::timeout(LIMIT, there).await.context("the namespace has no service account")??;
        Ok(name)
    }
}

/// The kubeconfig of the cluster that the scenarios run on.
///
/// # Errors
/// When there is none.
pub fn kubeconfig() -> Result<PathBuf> {
    let path = std::env::var_os("KUBECONFIG").filter(|path| !path.is_empty()).map(PathBuf::from);
    path.context(
        "KUBECONFIG is not set: scenarios need a cluster, so run them by `bootlace-cluster test NAME`",
    )
}

/// Bootlace's command line: the binary that the cluster's image holds ([`RunDir::bootlace`](crate::run::RunDir)).
///
/// # Errors
/// When the cluster was started without Bootlace.
pub fn bootlace() -> Result<PathBuf> {
    let binary = kubeconfig()?.with_file_name(crate::run::BOOTLACE);
    ensure!(binary.exists(), "{} is not there: the cluster was started without Bootlace", binary.display());
    Ok(binary)
}

/// The archive of one of the node's images (`entrypoint` for [`ENTRYPOINT`](crate::images::ENTRYPOINT)).
///
/// # Errors
/// When there is no cluster.
pub fn image_archive(name: &str) -> Result<PathBuf> {
    Ok(kubeconfig()?.with_file_name(crate::run::IMAGES).join(format!("{name}.tar")))
}

async fn client() -> Result<Client> {
    let file = kubeconfig()?;
    let kubeconfig = Kubeconfig::read_from(&file).with_context(|| format!("read {}", file.display()))?;
    let config = Config::from_custom_kubeconfig(kubeconfig, &KubeConfigOptions::default()).await?;
    Ok(Client::try_from(config)?)
}
