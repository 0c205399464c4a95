//! What has to be true before pods can run. Each is waited for, with a deadline.

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

/// Enough for a machine that builds something else meanwhile; idle, the whole takes a few seconds.
const LIMIT: Duration = Duration::from_secs(90);

const CLUSTER: &str = include_str!("../../node/cluster.yaml");

/// Imports every archive in `folder` into containerd, once that answers.
///
/// # Errors
/// When containerd does not answer in time or refuses an archive.
pub(super) fn images(folder: &Path) -> Result<()> {
    wait::until(LIMIT, "containerd answers", || ctr(&["version".as_ref()]))?;
    for entry in fs::read_dir(folder).with_context(|| format!("list {}", folder.display()))? {
        ctr(&["images".as_ref(), "import".as_ref(), &entry?.path()])?;
    }
    Ok(())
}

fn ctr(arguments: &[&Path]) -> Result<()> {
    // The namespace that the kubelet's images are in.
    let output =
        Command::new("ctr").args(["--namespace", "k8s.io"]).args(arguments).output().context("start ctr")?;
    if !output.status.success() {
        let said = String::from_utf8_lossy(&output.stderr);
        bail!(
            "ctr {}: {}",
            arguments.iter().map(|a| a.display().to_string()).collect::<Vec<_>>().join(" "),
            said.trim()
        );
    }
    Ok(())
}

/// The administrator's client, once the API server is ready.
///
/// # Errors
/// When it is not ready in time.
pub(super) async fn api_server(kubeconfig: &Path) -> Result<Client> {
    let kubeconfig = Kubeconfig::read_from(kubeconfig).context("read the administrator's kubeconfig")?;
    let config = Config::from_custom_kubeconfig(kubeconfig, &KubeConfigOptions::default()).await?;
    let client = Client::try_from(config)?;
    wait::until_async(LIMIT, "the API server is ready", async || {
        Ok(client.request_text(http::Request::get("/readyz").body(Vec::new())?).await?)
    })
    .await?;
    Ok(client)
}

/// Creates what kubeadm would have put into a new cluster.
///
/// # Errors
/// When the API server refuses an object.
pub(super) async fn cluster_objects(client: &Client) -> Result<()> {
    manifest::create(client, CLUSTER, "kube-system", false).await.context("create node/cluster.yaml")?;
    Ok(())
}

/// Waits until the node takes pods.
///
/// # Errors
/// When it does not in time.
pub(super) async fn node(client: &Client) -> Result<()> {
    await_object(Api::<Node>::all(client.clone()), NAME, |node: Option<&Node>| {
        let conditions = node.and_then(|node| node.status.as_ref()?.conditions.as_ref());
        let ready =
            conditions.is_some_and(|all| all.iter().any(|c| c.type_ == "Ready" && c.status == "True"));
        // A new node carries a taint until the controller manager has seen that it is ready.
        let tainted = node.is_some_and(|node| node.spec.as_ref().is_some_and(|spec| spec.taints.is_some()));
        ready && !tainted
    })
    .await
    .context("the node is not Ready")
}

/// Waits for the account that pods of the namespace `default` run as; without it none is admitted.
///
/// # Errors
/// When it is not made in time.
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

/// Waits until `CoreDNS` has seen the cluster's Services.
///
/// # Errors
/// When it has not in time.
pub(super) fn dns() -> Result<()> {
    wait::until(LIMIT, "CoreDNS is ready", || {
        let mut stream = TcpStream::connect((ADDRESS, 8181))?;
        stream.write_all(b"GET /ready HTTP/1.0\r\n\r\n")?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer)?;
        if answer.split(' ').nth(1) != Some("200") {
            bail!("it answers {answer:?}");
        }
        Ok(())
    })
}
