//! The previous version of Bootlace, for the scenarios that mix it with this version. It is built from the
//! commit in `tests/cluster/previous/commit`.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use bootlace_image::product::{self, Binaries};

use crate::cache::Entry;
use crate::command::{command, output};
use crate::images;
use crate::stage::{Progress, print, progressing};

/// The file with the hash of the commit.
const FILE: &str = "tests/cluster/previous/commit";
const COMMIT: &str = include_str!("../previous/commit");

/// The previous version.
pub struct Previous {
    source: PathBuf,
    binaries: Binaries,
}

impl Previous {
    /// The files of the commit, with its chart.
    #[must_use]
    pub fn source(&self) -> &Path {
        &self.source
    }

    /// Writes the archive of its image to `folder`.
    ///
    /// # Errors
    /// If it cannot be written.
    pub fn write_image(&self, folder: &Path) -> Result<()> {
        let file = folder.join("bootlace-previous.tar");
        product::write(&self.binaries, images::PREVIOUS, &file).map(drop)
    }
}

/// Builds the previous version if it is not in the cache.
///
/// # Errors
/// If the clone does not contain the commit, or the build fails.
pub async fn prepare() -> Result<Previous> {
    let commit = COMMIT.trim();
    let entry = Entry::open("previous", &[commit.as_bytes()])?;
    let (source, programs) = (entry.folder().join("source"), entry.folder().join("bin"));
    let binaries = Binaries {
        bootlace: programs.join("bootlace"),
        launch: programs.join("bootlace-launch"),
        launch_http: programs.join("bootlace-launch-http"),
    };
    if entry.is_complete() {
        print(&format!("==> previous version of Bootlace: cached in {}", entry.folder().display()));
        return Ok(Previous { source, binaries });
    }
    extract(commit, &source).await?;
    let stage = format!("building the previous version of Bootlace ({commit:.7})");
    // Not in the target folder of this version: cargo would use libraries of one version in the other,
    // because packages at the same place of two workspaces have the same names there, and only times of files
    // tell them apart.
    let target = entry.folder().join("target");
    let build = async |progress: &Progress| {
        images::product_of(&source, Some(&target), images::PROFILE, progress).await
    };
    let product = progressing(&stage, build).await?;
    fs::create_dir_all(&programs).with_context(|| format!("create {}", programs.display()))?;
    for (from, to) in [
        (&product.bootlace, &binaries.bootlace),
        (&product.launch, &binaries.launch),
        (&product.launch_http, &binaries.launch_http),
    ] {
        fs::copy(from, to).with_context(|| format!("copy {}", from.display()))?;
    }
    fs::remove_dir_all(&target).with_context(|| format!("remove {}", target.display()))?;
    entry.complete()?;
    Ok(Previous { source, binaries })
}

/// Writes the files of the commit to the folder `source`.
async fn extract(commit: &str, source: &Path) -> Result<()> {
    let archive = source.with_extension("tar");
    find(commit).await?;
    let mut git = git();
    git.args(["archive", "--format=tar", "--output"]).arg(&archive).arg(commit);
    output(&mut git).await?;
    fs::create_dir_all(source).with_context(|| format!("create {}", source.display()))?;
    output(command("tar").arg("--extract").arg("--file").arg(&archive).arg("--directory").arg(source))
        .await?;
    fs::remove_file(&archive).with_context(|| format!("remove {}", archive.display()))
}

/// Checks that the clone contains the commit.
async fn find(commit: &str) -> Result<()> {
    // Also shows whether git can read the clone at all.
    let shallow = output(git().args(["rev-parse", "--is-shallow-repository"])).await?;
    if output(git().args(["cat-file", "-e", &format!("{commit}^{{commit}}")])).await.is_ok() {
        return Ok(());
    }
    let (reason, remedy) = match shallow.trim() {
        "true" => ("the clone is shallow", "git fetch --unshallow"),
        _ => ("the clone does not contain it", "git fetch origin"),
    };
    bail!("commit {commit} in {FILE:?} not found: {reason}: run `{remedy}`");
}

/// Git, in the clone. It refuses a clone of another user unless that is allowed, and the harness runs as
/// root.
fn git() -> tokio::process::Command {
    let mut git = command("git");
    git.arg("-C").arg(images::root()).args(["-c", "safe.directory=*"]);
    git
}
