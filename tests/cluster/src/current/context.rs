//! The current context of the kubeconfig, and what its cluster is.

use std::fs::OpenOptions;
use std::io::Write as _;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;

use anyhow::{Context as _, Result};
use k8s_openapi::api::core::v1::Node;
use kube::api::{Api, ListParams};
use kube::config::{KubeConfigOptions, Kubeconfig};
use kube::{Client, Config};

/// The current context, cut out of the kubeconfig.
pub(super) struct Context {
    /// What it is called.
    pub(super) name: String,
    /// The API server's address.
    pub(super) server: String,
    /// Whether minikube made it, whatever it is called.
    pub(super) is_minikubes: bool,
    kubeconfig: Kubeconfig,
}

/// What the cluster says of itself.
pub(super) struct Seen {
    pub(super) nodes: Vec<Node>,
    pub(super) version: String,
}

impl Context {
    /// Reads the files that `KUBECONFIG` names, or `~/.kube/config`.
    pub(super) fn read() -> Result<Self> {
        let kubeconfig = Kubeconfig::read().context(
            "CLUSTER=current needs a cluster: set KUBECONFIG, or make one (`kind create cluster`), or leave CLUSTER out",
        )?;
        Self::cut(kubeconfig)
    }

    fn cut(mut kubeconfig: Kubeconfig) -> Result<Self> {
        let name = kubeconfig.current_context.clone().filter(|name| !name.is_empty());
        let name = name
            .context("the kubeconfig has no current context: choose one with `kubectl config use-context`")?;
        kubeconfig.contexts.retain(|context| context.name == name);
        let context = kubeconfig.contexts.first_mut().and_then(|named| {
            let context = named.context.as_mut()?;
            // Namespaces are always named, and the others are meant to be `default`.
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
        let is_minikubes = extensions.into_iter().flatten().flatten().any(|extension| {
            extension.extension.get("provider").and_then(serde_json::Value::as_str)
                == Some("minikube.sigs.k8s.io")
        });
        Ok(Self { name, server: cluster.server.unwrap_or_default(), is_minikubes, kubeconfig })
    }

    /// Writes it as a kubeconfig of its own, for nobody else to read: it may hold credentials.
    pub(super) fn write(&self, file: &Path) -> Result<()> {
        let text = serde_json::to_vec_pretty(&self.kubeconfig)?;
        let opened = OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(file);
        opened
            .and_then(|mut opened| opened.write_all(&text))
            .with_context(|| format!("write {}", file.display()))
    }

    /// Asks the cluster what it is.
    pub(super) async fn look(&self) -> Result<Seen> {
        let reach = async || -> Result<Seen> {
            let options = KubeConfigOptions::default();
            let config = Config::from_custom_kubeconfig(self.kubeconfig.clone(), &options).await?;
            let client = Client::try_from(config)?;
            let version = client.apiserver_version().await?.git_version;
            let nodes = Api::<Node>::all(client).list(&ListParams::default()).await?.items;
            Ok(Seen { nodes, version })
        };
        let (name, server) = (&self.name, &self.server);
        reach().await.with_context(|| format!("reach the cluster of the context {name}, {server}"))
    }
}

#[cfg(test)]
impl Context {
    pub(super) fn named(name: &str, is_minikubes: bool) -> Self {
        let kubeconfig = Kubeconfig::default();
        Self { name: name.to_owned(), server: "https://127.0.0.1:6443".to_owned(), is_minikubes, kubeconfig }
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
    fn the_copy_holds_the_current_context_and_nothing_else() {
        let context = Context::cut(Kubeconfig::from_yaml(TWO).unwrap()).unwrap();
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
    fn a_kubeconfig_without_a_cluster_says_what_to_do() {
        let refused =
            |text: &str| format!("{:#}", Context::cut(Kubeconfig::from_yaml(text).unwrap()).err().unwrap());
        assert!(refused("{apiVersion: v1, kind: Config}").contains("kubectl config use-context"));
        let gone = TWO.replace("current-context: kind-b", "current-context: c");
        assert!(refused(&gone).contains("no context \"c\""));
        let torn = TWO.replace("cluster: b, user: b", "cluster: c, user: b");
        assert!(refused(&torn).contains("no cluster \"c\""));
    }

    #[test]
    fn minikube_is_known_by_its_mark() {
        let text = "
            {apiVersion: v1, kind: Config, current-context: mine,
             contexts: [{name: mine, context: {cluster: mine, user: mine, extensions: [
               {name: context_info, extension: {provider: minikube.sigs.k8s.io, version: v1.38.0}}]}}],
             clusters: [{name: mine, cluster: {server: 'https://b'}}], users: []}";
        assert!(Context::cut(Kubeconfig::from_yaml(text).unwrap()).unwrap().is_minikubes);
        assert!(!Context::cut(Kubeconfig::from_yaml(TWO).unwrap()).unwrap().is_minikubes);
    }
}
