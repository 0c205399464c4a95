//! The programs of the cluster: Kubernetes, Helm and `CoreDNS`, built from the Go module
//! `tests/cluster/tools`. An older Kubernetes and cert-manager have separate modules.

use std::io::ErrorKind;
use std::os::unix::fs::symlink;
use std::path::PathBuf;

use anyhow::{Context, Result};
use clap::ValueEnum;

use crate::builds;
use crate::cache::Entry;
use crate::command::{command, output};
use crate::stage::{print, progressing};

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

/// A Go module.
struct Module {
    folder: &'static str,
    go_mod: &'static str,
    go_sum: &'static str,
    /// The source files in the folder.
    sources: &'static [&'static str],
}

impl Kubernetes {
    fn module(self) -> Module {
        match self {
            Self::Newest => Module {
                folder: "tools",
                go_mod: include_str!("../tools/go.mod"),
                go_sum: include_str!("../tools/go.sum"),
                sources: &[include_str!("../tools/coredns/main.go")],
            },
            Self::Oldest => Module {
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

/// The module of cert-manager, which only one scenario needs.
const CERT_MANAGER: Module = Module {
    folder: "tools-cert-manager",
    go_mod: include_str!("../tools-cert-manager/go.mod"),
    go_sum: include_str!("../tools-cert-manager/go.sum"),
    sources: &[include_str!("../tools-cert-manager/cert-manager/main.go")],
};
/// The file with the `CustomResourceDefinition`s of cert-manager, in the same folder as its program.
pub const CERT_MANAGER_CRDS: &str = "crds.yaml";

/// Builds cert-manager if it is not in the cache, and returns the folder with its program `cert-manager` and
/// the file [`CERT_MANAGER_CRDS`].
///
/// # Errors
/// As [`prepare`].
pub async fn cert_manager() -> Result<PathBuf> {
    let folder = build(&CERT_MANAGER, &["./cert-manager"]).await?;
    let file = folder.join(CERT_MANAGER_CRDS);
    if !file.exists() {
        let mut list = command("go");
        list.args(["list", "-m", "-f", "{{.Dir}}", "github.com/cert-manager/cert-manager"]);
        let module = output(list.current_dir(source_folder(&CERT_MANAGER))).await?;
        let crds = PathBuf::from(module.trim()).join("deploy/crds");
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
    if kubernetes == Kubernetes::Newest {
        return build(&kubernetes.module(), &[&KUBERNETES[..], &SHARED[..]].concat()).await;
    }
    let newest = build(&Kubernetes::Newest.module(), &SHARED).await?;
    let folder = build(&kubernetes.module(), &KUBERNETES).await?;
    for program in SHARED.map(name) {
        let link = folder.join(program);
        match std::fs::remove_file(&link) {
            Err(error) if error.kind() != ErrorKind::NotFound => {
                return Err(error).with_context(|| format!("remove {}", link.display()));
            }
            _ => {
                symlink(newest.join(program), &link).with_context(|| format!("create {}", link.display()))?;
            }
        }
    }
    Ok(folder)
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
    build(&Kubernetes::Newest.module(), &packages).await
}

/// The name of the program that a package builds.
fn name(package: &str) -> &str {
    package.rsplit('/').next().unwrap_or(package)
}

/// Builds those of `packages` whose programs are not in the cache.
async fn build(module: &Module, packages: &[&'static str]) -> Result<PathBuf> {
    let version = output(command("go").args(["env", "GOVERSION"])).await?;
    let flags = flags(module);
    let flags_line = flags.join(" ");
    let parts = [&[module.go_mod, module.go_sum, &version, &flags_line], module.sources].concat();
    let parts: Vec<_> = parts.iter().map(|part| part.as_bytes()).collect();
    let entry = Entry::open_partial("tools", &parts)?;
    let folder = entry.folder().to_owned();
    let missing: Vec<_> =
        packages.iter().copied().filter(|package| !folder.join(name(package)).exists()).collect();
    if missing.is_empty() {
        print(&format!("==> programs of the cluster: cached in {}", folder.display()));
        return Ok(folder);
    }
    let names: Vec<_> = missing.iter().map(|package| name(package)).collect();
    progressing(&format!("building {} from source", names.join(", ")), async |progress| {
        // Build in another folder, so that an interrupted build does not look complete.
        let new = folder.join("new");
        std::fs::create_dir_all(&new).with_context(|| format!("create {}", new.display()))?;
        // One command for all programs, so that Go links one while it compiles another.
        builds::go(&source_folder(module), &flags, &missing, &new, progress).await?;
        for name in names {
            std::fs::rename(new.join(name), folder.join(name))
                .with_context(|| format!("move {name} into the cache"))?;
        }
        Ok(())
    })
    .await?;
    Ok(folder)
}

fn source_folder(module: &Module) -> PathBuf {
    crate::images::root().join("tests/cluster").join(module.folder)
}

/// The flags of `go build`. Without the version, the API server reports v0.0.0 and clients refuse it.
fn flags(module: &Module) -> [String; 8] {
    let version = module.go_mod.lines().find_map(|line| {
        line.trim()
            .trim_start_matches("require ")
            .strip_prefix("k8s.io/kubernetes v")?
            .split_whitespace()
            .next()
    });
    let version = version.map_or(String::new(), |version| {
        let mut parts = version.split('.');
        let (major, minor) = (parts.next().unwrap_or_default(), parts.next().unwrap_or_default());
        let package = "k8s.io/component-base/version";
        format!(
            " -X {package}.gitVersion=v{version} -X {package}.gitMajor={major} -X {package}.gitMinor={minor}"
        )
    });
    [
        "-trimpath".to_owned(),
        // The main package of CoreDNS is in this repository, and git can refuse to read it as root.
        "-buildvcs=false".to_owned(),
        // Debug information is not needed, and compiling is a quarter faster without it.
        "-gcflags".to_owned(),
        "all=-dwarf=false".to_owned(),
        "-tags".to_owned(),
        // Excludes the cloud providers, which are a third of the code.
        "providerless".to_owned(),
        "-ldflags".to_owned(),
        format!("-s -w{version}"),
    ]
}
