//! Scenarios that need more than the API of the cluster. They run only on clusters that the harness has
//! created.

/// Scenarios that need access to the node, by the start of their names, and the reason. On other clusters
/// they are skipped and listed.
pub const NODE: [(&str, &str); 12] = [
    ("airflow_sources::", "starts a registry on the address of the node"),
    (
        "callers::",
        "needs the client certificate of the API server, and connects to the cluster IP of the webhook",
    ),
    ("entrypoint_lookup::", "starts a registry on the address of the node"),
    (
        "env_modes::a_post_start_of_the_pods_own_that_asks_over_https",
        "starts a server on the address of the node",
    ),
    ("kill::", "kills processes of the node"),
    ("monitor::a_leader_that_is_killed", "kills processes of the node"),
    ("oci_source::", "starts a registry on the address of the node"),
    ("rotation::a_replica_that_is_killed", "kills processes of the node"),
    (
        "store::attacks::",
        "connects to the cluster IP of the store, and signs tokens with the key of the API server",
    ),
    ("store::awaited::", "connects to the cluster IP of the store"),
    ("store::pipes::", "connects to the cluster IP of the store"),
    (
        "volume_source::a_csi_volume",
        "needs the image of a CSI driver, and the folder of the kubelet at /var/lib/kubelet",
    ),
];

/// The scenarios whose image consists of the files of a Debian package on this machine, and the reason. Other
/// clusters do not need that package, so they skip these scenarios.
pub const MESH: (&str, &str) = ("mesh::", "needs an image of the Debian package iptables");

/// The scenario that needs cert-manager. It has a separate command, because its build needs minutes.
pub const CERT_MANAGER: &str = "cert_manager::";
/// The variable with the folder of cert-manager, for this scenario.
pub const CERT_MANAGER_FOLDER: &str = "BOOTLACE_CERT_MANAGER";
/// The scenarios that need the previous version of Bootlace. They have a separate command, because its build
/// needs minutes and the history of the repository.
pub const PREVIOUS: &str = "previous::";
/// The variable with the source folder of the previous version, for these scenarios.
pub const PREVIOUS_SOURCE: &str = "BOOTLACE_PREVIOUS";
/// The scenarios with the real clients of schedulers. `make test` runs those of
/// [`clients::short`](crate::clients::short), and a separate command the others, because their builds need
/// minutes.
pub const SCHEDULERS: &str = "schedulers::";
/// All scenarios with a separate command, except those of schedulers.
pub const SEPARATE: [&str; 2] = [CERT_MANAGER, PREVIOUS];

#[cfg(test)]
mod tests {
    use std::fs;
    use std::path::{Path, PathBuf};

    use super::*;

    /// Names in the source code of scenarios that need the node.
    const NODE_APIS: [&str; 9] = [
        "node::ADDRESS",
        "TOKEN_KEY",
        "cluster_ip",
        "Registry::start",
        "HttpsServer::start",
        "Store::open",
        "kill::run",
        "kill_one",
        "CSI_DRIVER",
    ];

    fn files(folder: &Path, found: &mut Vec<PathBuf>) {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() { files(&path, found) } else { found.push(path) }
        }
    }

    /// A scenario that uses the node and is not listed would fail on other clusters.
    #[test]
    fn exactly_the_scenarios_that_use_the_node_are_listed() {
        let root = crate::images::root().join("tests/cluster/tests/scenarios");
        let mut all = Vec::new();
        files(&root, &mut all);
        let mut texts = Vec::new();
        for file in all {
            let text = fs::read_to_string(&file).unwrap();
            let path = file.strip_prefix(&root).unwrap().with_extension("");
            let module: Vec<_> =
                path.iter().map(|part| part.to_str().unwrap()).filter(|part| *part != "mod").collect();
            // A file without tests has helpers, which count for their callers.
            if text.contains("#[tokio::test]") {
                texts.push((format!("{}::", module.join("::")), text));
            }
        }
        for (module, text) in &texts {
            let listed = NODE.iter().any(|(name, _)| name.starts_with(module.as_str()));
            let api = NODE_APIS.iter().find(|api| text.contains(**api));
            assert!(api.is_none() || listed, "{module} uses {}: list it in scenario/needs.rs", api.unwrap());
        }
        for (name, _) in NODE {
            let (module, source) =
                texts.iter().find(|(module, _)| name.starts_with(module.as_str())).expect(name);
            let test = name.strip_prefix(module.as_str()).unwrap();
            assert!(source.contains(&format!("async fn {test}")), "{name} does not exist");
            assert!(NODE_APIS.iter().any(|api| source.contains(api)), "{name} does not need the node");
        }
    }
}
