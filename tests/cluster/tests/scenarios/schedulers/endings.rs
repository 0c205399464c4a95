//! Tasks that submit jobs to a remote system, and that are ended by their schedulers.
//!
//! In each workflow, the task `count` ends by itself, and `report` works until it is ended. Both submit a
//! job. Without Bootlace, no one cancels it.

use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use bootlace_cluster::abort::Remote;
use bootlace_cluster::scenario::{LIMIT, Namespace};
use bootlace_cluster::wait::until_async;
use k8s_openapi::api::core::v1::Pod;
use kube::ResourceExt;
use kube::api::{DynamicObject, ListParams};
use serde_json::{Value, json};

/// The maximum time between the request that ends a task and the cancellation of its job. The sidecar needs
/// milliseconds after the signal. Schedulers need up to a few seconds to send it, and more on a busy machine.
pub(crate) const CANCELLED: Duration = Duration::from_secs(30);
/// The timeout until all tasks of a workflow run, which start one after another.
const SUBMITTED: Duration = Duration::from_mins(10);

/// Starts the remote system, and makes a profile that cancels its jobs the default of the namespace. `pipes`
/// is `spec.pipes` of the profile.
pub(crate) async fn start(namespace: &Namespace, pipes: &Value) -> Result<()> {
    let remote = Remote::start(namespace).await?;
    let profile = json!({"hooks": remote.hooks(), "pipes": pipes});
    namespace.profile(&profile.to_string()).await?;
    namespace.default_profile(namespace.name()).await
}

/// The Aborts of the namespace.
pub(super) async fn aborts(namespace: &Namespace) -> Result<Vec<DynamicObject>> {
    let api = namespace.custom_api("bootlace.dev", "v1alpha1", "Abort");
    Ok(api.list(&ListParams::default()).await?.items)
}

/// Waits until the tasks that have submitted `jobs` are the only ones whose abort is recorded: the record of
/// a task that has ended by itself is removed.
async fn recorded(namespace: &Namespace, jobs: &[&str]) -> Result<()> {
    until_async(LIMIT, "the records of aborts are not those of the running tasks", async || {
        let aborts = aborts(namespace).await?;
        let text = |abort: &DynamicObject| abort.data["spec"]["text"].as_str().map(str::to_owned);
        let mut found: Vec<_> = aborts.iter().filter_map(text).collect();
        found.sort();
        ensure!(found == jobs, "{found:?} are recorded");
        Ok(())
    })
    .await
}

/// Ends the tasks that have submitted `jobs`, which are sorted, with `end`. With Bootlace, all of them are
/// cancelled within `limit`.
pub(crate) async fn end(
    namespace: &Namespace,
    limit: Duration,
    jobs: &[&str],
    end: impl Future<Output = Result<()>>,
) -> Result<()> {
    let remote = Remote::started(namespace);
    for job in jobs {
        remote.wait_within(SUBMITTED, &format!("submitted/{job}")).await?;
    }
    let has_bootlace = super::has_bootlace(namespace).await?;
    if has_bootlace {
        recorded(namespace, jobs).await?;
    }
    end.await.context("end the tasks")?;
    if has_bootlace {
        for job in jobs {
            remote.wait_within(limit, &format!("cancel/{job}")).await?;
        }
    }
    Ok(())
}

/// Waits until all tasks have ended, and checks that only `jobs`, which are sorted, have been cancelled, each
/// of them once.
pub(crate) async fn check(namespace: &Namespace, jobs: &[&str]) -> Result<()> {
    // Its sidecar, which cancels the job, ends after the task.
    until_async(LIMIT, "tasks have not ended", async || {
        let pods = namespace.api::<Pod>().list(&ListParams::default()).await?.items;
        let running: Vec<_> = pods.iter().filter(|pod| runs_task(pod)).map(ResourceExt::name_any).collect();
        ensure!(running.is_empty(), "{} run", running.join(", "));
        Ok(())
    })
    .await?;
    let requests = Remote::started(namespace).requests().await?;
    let mut cancelled: Vec<_> = requests.iter().filter_map(|line| line.strip_prefix("cancel/")).collect();
    cancelled.sort_unstable();
    assert_eq!(cancelled, jobs, "{requests:?}");
    let aborts = aborts(namespace).await?;
    ensure!(aborts.is_empty(), "{} records remain", aborts.len());
    Ok(())
}

fn runs_task(pod: &Pod) -> bool {
    let phase = pod.status.as_ref().and_then(|status| status.phase.as_deref());
    pod.annotations().contains_key("bootlace.dev/injected") && !matches!(phase, Some("Succeeded" | "Failed"))
}

/// Checks how many objects of Bootlace the namespace contains: Secrets, `ConfigMap`s and Pipes. This shows
/// that there is something to remove.
pub(crate) async fn exist(namespace: &Namespace, expected: [usize; 3]) -> Result<()> {
    let left = super::left(namespace).await?;
    let kinds = ["Secret ", "ConfigMap ", "Pipe "];
    let found = kinds.map(|kind| left.iter().filter(|object| object.starts_with(kind)).count());
    assert_eq!(found, expected, "{left:?}");
    Ok(())
}
