//! The demo: an Airflow DAG that knows nothing of Bootlace, on a cluster that has it.
//!
//! The cluster is started by the process that the person at the terminal started; the [`story`] is told by a
//! process inside of the cluster's network.

mod print;
mod story;

use std::path::Path;

use anyhow::{Context, Result, bail};
use bootlace_image::product;

use crate::cluster::Cluster;
use crate::command::this_program;
use crate::images;

pub use story::tell;

/// Runs the demo on a cluster that has Bootlace.
///
/// # Errors
/// When anything is not as the story says.
pub async fn run(cluster: &Cluster) -> Result<()> {
    // The image's own binary, so that what explains is what injected. It has been built by now.
    let bootlace = product::build(&images::root()?, images::PROFILE, "bootlace")?;
    let this = this_program();
    let mut story = cluster.command(this);
    let status =
        story.arg("story").arg("--bootlace").arg(bootlace).status().await.context("tell the story")?;
    if !status.success() {
        bail!("the demo did not go as it should: see above");
    }
    Ok(())
}

/// A file of the demo's.
fn file(name: &str) -> String {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(name).display().to_string()
}
