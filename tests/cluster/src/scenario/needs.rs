//! Scenarios that need more of the cluster than its API: they run only on one of the harness's own.

/// Scenarios that need the node itself, by the start of their test's name, and what of it they need. On any other cluster
/// they are left out, and listed.
pub const NODE: [(&str, &str); 10] = [
    ("airflow_sources::", "a registry of its own listens on the node's address"),
    ("callers::", "the API server shows a client certificate, and it asks the webhook by its cluster IP"),
    ("entrypoint_lookup::", "a registry of its own listens on the node's address"),
    (
        "env_modes::a_post_start_of_the_pods_own_that_asks_over_https",
        "a server of its own listens on the node's address",
    ),
    ("kill::", "it kills processes of the node"),
    ("oci_source::", "a registry of its own listens on the node's address"),
    ("rotation::a_replica_that_is_killed", "it kills processes of the node"),
    ("store::attacks::", "it asks the store by its cluster IP, and signs tokens with the API server's key"),
    ("store::awaited::", "it asks the store by its cluster IP"),
    ("store::pipes::", "it asks the store by its cluster IP"),
];

/// The scenario that needs cert-manager, which takes minutes to build: it has a command of its own.
pub const CERT_MANAGER: &str = "cert_manager::";
/// The variable that names the folder of cert-manager to it.
pub const CERT_MANAGER_FOLDER: &str = "BOOTLACE_CERT_MANAGER";

#[cfg(test)]
mod tests {
    use std::fs;
    use std::path::{Path, PathBuf};

    use super::*;

    /// What a scenario reaches the node by.
    const SIGNS: [&str; 8] = [
        "node::ADDRESS",
        "TOKEN_KEY",
        "cluster_ip",
        "Registry::start",
        "HttpsServer::start",
        "Store::open",
        "kill::run",
        "kill_one",
    ];

    fn files(folder: &Path, found: &mut Vec<PathBuf>) {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() { files(&path, found) } else { found.push(path) }
        }
    }

    /// A scenario that reaches for the node and is not listed would fail on every other cluster.
    #[test]
    fn every_scenario_that_reaches_for_the_node_is_listed_and_no_other() {
        let root = crate::images::root().join("tests/cluster/tests/scenarios");
        let mut all = Vec::new();
        files(&root, &mut all);
        let mut texts = Vec::new();
        for file in all {
            let text = fs::read_to_string(&file).unwrap();
            let path = file.strip_prefix(&root).unwrap().with_extension("");
            let module: Vec<_> =
                path.iter().map(|part| part.to_str().unwrap()).filter(|part| *part != "mod").collect();
            // Helpers are their callers'.
            if text.contains("#[tokio::test]") {
                texts.push((format!("{}::", module.join("::")), text));
            }
        }
        for (module, text) in &texts {
            let listed = NODE.iter().any(|(name, _)| name.starts_with(module.as_str()));
            let sign = SIGNS.iter().find(|sign| text.contains(**sign));
            assert!(
                sign.is_none() || listed,
                "{module} uses {}: list it in scenario/needs.rs",
                sign.unwrap()
            );
        }
        for (name, _) in NODE {
            let (module, source) =
                texts.iter().find(|(module, _)| name.starts_with(module.as_str())).expect(name);
            let test = name.strip_prefix(module.as_str()).unwrap();
            assert!(source.contains(&format!("async fn {test}")), "there is no {name}");
            assert!(SIGNS.iter().any(|sign| source.contains(sign)), "{name} needs nothing of the node");
        }
    }
}
