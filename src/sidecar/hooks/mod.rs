//! The hooks of the profile for the end of a task: `abort` if it is ended by others, and `postKill` in any
//! case.
//!
//! ```text
//! handover folder → how the task ends → requests, rendered → servers → Event
//!                 → what the task left → the store, which records it
//! ```
//!
//! | module | content |
//! |---|---|
//! | `task_watcher` | the attempts of one container: how each ends, and what its task left for the abort |
//! | `attempt_hooks` | runs the hooks of one attempt, each at most once successfully |
//! | `completed` | which hooks have run, for a sidecar that restarts |
//! | [`HookServices`] | the servers of the hooks, and the store |
//! | | `remote` | these over the network |
//!
//! # Who ended the task
//! The launcher publishes it ([`Ending`](bootlace_launch::handover::Ending)), and its word wins: a task that
//! has ended by itself is not aborted. A launcher that is gone without a word was killed, and so was the
//! task.
//!
//! The kubelet tells the sidecar first that the pod is stopped: its preStop handler, `bootlace pipe` with
//! `--stopping`, runs at the same time as those of the other containers. If a task still runs a moment later,
//! and no signal has reached its launcher, another preStop handler delays the signal. The sidecar cannot wait
//! for it, because it does not know how much of the grace period is left, and aborts the task.

mod attempt_hooks;
mod completed;
pub(crate) mod remote;
mod services;
pub(crate) mod task_watcher;
#[cfg(test)]
mod tests;

use std::future::Future;
use std::path::Path;
use std::time::Duration;

use bootlace_launch::handover::Folder;
use futures::future::join_all;

use super::SidecarError;
use super::shutdown::Shutdown;
use bootlace_core::abort::request::is_independent_of_text;
use bootlace_core::abort::{HookEvent, HooksConfig};
use bootlace_core::output::SidecarLifetime;

use completed::CompletedHooks;
pub(crate) use remote::RemoteServices;
pub use services::HookServices;
use task_watcher::TaskWatcher;

/// The hooks of a pod, and their values.
pub struct PodHooks<'a> {
    /// The hooks.
    pub config: &'a HooksConfig<'a>,
    /// What is the same for all its tasks.
    pub event: HookEvent,
    /// How long the hooks of an attempt can take.
    pub grace_period: Duration,
}

/// Runs the hooks of `containers`, whose handover folders are in `root`, until all of them have ended and
/// will not restart, or until `termination`, and then for at most the grace period.
///
/// Returns whether they have ended and will not restart.
///
/// # Errors
/// The volume cannot be opened.
pub async fn serve(
    root: &Path,
    containers: &[String],
    lifetime: SidecarLifetime,
    hooks: &PodHooks<'_>,
    services: &impl HookServices,
    termination: impl Future<Output = ()>,
) -> Result<bool, SidecarError> {
    let folder = Folder::open(root).map_err(|error| SidecarError { path: root.to_owned(), error })?;
    let shutdown = Shutdown::default();
    let records_without_text = hooks.config.abort.iter().any(is_independent_of_text);
    let watchers = containers.iter().map(|container| {
        let (root, shutdown) = (&folder, &shutdown);
        let watcher =
            TaskWatcher { root, container, lifetime, hooks, services, shutdown, records_without_text };
        async move { watcher.run().await }
    });
    let Some(ended) = shutdown.limit(join_all(watchers), termination, hooks.grace_period).await else {
        tracing::warn!("{}", remote::not_sent_in_time(hooks.grace_period));
        return Ok(false);
    };
    Ok(ended.into_iter().all(|ended| ended))
}
