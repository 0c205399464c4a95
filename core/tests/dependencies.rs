//! Dependencies of this crate.

use std::process::Command;

/// Crates of clients, async runtimes and TLS stacks.
const FORBIDDEN: &[&str] = &[
    "async-trait",
    "futures",
    "futures-util",
    "hyper",
    "kube-client",
    "kube-runtime",
    "object_store",
    "reqwest",
    "rustls",
    "tokio",
    "tower",
];

#[test]
fn dependencies_include_no_client_and_no_runtime() {
    let cargo = std::env::var_os("CARGO").unwrap();
    let mut tree = Command::new(cargo);
    tree.args(["tree", "--package", "bootlace-core", "--edges", "normal", "--prefix", "none", "--offline"]);
    let output = tree.current_dir(env!("CARGO_MANIFEST_DIR")).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let tree = String::from_utf8(output.stdout).unwrap();
    let crates: Vec<_> = tree.lines().filter_map(|line| line.split(' ').next()).collect();
    assert!(crates.contains(&"serde_json"), "{tree}");
    let found: Vec<_> = FORBIDDEN.iter().filter(|name| crates.contains(name)).collect();
    assert!(
        found.is_empty(),
        "bootlace-core depends on {found:?}: move what needs them to the package bootlace"
    );
}
