//! From a fresh machine to everything that a cluster is made of: what can be made at the same time is.

use std::path::PathBuf;

use anyhow::Result;

use crate::images::Programs;
use crate::stage::progressing;
use crate::tools::Kubernetes;
use crate::{airflow, images, store, tools};

/// What a cluster is made of.
pub struct Prepared {
    /// The folder of its programs.
    pub tools: PathBuf,
    /// The S3 server of its image `store`.
    pub store: PathBuf,
    /// What cargo built for its images.
    pub programs: Programs,
}

/// Makes it. Go and cargo use every core that the other leaves idle, while one links or waits for a download.
///
/// # Errors
/// When something cannot be had or does not build; the rest is given up then.
pub async fn prepare(kubernetes: Kubernetes, with_product: bool) -> Result<Prepared> {
    let what = if with_product { "building Bootlace's image" } else { "building the test images" };
    let programs = progressing(what, async |progress| images::programs(with_product, progress).await);
    let (tools, store, programs, _) =
        tokio::try_join!(tools::prepare(kubernetes), store::prepare(), programs, airflow::prepare())?;
    Ok(Prepared { tools, store, programs })
}
