//! Loads images into the nodes of a cluster, with the tool that created the cluster or through a registry.

use std::fmt;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, bail};
use k8s_openapi::api::core::v1::Node;

use super::context::{ClusterInfo, Context};
use super::is_on_path;
use crate::images;
use crate::node::CONTAINERD_SOCKET;

/// The sockets of containerd in Debian and of k3s.
const SOCKETS: [&str; 2] = [CONTAINERD_SOCKET, "/run/k3s/containerd/containerd.sock"];

/// The method that loads the images.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Loader {
    /// The registry that the user has set, from which the nodes pull: `host:port/path`.
    Registry(String),
    /// A cluster of kind, by name.
    Kind(String),
    /// A cluster of k3d, by name.
    K3d(String),
    /// A profile of minikube, by name.
    Minikube(String),
    /// The containerd on this machine, which is the only node.
    Containerd { program: &'static str, socket: String },
}

impl Loader {
    /// The method for a cluster.
    pub(super) fn choose(context: &Context, cluster: &ClusterInfo, registry: Option<String>) -> Result<Self> {
        let machine = Machine {
            has_program: is_on_path,
            boot_id: std::fs::read_to_string("/proc/sys/kernel/random/boot_id").unwrap_or_default(),
            socket: std::env::var("CONTAINERD_ADDRESS")
                .ok()
                .filter(|socket| !socket.is_empty())
                .or_else(|| SOCKETS.into_iter().find(|socket| Path::new(socket).exists()).map(str::to_owned)),
        };
        Self::choose_on(&machine, context, &cluster.nodes, registry)
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
        let with_tool = |tool: &'static str, loader: Self| {
            if !(machine.has_program)(tool) {
                bail!(
                    "{tool} not found in PATH, and context {name:?} is a cluster of {tool}: install {tool}, or set a registry \
                     that its nodes pull from (REGISTRY=host:port/path)"
                );
            }
            Ok(loader)
        };
        if let Some(cluster) = name.strip_prefix("kind-") {
            return with_tool("kind", Self::Kind(cluster.to_owned()));
        }
        if let Some(cluster) = name.strip_prefix("k3d-") {
            return with_tool("k3d", Self::K3d(cluster.to_owned()));
        }
        if context.is_minikube {
            return with_tool("minikube", Self::Minikube(name.clone()));
        }
        if let ([node], Some(socket)) = (nodes, &machine.socket)
            && is_containerd_on(node, machine.boot_id.trim())
            && let Some(program) =
                ["ctr", "nerdctl"].into_iter().find(|program| (machine.has_program)(program))
        {
            return Ok(Self::Containerd { program, socket: socket.clone() });
        }
        bail!(
            "cannot load images into the nodes of context {name:?}: it is not a cluster of kind, k3d or minikube, and its \
             only node is not this machine with a reachable containerd: set a registry that you can push to and that the \
             nodes pull from (REGISTRY=host:port/path)"
        )
    }

    /// The commands that load `archives`, which are OCI archives named after their images.
    pub(super) fn commands(&self, archives: &[PathBuf]) -> Result<Vec<Vec<String>>> {
        let mut commands = Vec::new();
        for archive in archives {
            let file = archive.to_str().context("the path of an image archive is not UTF-8")?;
            let command = match self {
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
            commands.push(command);
        }
        Ok(commands)
    }

    /// The requirements of the method, as arguments of `hack/machine`.
    pub(super) fn needs(&self) -> &'static [&'static str] {
        if self.is_registry() { &["skopeo"] } else { &[] }
    }

    pub(super) fn is_registry(&self) -> bool {
        self.registry().is_some()
    }

    pub(super) fn registry(&self) -> Option<&str> {
        if let Self::Registry(registry) = self { Some(registry) } else { None }
    }

    /// The values of the chart for images in a registry. Empty if the nodes have the images.
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
            Self::Registry(registry) => write!(f, "skopeo and the registry {registry}"),
            Self::Kind(name) => write!(f, "kind load image-archive (cluster {name})"),
            Self::K3d(name) => write!(f, "k3d image import (cluster {name})"),
            Self::Minikube(name) => write!(f, "minikube image load (profile {name})"),
            Self::Containerd { program, socket } => write!(f, "{program} ({socket})"),
        }
    }
}

/// The properties of this machine that determine the method.
struct Machine {
    /// Whether a program is in PATH.
    has_program: fn(&str) -> bool,
    /// The boot ID of the kernel, which identifies the machine.
    boot_id: String,
    /// The socket of containerd.
    socket: Option<String>,
}

/// Whether the node runs containerd on the machine with the boot ID `boot_id`.
fn is_containerd_on(node: &Node, boot_id: &str) -> bool {
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

    const ALL_PROGRAMS: Machine = Machine { has_program: |_| true, boot_id: String::new(), socket: None };

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

    /// kind, k3d and minikube need Docker, so this tests only the command lines.
    #[test]
    fn the_tool_that_created_the_cluster_loads_the_images() {
        let archives = ["/r/images/bootlace.tar".into(), "/r/images/busybox.tar".into()];
        let cases = [
            (Context::example("kind-dev", false), "kind load image-archive /r/images/busybox.tar --name dev"),
            (Context::example("k3d-dev", false), "k3d image import /r/images/busybox.tar --cluster dev"),
            (Context::example("mine", true), "minikube --profile mine image load /r/images/busybox.tar"),
        ];
        for (context, command) in cases {
            let loader = chosen(&ALL_PROGRAMS, &context, &[]).unwrap();
            let commands = loader.commands(&archives).unwrap();
            assert_eq!(commands.len(), 2);
            assert_eq!(commands[1].join(" "), command);
            assert!(loader.values().is_empty());
        }
    }

    #[test]
    fn the_containerd_of_this_machine_loads_the_images() {
        let socket = "/proc/1/root/run/containerd/containerd.sock";
        let mut machine =
            Machine { has_program: |_| true, boot_id: "b1\n".to_owned(), socket: Some(socket.to_owned()) };
        let context = Context::example("cluster", false);
        let command = |machine: &Machine| {
            let loader = chosen(machine, &context, &[node("b1")]).unwrap();
            loader.commands(&["/r/images/kit.tar".into()]).unwrap()[0].join(" ")
        };
        let common = format!("--address {socket} --namespace k8s.io");
        assert_eq!(command(&machine), format!("ctr {common} images import /r/images/kit.tar"));
        machine.has_program = |program| program == "nerdctl";
        assert_eq!(command(&machine), format!("nerdctl {common} load --input /r/images/kit.tar"));

        // A node that is another machine, several nodes, no nodes, no tool, and no socket.
        for nodes in [vec![node("b2")], vec![node("b1"), node("b1")], vec![]] {
            assert!(chosen(&machine, &context, &nodes).is_err());
        }
        machine.has_program = |_| false;
        assert!(chosen(&machine, &context, &[node("b1")]).is_err());
        let machine = Machine { socket: None, has_program: |_| true, ..machine };
        let error = format!("{:#}", chosen(&machine, &context, &[node("b1")]).unwrap_err());
        assert!(error.contains("REGISTRY=host:port/path"), "{error}");
    }

    #[test]
    fn a_registry_has_precedence() {
        let context = Context::example("kind-dev", false);
        let registry = Some("registry.example.com:5000/team/".to_owned());
        let loader = Loader::choose_on(&ALL_PROGRAMS, &context, &[], registry).unwrap();
        let commands =
            loader.commands(&["/r/images/busybox.tar".into(), "/r/images/bootlace.tar".into()]).unwrap();
        assert_eq!(
            commands[0].join(" "),
            "skopeo copy --quiet oci-archive:/r/images/busybox.tar docker://registry.example.com:5000/team/busybox:test"
        );
        assert!(commands[1].join(" ").ends_with("docker://registry.example.com:5000/team/bootlace:dev"));
        assert_eq!(loader.values()[0], "image.repository=registry.example.com:5000/team/bootlace");
        assert_eq!(loader.needs(), ["skopeo"]);
        // The Makefile exports an empty value if it is not set.
        let loader = Loader::choose_on(&ALL_PROGRAMS, &context, &[], Some(String::new())).unwrap();
        assert_eq!(loader, Loader::Kind("dev".to_owned()));
    }

    #[test]
    fn a_missing_tool_is_an_error() {
        let no_programs = Machine { has_program: |_| false, ..ALL_PROGRAMS };
        for (name, tool) in [("kind-dev", "kind"), ("k3d-dev", "k3d")] {
            let error = chosen(&no_programs, &Context::example(name, false), &[]).unwrap_err().to_string();
            assert!(error.contains(&format!("install {tool}")) && error.contains(name), "{error}");
        }
    }
}
