//! The demo: an Airflow DAG that knows nothing of Bootlace, on a cluster that has it.
//!
//! The cluster is started by the process that the person at the terminal started; the [`story`] is told by a
//! process inside of the cluster's network.

mod print;
mod story;

use anyhow::{Context, Result, bail};

use crate::cluster::Reachable;
use crate::command::this_program;

pub use story::tell;

/// What the demo creates beside Bootlace, on a cluster that is not its own.
pub const CREATES: [&str; 2] = ["namespace analytics", "pod bystander"];

/// Runs the demo on a cluster that has Bootlace.
///
/// # Errors
/// When anything is not as the story says.
pub async fn run(cluster: &impl Reachable) -> Result<()> {
    let status = cluster.command(this_program()).arg("story").status().await.context("tell the story")?;
    if !status.success() {
        bail!("the demo did not go as it should: see above");
    }
    Ok(())
}

/// A file of the demo's.
fn file(name: &str) -> String {
    crate::images::root().join("tests/cluster").join(name).display().to_string()
}
