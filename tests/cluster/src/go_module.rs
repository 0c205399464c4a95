//! Builds programs from the Go modules in `tests/cluster`.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

use crate::builds;
use crate::cache::Entry;
use crate::command::{command, output};
use crate::stage::{print, progressing};

/// A Go module whose `go.mod` pins the versions of the programs.
pub struct GoModule {
    /// The folder in `tests/cluster`.
    pub folder: &'static str,
    /// The content of its `go.mod`.
    pub go_mod: &'static str,
    /// The content of its `go.sum`.
    pub go_sum: &'static str,
    /// The source files in the folder.
    pub sources: &'static [&'static str],
}

/// A source file that is missing from the published version of a module. It must also be one of
/// [`GoModule::sources`].
pub struct Addition {
    /// The module, one of the requirements in `go.mod`.
    pub module: &'static str,
    /// The path of the file in the module.
    pub path: &'static str,
    /// The content of the file.
    pub content: &'static str,
}

impl GoModule {
    /// Builds the programs in `packages` that are not in the cache, and returns their folder.
    ///
    /// # Errors
    /// If Go is not installed or a build fails.
    pub async fn build(&self, packages: &[&'static str]) -> Result<PathBuf> {
        self.build_with(packages, None).await
    }

    /// As [`build`](Self::build), with a file added to the source code of a module.
    ///
    /// # Errors
    /// As [`build`](Self::build), and if the source code cannot be copied.
    pub async fn build_with(
        &self,
        packages: &[&'static str],
        addition: Option<&Addition>,
    ) -> Result<PathBuf> {
        let flags = self.flags();
        let entry = self.entry(&flags).await?;
        let folder = entry.folder().to_owned();
        let missing: Vec<_> =
            packages.iter().copied().filter(|package| !folder.join(name(package)).exists()).collect();
        let names: Vec<_> = missing.iter().map(|package| name(package)).collect();
        if missing.is_empty() {
            print(&format!("==> programs of {}: cached in {}", self.folder, folder.display()));
            return Ok(folder);
        }
        progressing(&format!("building {} from source", names.join(", ")), async |progress| {
            // Build in another folder, so that an interrupted build does not look complete.
            let new = folder.join("new");
            std::fs::create_dir_all(&new).with_context(|| format!("create {}", new.display()))?;
            let copy = tempfile::tempdir_in(&folder).context("create a folder for source code")?;
            let mut flags = flags.to_vec();
            if let Some(addition) = addition {
                flags.push(self.add(addition, copy.path()).await?);
            }
            // One command for all programs, so that Go links one while it compiles another.
            builds::go(&self.source_folder(), &flags, &missing, &new, progress).await?;
            for name in names {
                std::fs::rename(new.join(name), folder.join(name))
                    .with_context(|| format!("move {name} into the cache"))?;
            }
            Ok(())
        })
        .await?;
        Ok(folder)
    }

    /// Copies the source code of a module to `folder`, adds the file, and returns the flag of Go to use the
    /// copy. Go's flag `-overlay` would not need a copy, but refuses files in the module cache.
    async fn add(&self, addition: &Addition, folder: &Path) -> Result<String> {
        let Addition { module, path, content } = addition;
        let (source, copy) = (self.source_of(module).await?, folder.join("module"));
        // The module cache is read-only.
        output(command("cp").args(["--recursive", "--no-preserve=mode"]).args([&source, &copy])).await?;
        let (go_mod, go_sum) = (folder.join("go.mod"), folder.join("go.sum"));
        let replaced = format!("{}\nreplace {module} => {}\n", self.go_mod, copy.display());
        for (file, content) in [(&copy.join(path), *content), (&go_mod, &replaced), (&go_sum, self.go_sum)] {
            std::fs::write(file, content).with_context(|| format!("write {}", file.display()))?;
        }
        Ok(format!("-modfile={}", go_mod.display()))
    }

    /// The folder with the programs that [`build`](Self::build) has built. Needs no network.
    ///
    /// # Errors
    /// If Go is not installed, or the cache cannot be written.
    pub async fn built(&self) -> Result<PathBuf> {
        Ok(self.entry(&self.flags()).await?.folder().to_owned())
    }

    /// The folder of the module.
    #[must_use]
    pub fn source_folder(&self) -> PathBuf {
        crate::images::root().join("tests/cluster").join(self.folder)
    }

    /// The folder of the source code of `module`, one of the requirements in `go.mod`. It contains files that
    /// are not programs, such as CRDs.
    ///
    /// # Errors
    /// If Go fails to download it.
    pub async fn source_of(&self, module: &str) -> Result<PathBuf> {
        let mut list = command("go");
        list.args(["list", "-m", "-f", "{{.Dir}}", module]).current_dir(self.source_folder());
        // Also with a cached build, Go may have removed the source code.
        let mut download = command("go");
        download.args(["mod", "download", module]).current_dir(self.source_folder());
        output(&mut download).await?;
        Ok(PathBuf::from(output(&mut list).await?.trim()))
    }

    /// The cache entry, which depends on all versions and flags.
    async fn entry(&self, flags: &[String]) -> Result<Entry> {
        let version = output(command("go").args(["env", "GOVERSION"])).await?;
        let flags_line = flags.join(" ");
        let parts = [&[self.go_mod, self.go_sum, &version, &flags_line], self.sources].concat();
        let parts: Vec<_> = parts.iter().map(|part| part.as_bytes()).collect();
        Entry::open_partial("tools", &parts)
    }

    /// The flags of `go build`. Without the version, the API server reports v0.0.0 and clients refuse it.
    fn flags(&self) -> [String; 8] {
        let version = self.go_mod.lines().find_map(|line| {
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
            // Some main packages are in this repository, and git can refuse to read it as root.
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
}

/// The name of the program that Go builds for a package: its last element that is not a major version.
#[must_use]
pub fn name(package: &str) -> &str {
    let is_version = |part: &str| part.strip_prefix('v').is_some_and(|number| number.parse::<u32>().is_ok());
    package.rsplit('/').find(|part| !is_version(part)).unwrap_or(package)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_program_is_named_as_go_names_it() {
        assert_eq!(name("k8s.io/kubernetes/cmd/kubelet"), "kubelet");
        assert_eq!(name("go.etcd.io/etcd/server/v3"), "server");
        assert_eq!(name("./coredns"), "coredns");
    }
}
