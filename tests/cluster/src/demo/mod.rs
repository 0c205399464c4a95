//! The demo: an Airflow DAG that does not mention Bootlace, or a workflow of another scheduler, on a cluster
//! that runs Bootlace.
//!
//! The process at the terminal starts the cluster. A second process, inside the network of the cluster, runs
//! the [`story`] of Airflow or of [another](workflow) scheduler, and the [`end`], which is the same for all.

mod commands;
mod end;
mod print;
mod story;
mod workflow;

use anyhow::{Context, Result, bail};

use crate::cluster::Reachable;
use crate::command::this_program;

pub use story::present;
pub use workflow::present as present_workflow;

/// The objects that the demo creates in addition to Bootlace, on a cluster that it did not create.
pub const CREATES: [&str; 2] = ["namespace analytics", "pod bystander"];

/// Runs the demo on a cluster that runs Bootlace: that of `scheduler`, or of Airflow.
///
/// # Errors
/// If any step of the demo has another result than expected.
pub async fn run(cluster: &impl Reachable, scheduler: Option<&str>) -> Result<()> {
    let mut story = cluster.command(this_program());
    story.arg("story").args(scheduler.map(|name| format!("--scheduler={name}")));
    let status = story.status().await.context("start the demo")?;
    if !status.success() {
        bail!("the demo failed: see the error above");
    }
    Ok(())
}

/// The path of a file of the demo.
fn file(name: &str) -> String {
    crate::images::root().join("tests/cluster").join(name).display().to_string()
}
