//! Python environments of clients from the Python Package Index.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};

use crate::cache::Entry;
use crate::command::{command, output};
use crate::stage::{Progress, print, progressing};

/// Installs the requirements in seconds. pip needs minutes.
pub const UV: &str = "uv==0.13.8";
/// The Python of Debian, even if another python3 is first in PATH. Images contain the same one.
pub const PYTHON: &str = "/usr/bin/python3";

/// An environment with all packages in a requirements file, which pins their versions.
pub struct Environment {
    /// The name of the client (`dagster`), as in file names.
    pub name: &'static str,
    /// The name of the client (`Dagster`), as in messages.
    pub title: &'static str,
    /// The content of the requirements file.
    pub requirements: &'static str,
}

impl Environment {
    /// Installs the packages into the cache if necessary, then calls `complete` with the folder, which
    /// contains the environment in `venv`. Returns the folder.
    ///
    /// # Errors
    /// If the packages cannot be installed, or `complete` fails.
    pub async fn prepare(
        &self,
        inputs: &[&str],
        complete: impl AsyncFnOnce(&Path, &Progress) -> Result<()>,
    ) -> Result<PathBuf> {
        let entry = self.entry(inputs).await?;
        if entry.is_complete() {
            print(&format!("==> {}: cached in {}", self.title, entry.folder().display()));
            return Ok(entry.folder().to_owned());
        }
        progressing(&format!("installing {}", self.title), async |progress| {
            install(entry.folder(), self.requirements, progress).await?;
            complete(entry.folder(), progress).await?;
            entry.complete()
        })
        .await
    }

    /// The folder of [`prepare`](Self::prepare) with the same `inputs`. Needs no network.
    ///
    /// # Errors
    /// If the packages are not installed.
    pub async fn prepared(&self, inputs: &[&str]) -> Result<PathBuf> {
        let entry = self.entry(inputs).await?;
        if !entry.is_complete() {
            bail!(
                "{} is not in the cache: run `bootlace-cluster prepare` with a network connection",
                self.title
            );
        }
        Ok(entry.folder().to_owned())
    }

    /// The cache entry, which depends on the requirements, the version of Python, and `inputs`: everything
    /// else that the content of the folder depends on.
    async fn entry(&self, inputs: &[&str]) -> Result<Entry> {
        let python = output(command(PYTHON).arg("--version")).await?;
        let parts: Vec<_> =
            [self.requirements, UV, &python].iter().chain(inputs).map(|part| part.as_bytes()).collect();
        Entry::open(self.name, &parts)
    }
}

/// Creates the environment `venv` in `folder`, and installs the packages in `requirements`.
///
/// # Errors
/// If it cannot be created, or a package cannot be installed.
pub async fn install(folder: &Path, requirements: &str, progress: &Progress) -> Result<()> {
    progress.set("creating the environment");
    let venv = folder.join("venv");
    output(command(PYTHON).args(["-m", "venv"]).arg(&venv)).await?;
    output(command(venv.join("bin/pip")).args(["install", "--quiet", UV])).await?;
    progress.set(format!("installing {} packages", requirements.lines().count()));
    let file = folder.join("requirements.txt");
    std::fs::write(&file, requirements).with_context(|| format!("write {}", file.display()))?;
    let mut uv = command(venv.join("bin/uv"));
    // Use the certificates of the machine, as pip, cargo and Go do: they contain the CA of a proxy.
    uv.args(["pip", "install", "--quiet", "--system-certs", "--python"]).arg(venv.join("bin/python"));
    output(uv.arg("--requirements").arg(file)).await.map(drop)
}
