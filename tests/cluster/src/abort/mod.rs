//! The abort test: runs tasks that submit a job to a remote system, and ends each of them at a random time,
//! in one of several ways.
//!
//! It verifies a guarantee: the job of a task that is ended by others is cancelled, once where the
//! pod can do it, and the job of a task that ends by itself is not.
//!
//! - [`Ending`]: how a task is ended.
//! - [`Remote`]: the remote system, which counts its requests.
//! - [`Table`]: the results.

mod ending;
mod remote;
mod table;

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use futures::StreamExt;
use futures::stream;
use k8s_openapi::api::core::v1::Pod;
use kube::ResourceExt;
use kube::api::{DeleteParams, ListParams};
use serde_json::json;
use tokio::time::sleep;

use crate::processes::Node;
use crate::scenario::{LIMIT, Namespace};
use crate::wait::until_async;

pub use ending::Ending;
pub use remote::Remote;
pub use table::{Outcome, Table};

/// The maximum delay between the submission of a job and the end of its task, which works for a second.
const MAX_DELAY: Duration = Duration::from_millis(1_300);
/// How long a second cancellation of the same job is waited for.
const AFTER: Duration = Duration::from_secs(3);

/// The parameters of the test.
#[derive(Clone, Copy, Debug)]
pub struct Options {
    /// The number of tasks.
    pub runs: u32,
    /// The number of tasks that run at the same time.
    pub at_once: usize,
    /// The seed of the random numbers.
    pub seed: u64,
}

/// Runs the tasks in the namespace of the scenario, ends them, and checks the remote system.
///
/// # Errors
/// If a guarantee is violated. The table is printed in any case.
pub async fn run(namespace: &Namespace, options: Options) -> Result<()> {
    let remote = Remote::start(namespace).await?;
    namespace.profile(&json!({"hooks": remote.hooks()}).to_string()).await?;
    let node = Node::of_this_cluster()?;
    let mut random = fastrand::Rng::with_seed(options.seed);
    let runs: Vec<_> = (0..options.runs)
        .zip(Ending::ALL.into_iter().cycle())
        .map(|(number, ending)| (format!("run-{number}"), ending, MAX_DELAY.mul_f64(random.f64())))
        .collect();
    let mut ended = stream::iter(&runs)
        .map(async |(pod, ending, delay)| {
            (pod, *ending, end(namespace, &remote, &node, pod, *ending, *delay).await)
        })
        .buffer_unordered(options.at_once);
    let mut table = Table::default();
    let mut failed = Vec::new();
    while let Some((pod, ending, result)) = ended.next().await {
        if let Err(error) = result {
            table.fail(format!("{pod} ({ending}): {error:#}"));
            failed.push(pod.clone());
        }
    }
    drop(ended);
    // The monitor cancels the jobs of the records that are left.
    until_async(LIMIT, "records remain", async || {
        let aborts = namespace.custom_api("bootlace.dev", "v1alpha1", "Abort");
        let left = aborts.list(&ListParams::default()).await?.items.len();
        ensure!(left == 0, "{left} Aborts");
        Ok(())
    })
    .await?;
    sleep(AFTER).await;
    let requests = remote.requests().await?;
    let count = |request: String| requests.iter().filter(|line| **line == request).count();
    for (pod, ending, _) in runs.iter().filter(|(pod, ..)| !failed.contains(pod)) {
        // A task that has reported that it is done is about to exit. If a signal arrives in that moment, it
        // is ended by others.
        let is_done = count(format!("done/{pod}")) > 0;
        let ended = requests.iter().find(|line| line.starts_with(&format!("ended/{pod} ")));
        let exited = ended.is_none_or(|line| line.contains("exit=0"));
        let outcome = Outcome {
            submitted: count(format!("submitted/{pod}")) > 0,
            by_itself: is_done && exited,
            cancels: count(format!("cancel/{pod}")),
        };
        table.add(*ending, pod, outcome);
    }
    println!("{table}");
    ensure!(table.problems().is_empty(), "with --seed={}: {}", options.seed, table.problems());
    Ok(())
}

/// Runs a task, ends it after `delay`, and waits until its pod has ended.
async fn end(
    namespace: &Namespace,
    remote: &Remote<'_>,
    node: &Node,
    pod: &str,
    ending: Ending,
    delay: Duration,
) -> Result<()> {
    namespace.create(&ending::pod(namespace.name(), pod, &remote.url(), ending).to_string()).await?;
    let uid = namespace.pod(pod, "created", |pod| pod.uid().is_some()).await?.uid().context("no UID")?;
    remote.wait_for(&format!("submitted/{pod}")).await?;
    sleep(delay).await;
    ending.apply(namespace, node, pod, &uid).await?;
    // Its object can be gone before its containers.
    until_async(LIMIT, "its processes have not ended", async || {
        let is_gone = namespace.api::<Pod>().get_opt(pod).await?.is_none_or(|pod| has_ended(&pod));
        let running = node.find(|process| process.is_in_pod(&uid)).len();
        ensure!(is_gone && running == 0, "{running} processes run");
        Ok(())
    })
    .await?;
    // The result does not matter, because the namespace is deleted at the end.
    let _ = namespace.api::<Pod>().delete(pod, &DeleteParams::background()).await;
    Ok(())
}

fn has_ended(pod: &Pod) -> bool {
    let phase = pod.status.as_ref().and_then(|status| status.phase.as_deref());
    matches!(phase, Some("Succeeded" | "Failed"))
}
