//! The real clients and controllers of schedulers, which scenarios run on the cluster.
//!
//! Each client is built into the cache ([`Client::prepare`]), together with the images of its pods, which the
//! node imports at its start. Scenarios then start its [`Process`](process::Process) inside the network of
//! the cluster, with the kubeconfig of the administrator, as a user runs it on a workstation or in a pod.
//!
//! - [`process`]: a running client or controller. [`controller`]: a controller with admission webhooks.
//! - [`crds`]: the definitions of their custom resources.
//! - [`app`]: code that runs in a pod, and its results.
//! - [`python`]: environments of clients from the Python Package Index.
//! - [`maven`]: jars of clients from Maven Central.
//! - [`debian`]: images with the programs of Debian packages, such as Python.
//! - [`python_image`]: images with Python and an environment.
//! - [`results`]: what `make test-schedulers` prints.
//! - The other modules are clients.

pub mod airflow;
pub mod app;
pub mod argo;
pub mod controller;
pub mod crds;
pub mod dagster;
pub mod dask;
pub mod debian;
pub mod job;
pub mod jobset;
pub mod kuberay;
pub mod kueue;
pub mod luigi;
pub mod maven;
pub mod metaflow;
pub mod nextflow;
pub mod opentelemetry;
pub mod prefect;
pub mod process;
pub mod python;
pub mod python_image;
pub mod results;
pub mod snakemake;
pub mod spark;
pub mod tekton;
pub mod training_operator;
pub mod vault;

use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use bootlace_image::archive::{self, Config};
use bootlace_image::layer::Layer;
use futures::future::LocalBoxFuture;

use crate::images;
use crate::scenario::Namespace;

/// The folder of image archives in the cache entry of a client.
pub const IMAGES: &str = "images";

/// A scheduler whose real client runs in scenarios.
pub struct Client {
    /// The module of its scenarios: `schedulers::NAME`.
    pub name: &'static str,
    /// Its requirements on the machine, which are arguments of `hack/machine`.
    pub requirements: &'static [&'static str],
    /// Builds it if it is not in the cache, and returns its folders in the cache. The archives of images are
    /// in their subfolders [`IMAGES`].
    pub prepare: fn() -> LocalBoxFuture<'static, Result<Vec<PathBuf>>>,
    /// Whether `make test` includes it. The others need too much time, and have a separate command.
    pub short: bool,
    /// The workflow of `make demo SCHEDULER=NAME`. See [`demo_name`](Self::demo_name) for its name.
    pub demo: Option<Demo>,
}

impl Client {
    /// The name of its demo. `SCHEDULER=airflow` is the demo of Airflow's operator, so that of its executor
    /// has another name than the client.
    #[must_use]
    pub fn demo_name(&self) -> &'static str {
        if self.name == airflow::CLIENT.name { airflow::DEMO_NAME } else { self.name }
    }
}

/// A workflow to show. Its file does not mention Bootlace, except for the pod label with
/// [`OptIn::PodLabel`].
pub struct Demo {
    /// The scheduler, as users call it (`Argo Workflows`).
    pub title: &'static str,
    /// The file of the workflow, in `tests/cluster`.
    pub file: &'static str,
    /// The command with which a user runs it (`argo submit etl.yaml`).
    pub command: &'static str,
    /// How it opts in.
    pub opt_in: OptIn,
    /// Runs it in a namespace until it has ended, and returns its state as the scheduler reports it. Fails if
    /// the workflow does.
    pub run: for<'n> fn(&'n Namespace) -> LocalBoxFuture<'n, Result<String>>,
}

/// How the pods of a workflow opt in.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum OptIn {
    /// By the label of their namespace.
    Namespace,
    /// By a label of the pod, because the label of the namespace does not select pods of this scheduler.
    PodLabel,
}

/// All clients.
pub const ALL: [Client; 18] = [
    airflow::CLIENT,
    argo::CLIENT,
    dagster::CLIENT,
    dask::CLIENT,
    job::CLIENT,
    jobset::CLIENT,
    kuberay::CLIENT,
    kueue::CLIENT,
    luigi::CLIENT,
    metaflow::CLIENT,
    nextflow::CLIENT,
    opentelemetry::CLIENT,
    prefect::CLIENT,
    snakemake::CLIENT,
    spark::CLIENT,
    tekton::CLIENT,
    training_operator::CLIENT,
    vault::CLIENT,
];

/// The clients whose names contain one of `names`, and all clients if there are no names.
#[must_use]
pub fn select(names: &[String]) -> Vec<&'static Client> {
    const CLIENTS: &[Client] = &ALL;
    let selected =
        |client: &&Client| names.is_empty() || names.iter().any(|name| client.name.contains(name.as_str()));
    CLIENTS.iter().filter(selected).collect()
}

/// The clients that `make test` includes.
#[must_use]
pub fn short() -> Vec<&'static Client> {
    select(&[]).into_iter().filter(|client| client.short).collect()
}

/// Builds the clients that are not in the cache, one after another, and returns the archives of their images.
///
/// # Errors
/// If a download or a build fails.
pub async fn prepare(clients: &[&Client]) -> Result<Vec<PathBuf>> {
    let mut archives = Vec::new();
    for client in clients {
        let folders = (client.prepare)().await.with_context(|| format!("prepare {}", client.name))?;
        for folder in folders {
            let images = folder.join(IMAGES);
            if !images.exists() {
                continue;
            }
            for file in std::fs::read_dir(&images).with_context(|| format!("list {}", images.display()))? {
                archives.push(file?.path());
            }
        }
    }
    archives.sort();
    archives.dedup();
    Ok(archives)
}

/// Writes the image `localhost/NAME:test` to the cache entry in `folder`.
///
/// # Errors
/// If a file cannot be written.
fn write_image(folder: &Path, name: &str, layer: &Layer, config: &Config) -> Result<()> {
    let images = folder.join(IMAGES);
    std::fs::create_dir_all(&images).with_context(|| format!("create {}", images.display()))?;
    let archive = images.join(format!("{name}.tar"));
    let reference = format!("localhost/{}", images::reference(&archive)?);
    // Written elsewhere first, so that an interrupted run leaves no incomplete archive in the folder.
    let new = folder.join(format!("{name}.tar"));
    archive::write(&new, &reference, layer, config)?;
    std::fs::rename(&new, &archive).with_context(|| format!("write {}", archive.display()))
}

/// Adds the archives of images in the cache to the folder of a run.
///
/// # Errors
/// If a file cannot be written.
pub fn add_images(archives: &[PathBuf], folder: &Path) -> Result<()> {
    for archive in archives {
        let name = archive.file_name().context("the path of the archive has no file name")?;
        // A link would be enough, but the cache can be on another file system.
        std::fs::copy(archive, folder.join(name)).with_context(|| format!("copy {}", archive.display()))?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn each_demo_has_a_file_and_another_name() {
        // That of the demo without a client.
        let mut names = BTreeSet::from(["airflow"]);
        for client in select(&[]) {
            let Some(demo) = &client.demo else { continue };
            assert!(images::root().join("tests/cluster").join(demo.file).is_file(), "{}", demo.file);
            assert!(names.insert(client.demo_name()), "two demos are called {}", client.demo_name());
        }
    }
}
