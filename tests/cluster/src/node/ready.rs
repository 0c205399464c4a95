//! Waits for the conditions under which pods can run, each with a timeout.

use std::fs;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use k8s_openapi::api::core::v1::{Node, ServiceAccount};
use kube::api::Api;
use kube::config::{KubeConfigOptions, Kubeconfig};
use kube::runtime::conditions::Condition;
use kube::runtime::wait::await_condition;
use kube::{Client, Config};

use super::{ADDRESS, NAME};
use crate::manifest;
use crate::wait;

/// The timeout for each condition, on a machine with other load. On an idle machine, all of them together
/// need a few seconds.
const LIMIT: Duration = Duration::from_secs(90);

const CLUSTER: &str = include_str!("../../node/cluster.yaml");

/// Waits for containerd, and imports all archives in `folder`.
///
/// # Errors
/// If containerd does not respond in time or rejects an archive.
pub(super) fn import_images(folder: &Path) -> Result<()> {
    wait::until(LIMIT, "containerd does not respond", || ctr(&["version".as_ref()]))?;
    for entry in fs::read_dir(folder).with_context(|| format!("list {}", folder.display()))? {
        ctr(&["images".as_ref(), "import".as_ref(), &entry?.path()])?;
    }
    Ok(())
}

fn ctr(arguments: &[&Path]) -> Result<()> {
    // The kubelet uses the images in this namespace.
    let output =
        Command::new("ctr").args(["--namespace", "k8s.io"]).args(arguments).output().context("start ctr")?;
    if !output.status.success() {
        let stderr = String::from_utf8_lossy(&output.stderr);
        bail!(
            "ctr {}: {}",
            arguments.iter().map(|a| a.display().to_string()).collect::<Vec<_>>().join(" "),
            stderr.trim()
        );
    }
    Ok(())
}

/// Waits until the API server is ready, and returns a client of the administrator.
///
/// # Errors
/// If it is not ready in time.
pub(super) async fn api_server(kubeconfig: &Path) -> Result<Client> {
    let kubeconfig = Kubeconfig::read_from(kubeconfig).context("read the kubeconfig of the administrator")?;
    let config = Config::from_custom_kubeconfig(kubeconfig, &KubeConfigOptions::default()).await?;
    let client = Client::try_from(config)?;
    wait::until_async(LIMIT, "the API server is not ready", async || {
        Ok(client.request_text(http::Request::get("/readyz").body(Vec::new())?).await?)
    })
    .await?;
    Ok(client)
}

/// Creates the objects that kubeadm creates in a new cluster.
///
/// # Errors
/// If the API server refuses an object.
pub(super) async fn cluster_objects(client: &Client) -> Result<()> {
    manifest::create(client, CLUSTER, "kube-system", false).await.context("create node/cluster.yaml")?;
    Ok(())
}

/// Waits until the node accepts pods.
///
/// # Errors
/// If it does not in time.
pub(super) async fn node(client: &Client) -> Result<()> {
    await_object(Api::<Node>::all(client.clone()), NAME, |node: Option<&Node>| {
        let conditions = node.and_then(|node| node.status.as_ref()?.conditions.as_ref());
        let ready =
            conditions.is_some_and(|all| all.iter().any(|c| c.type_ == "Ready" && c.status == "True"));
        // A new node has a taint until the controller manager has processed that it is ready.
        let tainted = node.is_some_and(|node| node.spec.as_ref().is_some_and(|spec| spec.taints.is_some()));
        ready && !tainted
    })
    .await
    .context("the node is not Ready")
}

/// Waits for the service account in the namespace `default`. Without it, no pod is admitted.
///
/// # Errors
/// If it is not created in time.
pub(super) async fn service_account(client: &Client) -> Result<()> {
    let accounts = Api::<ServiceAccount>::namespaced(client.clone(), "default");
    await_object(accounts, "default", |account: Option<&ServiceAccount>| account.is_some())
        .await
        .context("the namespace default has no service account")
}

async fn await_object<K>(api: Api<K>, name: &str, condition: impl Condition<K>) -> Result<()>
where
    K: kube::Resource + Clone + std::fmt::Debug + serde::de::DeserializeOwned + Send + 'static,
{
    tokio::time::timeout(LIMIT, await_condition(api, name, condition)).await??;
    Ok(())
}

/// Waits until `CoreDNS` is ready: it has then listed the Services of the cluster.
///
/// # Errors
/// If it is not ready in time.
pub(super) fn dns() -> Result<()> {
    wait::until(LIMIT, "CoreDNS is not ready", || {
        let mut stream = TcpStream::connect((ADDRESS, 8181))?;
        stream.write_all(b"GET /ready HTTP/1.0\r\n\r\n")?;
        let mut response = String::new();
        stream.read_to_string(&mut response)?;
        if response.split(' ').nth(1) != Some("200") {
            bail!("unexpected response {response:?}");
        }
        Ok(())
    })
}
