//! What the machine must have: `hack/machine` looks for it, and installs what is missing.

use anyhow::{Context as _, Result};

use crate::command::{command, run};
use crate::images;

/// What a cluster of its own needs.
pub const CLUSTER: [&str; 3] = ["rust", "go", "cluster"];
/// What the scenarios need beside that: the registry that boot is tested against.
pub const SCENARIOS: [&str; 1] = ["docker-registry"];

/// What images and Airflow need, on whatever cluster.
pub const IMAGES: [&str; 5] = ["rust", "go", "busybox-static", "python3-venv", "util-linux"];

/// Makes sure of `needs`, which are named as in `hack/machine`.
///
/// # Errors
/// When something is missing that cannot be installed; what it is, and what to do, is on standard error.
pub async fn ensure(needs: &[&str]) -> Result<()> {
    let script = images::root().join("hack/machine");
    run(command(script).args(needs)).await.context("this machine lacks something: see above")
}
