//! Giving a cluster's nodes images that no registry of theirs holds, with the tool that made the cluster.

use std::fmt;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, bail};
use k8s_openapi::api::core::v1::Node;

use super::context::{Context, Seen};
use super::is_on_path;
use crate::images;
use crate::node::CONTAINERD_SOCKET;

/// Where containerd listens: Debian's, and that of k3s.
const SOCKETS: [&str; 2] = [CONTAINERD_SOCKET, "/run/k3s/containerd/containerd.sock"];

/// How the nodes get their images.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Loader {
    /// A registry that the nodes pull from, named by the user: `host:port/path`.
    Registry(String),
    /// kind's cluster of this name.
    Kind(String),
    /// k3d's cluster of this name.
    K3d(String),
    /// minikube's profile of this name.
    Minikube(String),
    /// The containerd of the one node, which is this machine, at this socket.
    Containerd { program: &'static str, socket: String },
}

impl Loader {
    /// The one that fits the cluster.
    pub(super) fn choose(context: &Context, seen: &Seen, registry: Option<String>) -> Result<Self> {
        let machine = Machine {
            has: is_on_path,
            boot_id: std::fs::read_to_string("/proc/sys/kernel/random/boot_id").unwrap_or_default(),
            socket: std::env::var("CONTAINERD_ADDRESS")
                .ok()
                .filter(|socket| !socket.is_empty())
                .or_else(|| SOCKETS.into_iter().find(|socket| Path::new(socket).exists()).map(str::to_owned)),
        };
        Self::choose_on(&machine, context, &seen.nodes, registry)
    }

    fn choose_on(
        machine: &Machine,
        context: &Context,
        nodes: &[Node],
        registry: Option<String>,
    ) -> Result<Self> {
        if let Some(registry) = registry.filter(|registry| !registry.is_empty()) {
            return Ok(Self::Registry(registry.trim_end_matches('/').to_owned()));
        }
        let name = &context.name;
        let made_by = |tool: &'static str, loader: Self| {
            if !(machine.has)(tool) {
                bail!(
                    "the context {name} is a cluster of {tool}, which is not on PATH: install {tool}, or name a registry \
                     that its nodes pull from (REGISTRY=host:port/path)"
                );
            }
            Ok(loader)
        };
        if let Some(cluster) = name.strip_prefix("kind-") {
            return made_by("kind", Self::Kind(cluster.to_owned()));
        }
        if let Some(cluster) = name.strip_prefix("k3d-") {
            return made_by("k3d", Self::K3d(cluster.to_owned()));
        }
        if context.is_minikubes {
            return made_by("minikube", Self::Minikube(name.clone()));
        }
        if let ([node], Some(socket)) = (nodes, &machine.socket)
            && is_containerd_of(node, machine.boot_id.trim())
            && let Some(program) = ["ctr", "nerdctl"].into_iter().find(|program| (machine.has)(program))
        {
            return Ok(Self::Containerd { program, socket: socket.clone() });
        }
        bail!(
            "the nodes of the context {name} cannot be given images: it is no cluster of kind, k3d or minikube, and no \
             single node on this machine whose containerd can be reached. Name a registry that they pull from and that \
             you may push to: REGISTRY=host:port/path"
        )
    }

    /// The commands that load `archives`, OCI archives named after the image.
    pub(super) fn commands(&self, archives: &[PathBuf]) -> Result<Vec<Vec<String>>> {
        let mut commands = Vec::new();
        for archive in archives {
            let file = archive.to_str().context("a path is UTF-8")?;
            let words = match self {
                Self::Registry(registry) => {
                    let name = images::reference(archive)?;
                    let target = format!("docker://{registry}/{name}");
                    vec!["skopeo", "copy", "--quiet", &format!("oci-archive:{file}"), &target].map_owned()
                }
                Self::Kind(name) => vec!["kind", "load", "image-archive", file, "--name", name].map_owned(),
                Self::K3d(name) => vec!["k3d", "image", "import", file, "--cluster", name].map_owned(),
                Self::Minikube(name) => {
                    vec!["minikube", "--profile", name, "image", "load", file].map_owned()
                }
                Self::Containerd { program, socket } => {
                    let common = [program, "--address", socket, "--namespace", "k8s.io"];
                    let verb = if *program == "ctr" {
                        ["images", "import", file].to_vec()
                    } else {
                        ["load", "--input", file].to_vec()
                    };
                    [&common[..], &verb[..]].concat().map_owned()
                }
            };
            commands.push(words);
        }
        Ok(commands)
    }

    /// What must be installed for it, as `hack/machine` names it.
    pub(super) fn needs(&self) -> &'static [&'static str] {
        if self.is_registry() { &["skopeo"] } else { &[] }
    }

    pub(super) fn is_registry(&self) -> bool {
        self.registry().is_some()
    }

    pub(super) fn registry(&self) -> Option<&str> {
        if let Self::Registry(registry) = self { Some(registry) } else { None }
    }

    /// Values of the chart that differ from those of a cluster whose nodes hold the images.
    pub(super) fn values(&self) -> Vec<String> {
        self.registry().map_or(Vec::new(), |registry| {
            vec![
                format!("image.repository={registry}/bootlace"),
                "image.pullPolicy=Always".to_owned(),
                "boot.imagePullPolicy=IfNotPresent".to_owned(),
            ]
        })
    }
}

impl fmt::Display for Loader {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Registry(registry) => write!(f, "skopeo, by way of the registry {registry}"),
            Self::Kind(name) => write!(f, "kind load image-archive, for its cluster {name}"),
            Self::K3d(name) => write!(f, "k3d image import, for its cluster {name}"),
            Self::Minikube(name) => write!(f, "minikube image load, for its profile {name}"),
            Self::Containerd { program, socket } => write!(f, "{program}, through {socket}"),
        }
    }
}

/// What this machine has to offer.
struct Machine {
    /// Whether a program is on PATH.
    has: fn(&str) -> bool,
    /// What tells a running kernel from every other.
    boot_id: String,
    /// containerd's socket.
    socket: Option<String>,
}

/// Whether the node runs containerd on the kernel `boot_id`.
fn is_containerd_of(node: &Node, boot_id: &str) -> bool {
    let info = node.status.as_ref().and_then(|status| status.node_info.as_ref());
    info.is_some_and(|info| {
        info.container_runtime_version.starts_with("containerd://") && info.boot_id == boot_id
    })
}

trait MapOwned {
    fn map_owned(self) -> Vec<String>;
}

impl MapOwned for Vec<&str> {
    fn map_owned(self) -> Vec<String> {
        self.into_iter().map(str::to_owned).collect()
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    const EVERYTHING: Machine = Machine { has: |_| true, boot_id: String::new(), socket: None };

    fn node(boot_id: &str) -> Node {
        serde_json::from_value(json!({"metadata": {"name": "node"}, "status": {"nodeInfo": {
            "architecture": "amd64", "bootID": boot_id, "containerRuntimeVersion": "containerd://1.6.20",
            "kernelVersion": "6.1", "kubeProxyVersion": "", "kubeletVersion": "v1.37.1", "machineID": "m",
            "operatingSystem": "linux", "osImage": "Debian", "systemUUID": "s",
        }}}))
        .unwrap()
    }

    fn chosen(machine: &Machine, context: &Context, nodes: &[Node]) -> Result<Loader> {
        Loader::choose_on(machine, context, nodes, None)
    }

    /// kind, k3d and minikube need Docker, so that here only what would be run is tested.
    #[test]
    fn the_tool_that_made_the_cluster_loads_its_images() {
        let archives = ["/r/images/bootlace.tar".into(), "/r/images/busybox.tar".into()];
        let cases = [
            (Context::named("kind-dev", false), "kind load image-archive /r/images/busybox.tar --name dev"),
            (Context::named("k3d-dev", false), "k3d image import /r/images/busybox.tar --cluster dev"),
            (Context::named("mine", true), "minikube --profile mine image load /r/images/busybox.tar"),
        ];
        for (context, command) in cases {
            let loader = chosen(&EVERYTHING, &context, &[]).unwrap();
            let commands = loader.commands(&archives).unwrap();
            assert_eq!(commands.len(), 2);
            assert_eq!(commands[1].join(" "), command);
            assert!(loader.values().is_empty());
        }
    }

    #[test]
    fn the_containerd_of_a_node_that_is_this_machine_is_given_them() {
        let socket = "/proc/1/root/run/containerd/containerd.sock";
        let mut machine =
            Machine { has: |_| true, boot_id: "b1\n".to_owned(), socket: Some(socket.to_owned()) };
        let context = Context::named("cluster", false);
        let command = |machine: &Machine| {
            let loader = chosen(machine, &context, &[node("b1")]).unwrap();
            loader.commands(&["/r/images/kit.tar".into()]).unwrap()[0].join(" ")
        };
        let common = format!("--address {socket} --namespace k8s.io");
        assert_eq!(command(&machine), format!("ctr {common} images import /r/images/kit.tar"));
        machine.has = |program| program == "nerdctl";
        assert_eq!(command(&machine), format!("nerdctl {common} load --input /r/images/kit.tar"));

        // Another machine's node, several nodes, no socket, and no tool.
        for nodes in [vec![node("b2")], vec![node("b1"), node("b1")], vec![]] {
            assert!(chosen(&machine, &context, &nodes).is_err());
        }
        machine.has = |_| false;
        assert!(chosen(&machine, &context, &[node("b1")]).is_err());
        let machine = Machine { socket: None, has: |_| true, ..machine };
        let refused = format!("{:#}", chosen(&machine, &context, &[node("b1")]).unwrap_err());
        assert!(refused.contains("REGISTRY=host:port/path"), "{refused}");
    }

    #[test]
    fn a_registry_that_the_user_names_is_taken_before_all_else() {
        let context = Context::named("kind-dev", false);
        let registry = Some("registry.example.com:5000/team/".to_owned());
        let loader = Loader::choose_on(&EVERYTHING, &context, &[], registry).unwrap();
        let commands =
            loader.commands(&["/r/images/busybox.tar".into(), "/r/images/bootlace.tar".into()]).unwrap();
        assert_eq!(
            commands[0].join(" "),
            "skopeo copy --quiet oci-archive:/r/images/busybox.tar docker://registry.example.com:5000/team/busybox:test"
        );
        assert!(commands[1].join(" ").ends_with("docker://registry.example.com:5000/team/bootlace:dev"));
        assert_eq!(loader.values()[0], "image.repository=registry.example.com:5000/team/bootlace");
        assert_eq!(loader.needs(), ["skopeo"]);
        // Makefile exports it empty where it is not set.
        let loader = Loader::choose_on(&EVERYTHING, &context, &[], Some(String::new())).unwrap();
        assert_eq!(loader, Loader::Kind("dev".to_owned()));
    }

    #[test]
    fn a_cluster_whose_tool_is_missing_says_so() {
        let nothing = Machine { has: |_| false, ..EVERYTHING };
        for (name, tool) in [("kind-dev", "kind"), ("k3d-dev", "k3d")] {
            let error = chosen(&nothing, &Context::named(name, false), &[]).unwrap_err().to_string();
            assert!(error.contains(&format!("install {tool}")) && error.contains(name), "{error}");
        }
    }
}
