//! The cluster's programs: Kubernetes, Helm and `CoreDNS`, built as Go tools from `tests/cluster/tools/go.mod`.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

use crate::cache::Entry;
use crate::command::{command, output};
use crate::stage::stage;

const GO_MOD: &str = include_str!("../tools/go.mod");
const GO_SUM: &str = include_str!("../tools/go.sum");

/// One `go build`: programs that share most of their packages, and what building them costs on two cores.
struct Group {
    name: &'static str,
    cost: &'static str,
    packages: &'static [&'static str],
}

const GROUPS: [Group; 3] = [
    Group {
        name: "kube-apiserver, kube-controller-manager, kube-scheduler, kubelet, kube-proxy, kubectl",
        cost: "8 min",
        packages: &[
            "k8s.io/kubernetes/cmd/kube-apiserver",
            "k8s.io/kubernetes/cmd/kube-controller-manager",
            "k8s.io/kubernetes/cmd/kube-proxy",
            "k8s.io/kubernetes/cmd/kube-scheduler",
            "k8s.io/kubernetes/cmd/kubectl",
            "k8s.io/kubernetes/cmd/kubelet",
        ],
    },
    Group { name: "CoreDNS", cost: "1 min", packages: &["github.com/coredns/coredns"] },
    Group { name: "Helm", cost: "half a minute", packages: &["helm.sh/helm/v4/cmd/helm"] },
];

/// Builds the programs that are not in the cache yet and returns the folder that holds them.
///
/// # Errors
/// When Go is not there or a program does not build.
pub async fn prepare() -> Result<PathBuf> {
    let go = output(command("go").args(["env", "GOVERSION"])).await?;
    let flags = flags()?;
    let flags_line = flags.join(" ");
    let entry = Entry::open("tools", &[GO_MOD, GO_SUM, &go, &flags_line].map(str::as_bytes))?;
    if entry.is_complete() {
        eprintln!("==> the cluster's programs: cached in {}", entry.folder().display());
        return Ok(entry.folder().to_owned());
    }
    for group in GROUPS {
        let what = format!("building {} (about {} from cold)", group.name, group.cost);
        stage(&what, async {
            let mut go = command("go");
            go.current_dir(Path::new(env!("CARGO_MANIFEST_DIR")).join("tools")).env("CGO_ENABLED", "0");
            go.arg("build").args(&flags).arg("-o").arg(entry.folder()).args(group.packages);
            output(&mut go).await.map(drop)
        })
        .await?;
    }
    entry.complete()
}

/// Flags of `go build`. Without the version, the API server calls itself v0.0.0 and clients refuse it.
fn flags() -> Result<[String; 5]> {
    let version = GO_MOD
        .lines()
        .find_map(|line| line.trim().strip_prefix("k8s.io/kubernetes v")?.split_whitespace().next())
        .context("tests/cluster/tools/go.mod requires no k8s.io/kubernetes")?;
    let mut parts = version.split('.');
    let (major, minor) = (parts.next().unwrap_or_default(), parts.next().unwrap_or_default());
    let package = "k8s.io/component-base/version";
    Ok([
        "-trimpath".to_owned(),
        "-tags".to_owned(),
        // Leaves the cloud providers out, which are a third of the code.
        "providerless".to_owned(),
        "-ldflags".to_owned(),
        format!(
            "-s -w -X {package}.gitVersion=v{version} -X {package}.gitMajor={major} -X {package}.gitMinor={minor}"
        ),
    ])
}
