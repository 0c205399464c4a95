//! The current context of the kubeconfig, and its cluster.

use std::fs::OpenOptions;
use std::io::Write as _;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;

use anyhow::{Context as _, Result};
use k8s_openapi::api::core::v1::Node;
use kube::api::{Api, ListParams};
use kube::config::{KubeConfigOptions, Kubeconfig};
use kube::{Client, Config};

/// The current context, without the other contexts of the kubeconfig.
pub(super) struct Context {
    pub(super) name: String,
    /// The address of the API server.
    pub(super) server: String,
    /// Whether minikube created the cluster. Its context can have any name.
    pub(super) is_minikube: bool,
    kubeconfig: Kubeconfig,
}

/// The nodes and the version of a cluster.
pub(super) struct ClusterInfo {
    pub(super) nodes: Vec<Node>,
    pub(super) version: String,
}

impl Context {
    /// Reads the files in `KUBECONFIG`, or `~/.kube/config`.
    pub(super) fn load() -> Result<Self> {
        let kubeconfig = Kubeconfig::read().context(
            "CLUSTER=current needs a kubeconfig: set KUBECONFIG, create a cluster (`kind create cluster`), or omit CLUSTER",
        )?;
        Self::extract(kubeconfig)
    }

    fn extract(mut kubeconfig: Kubeconfig) -> Result<Self> {
        let name = kubeconfig.current_context.clone().filter(|name| !name.is_empty());
        let name = name
            .context("the kubeconfig has no current context: select one with `kubectl config use-context`")?;
        kubeconfig.contexts.retain(|context| context.name == name);
        let context = kubeconfig.contexts.first_mut().and_then(|named| {
            let context = named.context.as_mut()?;
            // Commands without a namespace must use `default`, not the namespace of the context.
            context.namespace = None;
            Some(context.clone())
        });
        let context = context.with_context(|| format!("the kubeconfig has no context {name:?}"))?;
        kubeconfig.clusters.retain(|cluster| cluster.name == context.cluster);
        kubeconfig.auth_infos.retain(|user| Some(&user.name) == context.user.as_ref());
        let cluster = kubeconfig.clusters.first().and_then(|named| named.cluster.clone());
        let cluster =
            cluster.with_context(|| format!("the kubeconfig has no cluster {:?}", context.cluster))?;
        let extensions = [&context.extensions, &cluster.extensions];
        let is_minikube = extensions.into_iter().flatten().flatten().any(|extension| {
            extension.extension.get("provider").and_then(serde_json::Value::as_str)
                == Some("minikube.sigs.k8s.io")
        });
        Ok(Self { name, server: cluster.server.unwrap_or_default(), is_minikube, kubeconfig })
    }

    /// Writes the context to a separate kubeconfig that only this user can read, because it can contain
    /// credentials.
    pub(super) fn write(&self, file: &Path) -> Result<()> {
        let text = serde_json::to_vec_pretty(&self.kubeconfig)?;
        let opened = OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(file);
        opened
            .and_then(|mut opened| opened.write_all(&text))
            .with_context(|| format!("write {}", file.display()))
    }

    /// Requests the nodes and the version of the cluster.
    pub(super) async fn cluster_info(&self) -> Result<ClusterInfo> {
        let request = async || -> Result<ClusterInfo> {
            let options = KubeConfigOptions::default();
            let config = Config::from_custom_kubeconfig(self.kubeconfig.clone(), &options).await?;
            let client = Client::try_from(config)?;
            let version = client.apiserver_version().await?.git_version;
            let nodes = Api::<Node>::all(client).list(&ListParams::default()).await?.items;
            Ok(ClusterInfo { nodes, version })
        };
        let (name, server) = (&self.name, &self.server);
        request().await.with_context(|| format!("failed to reach the cluster of context {name:?}, {server}"))
    }
}

#[cfg(test)]
impl Context {
    pub(super) fn example(name: &str, is_minikube: bool) -> Self {
        let kubeconfig = Kubeconfig::default();
        Self { name: name.to_owned(), server: "https://127.0.0.1:6443".to_owned(), is_minikube, kubeconfig }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TWO: &str = "
        {apiVersion: v1, kind: Config, current-context: kind-b,
         contexts: [{name: a, context: {cluster: a, user: a}}, {name: kind-b, context: {cluster: b, user: b}}],
         clusters: [{name: a, cluster: {server: 'https://a'}}, {name: b, cluster: {server: 'https://b'}}],
         users: [{name: a, user: {token: secret-of-a}}, {name: b, user: {token: secret-of-b}}]}";

    #[test]
    fn the_copy_contains_only_the_current_context() {
        let context = Context::extract(Kubeconfig::from_yaml(TWO).unwrap()).unwrap();
        assert_eq!((context.name.as_str(), context.server.as_str()), ("kind-b", "https://b"));
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("kubeconfig");
        context.write(&file).unwrap();
        let text = std::fs::read_to_string(&file).unwrap();
        assert!(
            text.contains("secret-of-b") && !text.contains("secret-of-a") && !text.contains("https://a"),
            "{text}"
        );
        let copy = Kubeconfig::read_from(&file).unwrap();
        assert_eq!(copy.current_context.as_deref(), Some("kind-b"));
        let mode = std::os::unix::fs::MetadataExt::mode(&file.metadata().unwrap());
        assert_eq!(mode & 0o777, 0o600);
    }

    #[test]
    fn the_error_for_a_kubeconfig_without_a_cluster_contains_the_remedy() {
        let error = |text: &str| {
            format!("{:#}", Context::extract(Kubeconfig::from_yaml(text).unwrap()).err().unwrap())
        };
        assert!(error("{apiVersion: v1, kind: Config}").contains("kubectl config use-context"));
        let no_context = TWO.replace("current-context: kind-b", "current-context: c");
        assert!(error(&no_context).contains("no context \"c\""));
        let no_cluster = TWO.replace("cluster: b, user: b", "cluster: c, user: b");
        assert!(error(&no_cluster).contains("no cluster \"c\""));
    }

    #[test]
    fn minikube_is_recognized_by_its_extension() {
        let text = "
            {apiVersion: v1, kind: Config, current-context: mine,
             contexts: [{name: mine, context: {cluster: mine, user: mine, extensions: [
               {name: context_info, extension: {provider: minikube.sigs.k8s.io, version: v1.38.0}}]}}],
             clusters: [{name: mine, cluster: {server: 'https://b'}}], users: []}";
        assert!(Context::extract(Kubeconfig::from_yaml(text).unwrap()).unwrap().is_minikube);
        assert!(!Context::extract(Kubeconfig::from_yaml(TWO).unwrap()).unwrap().is_minikube);
    }
}
