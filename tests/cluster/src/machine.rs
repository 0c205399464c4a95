//! The requirements on the machine. `hack/machine` checks them and installs what is missing.

use anyhow::{Context as _, Result};

use crate::command::{command, run};
use crate::images;

/// The requirements of a temporary cluster.
pub const CLUSTER: [&str; 3] = ["rust", "go", "cluster"];
/// The additional requirement of the scenarios: the registry that boot is tested with.
pub const SCENARIOS: [&str; 1] = ["docker-registry"];

/// The requirements of images and Airflow, on any cluster.
pub const IMAGES: [&str; 5] = ["rust", "go", "busybox-static", "python3-venv", "util-linux"];

/// Ensures that the machine meets `requirements`, which are arguments of `hack/machine`.
///
/// # Errors
/// If a requirement is missing and cannot be installed. Standard error contains its name and what to do.
pub async fn ensure(requirements: &[&str]) -> Result<()> {
    let script = images::root().join("hack/machine");
    run(command(script).args(requirements)).await.context("a requirement is missing: see the error above")
}
