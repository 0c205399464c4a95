//! Builds all parts of a cluster, concurrently if possible.

use std::path::PathBuf;

use anyhow::Result;

use crate::images::Programs;
use crate::stage::progressing;
use crate::tools::Kubernetes;
use crate::{airflow, images, store, tools};

/// The parts of a cluster.
pub struct Prepared {
    /// The folder with the programs of the cluster.
    pub tools: PathBuf,
    /// The S3 server for the image `store`.
    pub store: PathBuf,
    /// The programs for the images, which cargo has built.
    pub programs: Programs,
}

/// Builds all parts. Go and cargo run concurrently: each uses the cores that the other leaves idle while it
/// links or downloads.
///
/// # Errors
/// If a download or a build fails. All other builds are then stopped.
pub async fn prepare(kubernetes: Kubernetes, with_product: bool) -> Result<Prepared> {
    let stage = if with_product { "building the Bootlace image" } else { "building the test images" };
    let programs = progressing(stage, async |progress| images::programs(with_product, progress).await);
    let (tools, store, programs, _) =
        tokio::try_join!(tools::prepare(kubernetes), store::prepare(), programs, airflow::prepare())?;
    Ok(Prepared { tools, store, programs })
}
