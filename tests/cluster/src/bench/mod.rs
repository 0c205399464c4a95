//! Measures the cost of Bootlace for a pod on a real node.

mod hook;
mod outputs;

use std::fmt::{self, Display};
use std::time::Duration;

use anyhow::{Context, Result};
use k8s_openapi::api::core::v1::Pod;
use k8s_openapi::jiff::Timestamp;
use kube::api::LogParams;

use crate::scenario::Namespace;

/// A section of `docs/figures.md` that needs a cluster.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum Section {
    /// The time that outputs add to the end of a pod, and the memory of the sidecar.
    Outputs,
    /// The cost of the postStart hook for the node and the pod.
    Hook,
}

/// Runs `rounds` pods of each kind, and prints the section.
///
/// # Errors
/// If a pod does not end as expected.
pub async fn run(section: Section, namespace: &Namespace, rounds: u32) -> Result<()> {
    match section {
        Section::Outputs => outputs::run(namespace, rounds).await,
        Section::Hook => hook::run(namespace, rounds).await,
    }
}

/// The time at which a container wrote the line `word`, from the timestamps of the container runtime.
async fn stamp(namespace: &Namespace, pod: &str, container: &str, word: &str) -> Result<Timestamp> {
    let stamped =
        LogParams { container: Some(container.to_owned()), timestamps: true, ..LogParams::default() };
    let log = namespace.api::<Pod>().logs(pod, &stamped).await?;
    let line = log.lines().find_map(|line| line.strip_suffix(word)?.strip_suffix(' '));
    Ok(line.with_context(|| format!("the log of {container} in {pod} is {log:?}"))?.parse()?)
}

/// The quantile `part` of sorted values.
fn quantile(sorted: &[Duration], part: f64) -> Duration {
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        clippy::cast_precision_loss,
        reason = "a few dozen pods"
    )]
    let at = ((sorted.len() as f64 * part) as usize).min(sorted.len().saturating_sub(1));
    sorted.get(at).copied().unwrap_or_default()
}

struct Millis(Duration);

impl Display for Millis {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0.as_millis())
    }
}
