//! The cluster's programs: Kubernetes, Helm and `CoreDNS`, built as Go tools from `tests/cluster/tools/go.mod`; an older
//! Kubernetes from a module of its own.

use std::io::ErrorKind;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use clap::ValueEnum;

use crate::cache::Entry;
use crate::command::{command, output};
use crate::stage::stage;

/// The Kubernetes that a cluster is made of.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum Kubernetes {
    /// The newest release.
    #[default]
    #[value(name = "1.37")]
    Newest,
    /// The oldest one that `env.mode: File` works on.
    #[value(name = "1.35")]
    Oldest,
}

/// A Go module whose tools are built.
struct Module {
    /// Its folder.
    folder: &'static str,
    go_mod: &'static str,
    go_sum: &'static str,
    groups: &'static [Group],
}

impl Kubernetes {
    fn module(self) -> Module {
        match self {
            Self::Newest => Module {
                folder: "tools",
                go_mod: include_str!("../tools/go.mod"),
                go_sum: include_str!("../tools/go.sum"),
                groups: &[KUBERNETES, CORE_DNS, HELM],
            },
            Self::Oldest => Module {
                folder: "tools-1.35",
                go_mod: include_str!("../tools-1.35/go.mod"),
                go_sum: include_str!("../tools-1.35/go.sum"),
                groups: &[KUBERNETES],
            },
        }
    }
}

/// One `go build`: programs that share most of their packages, and what building them costs on two cores.
struct Group {
    name: &'static str,
    cost: &'static str,
    packages: &'static [&'static str],
}

const KUBERNETES: Group = Group {
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
};
const CORE_DNS: Group = Group { name: "CoreDNS", cost: "1 min", packages: &["github.com/coredns/coredns"] };
const HELM: Group = Group { name: "Helm", cost: "half a minute", packages: &["helm.sh/helm/v4/cmd/helm"] };
/// Programs that do not depend on the release, and are built once.
const SHARED: [&str; 2] = ["coredns", "helm"];

/// Builds the programs that are not in the cache yet and returns the folder that holds them.
///
/// # Errors
/// When Go is not there or a program does not build.
pub async fn prepare(kubernetes: Kubernetes) -> Result<PathBuf> {
    let newest = build(&Kubernetes::Newest.module()).await?;
    if kubernetes == Kubernetes::Newest {
        return Ok(newest);
    }
    let folder = build(&kubernetes.module()).await?;
    for program in SHARED {
        let link = folder.join(program);
        match std::fs::remove_file(&link) {
            Err(error) if error.kind() != ErrorKind::NotFound => {
                return Err(error).with_context(|| format!("remove {}", link.display()));
            }
            _ => symlink(newest.join(program), &link).with_context(|| format!("make {}", link.display()))?,
        }
    }
    Ok(folder)
}

async fn build(module: &Module) -> Result<PathBuf> {
    let go = output(command("go").args(["env", "GOVERSION"])).await?;
    let flags = flags(module)?;
    let flags_line = flags.join(" ");
    let sources = [module.go_mod, module.go_sum, &go, &flags_line].map(str::as_bytes);
    let entry = Entry::open("tools", &sources)?;
    if entry.is_complete() {
        eprintln!("==> the cluster's programs: cached in {}", entry.folder().display());
        return Ok(entry.folder().to_owned());
    }
    for group in module.groups {
        let what = format!("building {} (about {} from cold)", group.name, group.cost);
        stage(&what, async {
            let mut go = command("go");
            let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join(module.folder);
            go.current_dir(folder).env("CGO_ENABLED", "0");
            go.arg("build").args(&flags).arg("-o").arg(entry.folder()).args(group.packages);
            output(&mut go).await.map(drop)
        })
        .await?;
    }
    entry.complete()
}

/// Flags of `go build`. Without the version, the API server calls itself v0.0.0 and clients refuse it.
fn flags(module: &Module) -> Result<[String; 5]> {
    let version = module
        .go_mod
        .lines()
        .find_map(|line| {
            line.trim()
                .trim_start_matches("require ")
                .strip_prefix("k8s.io/kubernetes v")?
                .split_whitespace()
                .next()
        })
        .with_context(|| format!("tests/cluster/{}/go.mod requires no k8s.io/kubernetes", module.folder))?;
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
