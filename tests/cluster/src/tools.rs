//! The cluster's programs: Kubernetes, Helm and `CoreDNS`, built from the Go module `tests/cluster/tools`; an older Kubernetes
//! and cert-manager from modules of their own.

use std::io::ErrorKind;
use std::os::unix::fs::symlink;
use std::path::PathBuf;

use anyhow::{Context, Result};
use clap::ValueEnum;

use crate::builds;
use crate::cache::Entry;
use crate::command::{command, output};
use crate::stage::{progressing, say};

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

/// A Go module whose programs are built.
struct Module {
    /// Its folder.
    folder: &'static str,
    go_mod: &'static str,
    go_sum: &'static str,
    /// What is a package of its own in the folder.
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

/// Programs of a release of Kubernetes.
const KUBERNETES: [&str; 6] = [
    "k8s.io/kubernetes/cmd/kube-apiserver",
    "k8s.io/kubernetes/cmd/kube-controller-manager",
    "k8s.io/kubernetes/cmd/kube-proxy",
    "k8s.io/kubernetes/cmd/kube-scheduler",
    "k8s.io/kubernetes/cmd/kubectl",
    "k8s.io/kubernetes/cmd/kubelet",
];
/// Programs that do not depend on the release, and are built once.
const SHARED: [&str; 2] = ["./coredns", "helm.sh/helm/v4/cmd/helm"];

/// cert-manager, which only one scenario needs.
const CERT_MANAGER: Module = Module {
    folder: "tools-cert-manager",
    go_mod: include_str!("../tools-cert-manager/go.mod"),
    go_sum: include_str!("../tools-cert-manager/go.sum"),
    sources: &[include_str!("../tools-cert-manager/cert-manager/main.go")],
};
/// The file beside its program that holds its `CustomResourceDefinition`s.
pub const CERT_MANAGER_CRDS: &str = "crds.yaml";

/// Builds cert-manager where the cache does not hold it, and returns the folder with its program `cert-manager` and
/// [`CERT_MANAGER_CRDS`].
///
/// # Errors
/// As [`prepare`].
pub async fn cert_manager() -> Result<PathBuf> {
    let folder = build(&CERT_MANAGER, &["./cert-manager"]).await?;
    let file = folder.join(CERT_MANAGER_CRDS);
    if !file.exists() {
        let mut list = command("go");
        list.args(["list", "-m", "-f", "{{.Dir}}", "github.com/cert-manager/cert-manager"]);
        let module = output(list.current_dir(source(&CERT_MANAGER))).await?;
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

/// Builds the programs of a cluster that are not in the cache yet, and returns the folder that holds them.
///
/// # Errors
/// When Go is not there or a program does not build.
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
            _ => symlink(newest.join(program), &link).with_context(|| format!("make {}", link.display()))?,
        }
    }
    Ok(folder)
}

/// Builds those of the newest cluster's programs that `names` names, where they are not in the cache yet, and returns the
/// folder that holds them.
///
/// # Errors
/// As [`prepare`], and when there is no such program.
pub async fn prepare_only(names: &[&str]) -> Result<PathBuf> {
    let all = [&KUBERNETES[..], &SHARED[..]].concat();
    let mut packages = Vec::new();
    for wanted in names {
        let package = all.iter().find(|package| name(package) == *wanted);
        packages.push(*package.with_context(|| {
            let all: Vec<_> = all.iter().map(|package| name(package)).collect();
            format!("{wanted} is not one of the cluster's programs, which are {}", all.join(", "))
        })?);
    }
    build(&Kubernetes::Newest.module(), &packages).await
}

/// What a package's program is called.
fn name(package: &str) -> &str {
    package.rsplit('/').next().unwrap_or(package)
}

/// Builds those of `packages` whose programs the cache does not hold.
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
        say(&format!("==> the cluster's programs: cached in {}", folder.display()));
        return Ok(folder);
    }
    let names: Vec<_> = missing.iter().map(|package| name(package)).collect();
    progressing(&format!("building {} from source", names.join(", ")), async |progress| {
        // A program whose building was cut short must not look built.
        let new = folder.join("new");
        std::fs::create_dir_all(&new).with_context(|| format!("create {}", new.display()))?;
        // All at once: one is linked while another is compiled.
        builds::go(&source(module), &flags, &missing, &new, progress).await?;
        for name in names {
            std::fs::rename(new.join(name), folder.join(name)).with_context(|| format!("keep {name}"))?;
        }
        Ok(())
    })
    .await?;
    Ok(folder)
}

fn source(module: &Module) -> PathBuf {
    crate::images::root().join("tests/cluster").join(module.folder)
}

/// Flags of `go build`. Without the version, the API server calls itself v0.0.0 and clients refuse it.
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
        // CoreDNS' main package is in this repository, which git may not let root look into.
        "-buildvcs=false".to_owned(),
        // Nobody debugs them, and without it compiling takes three quarters of the time.
        "-gcflags".to_owned(),
        "all=-dwarf=false".to_owned(),
        "-tags".to_owned(),
        // Leaves the cloud providers out, which are a third of the code.
        "providerless".to_owned(),
        "-ldflags".to_owned(),
        format!("-s -w{version}"),
    ]
}
