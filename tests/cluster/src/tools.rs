//! The programs of the cluster: Kubernetes, Helm and `CoreDNS`, built from the Go module
//! `tests/cluster/tools`. etcd, an older Kubernetes, cert-manager and a CSI driver have separate modules.

use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use clap::ValueEnum;

use crate::go_module::{GoModule, name};

/// The version of Kubernetes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum Kubernetes {
    /// The newest version.
    #[default]
    #[value(name = "1.37")]
    Newest,
    /// The oldest version that supports `env.mode: File`.
    #[value(name = "1.35")]
    Oldest,
}

impl Kubernetes {
    fn module(self) -> GoModule {
        match self {
            Self::Newest => GoModule {
                folder: "tools",
                go_mod: include_str!("../tools/go.mod"),
                go_sum: include_str!("../tools/go.sum"),
                sources: &[include_str!("../tools/coredns/main.go")],
            },
            Self::Oldest => GoModule {
                folder: "tools-1.35",
                go_mod: include_str!("../tools-1.35/go.mod"),
                go_sum: include_str!("../tools-1.35/go.sum"),
                sources: &[],
            },
        }
    }
}

/// The programs of a version of Kubernetes.
const KUBERNETES: [&str; 6] = [
    "k8s.io/kubernetes/cmd/kube-apiserver",
    "k8s.io/kubernetes/cmd/kube-controller-manager",
    "k8s.io/kubernetes/cmd/kube-proxy",
    "k8s.io/kubernetes/cmd/kube-scheduler",
    "k8s.io/kubernetes/cmd/kubectl",
    "k8s.io/kubernetes/cmd/kubelet",
];
/// Programs that do not depend on the version of Kubernetes, and are built once.
const SHARED: [&str; 2] = ["./coredns", "helm.sh/helm/v4/cmd/helm"];

/// The module of etcd. The etcd of Debian 12 (3.4.23) does not report the progress of watches, which the API
/// server needs to answer lists with `sendInitialEvents`: clients such as Spark's retry them forever.
const ETCD: GoModule = GoModule {
    folder: "tools-etcd",
    go_mod: include_str!("../tools-etcd/go.mod"),
    go_sum: include_str!("../tools-etcd/go.sum"),
    sources: &[],
};
const ETCD_PACKAGE: &str = "go.etcd.io/etcd/server/v3";

/// The module of cert-manager, which only one scenario needs.
const CERT_MANAGER: GoModule = GoModule {
    folder: "tools-cert-manager",
    go_mod: include_str!("../tools-cert-manager/go.mod"),
    go_sum: include_str!("../tools-cert-manager/go.sum"),
    sources: &[include_str!("../tools-cert-manager/cert-manager/main.go")],
};
/// The file with the `CustomResourceDefinition`s of cert-manager, in the same folder as its program.
pub const CERT_MANAGER_CRDS: &str = "crds.yaml";

/// The module of the CSI driver of the scenarios.
const CSI_DRIVER: GoModule = GoModule {
    folder: "tools-csi",
    go_mod: include_str!("../tools-csi/go.mod"),
    go_sum: include_str!("../tools-csi/go.sum"),
    sources: &[include_str!("../tools-csi/csi-driver/main.go")],
};

/// Builds the CSI driver if it is not in the cache, and returns the path of the program.
///
/// # Errors
/// As [`prepare`].
pub async fn csi_driver() -> Result<PathBuf> {
    const PACKAGE: &str = "./csi-driver";
    Ok(CSI_DRIVER.build(&[PACKAGE]).await?.join(name(PACKAGE)))
}

/// Builds cert-manager if it is not in the cache, and returns the folder with its program `cert-manager` and
/// the file [`CERT_MANAGER_CRDS`].
///
/// # Errors
/// As [`prepare`].
pub async fn cert_manager() -> Result<PathBuf> {
    let folder = CERT_MANAGER.build(&["./cert-manager"]).await?;
    let file = folder.join(CERT_MANAGER_CRDS);
    if !file.exists() {
        let module = CERT_MANAGER.source_of("github.com/cert-manager/cert-manager").await?;
        let crds = module.join("deploy/crds");
        let entries = std::fs::read_dir(&crds).with_context(|| format!("list {}", crds.display()))?;
        let mut all = Vec::new();
        for entry in entries {
            let path = entry?.path();
            if path.extension().is_some_and(|extension| extension == "yaml") {
                all.push(std::fs::read_to_string(&path).with_context(|| format!("read {}", path.display()))?);
            }
        }
        std::fs::write(&file, all.join("\n---\n")).with_context(|| format!("write {}", file.display()))?;
    }
    Ok(folder)
}

/// Builds the programs of a cluster that are not in the cache, and returns their folder.
///
/// # Errors
/// If Go is not installed or a build fails.
pub async fn prepare(kubernetes: Kubernetes) -> Result<PathBuf> {
    let (folder, etcd) = tokio::try_join!(build(kubernetes), ETCD.build(&[ETCD_PACKAGE]))?;
    link(&etcd.join(name(ETCD_PACKAGE)), &folder.join("etcd"))?;
    Ok(folder)
}

/// Builds Kubernetes and the shared programs, and returns their folder.
async fn build(kubernetes: Kubernetes) -> Result<PathBuf> {
    if kubernetes == Kubernetes::Newest {
        return kubernetes.module().build(&[&KUBERNETES[..], &SHARED[..]].concat()).await;
    }
    let newest = Kubernetes::Newest.module().build(&SHARED).await?;
    let folder = kubernetes.module().build(&KUBERNETES).await?;
    for program in SHARED.map(name) {
        link(&newest.join(program), &folder.join(program))?;
    }
    Ok(folder)
}

/// Creates or replaces the link `path` to `program`. A cluster that starts at the same time always finds one.
fn link(program: &Path, path: &Path) -> Result<()> {
    let new = path.with_extension(format!("{}.new", std::process::id()));
    symlink(program, &new).with_context(|| format!("create {}", new.display()))?;
    std::fs::rename(&new, path).with_context(|| format!("create {}", path.display()))
}

/// Builds the programs in `names`, for the newest version of Kubernetes, if they are not in the cache, and
/// returns their folder.
///
/// # Errors
/// As [`prepare`], and if there is no such program.
pub async fn prepare_only(names: &[&str]) -> Result<PathBuf> {
    let all = [&KUBERNETES[..], &SHARED[..]].concat();
    let mut packages = Vec::new();
    for wanted in names {
        let package = all.iter().find(|package| name(package) == *wanted);
        packages.push(*package.with_context(|| {
            let all: Vec<_> = all.iter().map(|package| name(package)).collect();
            format!("{wanted:?} is not a program of the cluster: must be one of {}", all.join(", "))
        })?);
    }
    Kubernetes::Newest.module().build(&packages).await
}
