//! The sidecar. It sends the outputs that the launchers of a pod provide, and the progress of its tasks, to
//! the store, and runs the hooks for the end of a task.
//!
//! ```text
//! handover folder → manifest → files, checked → store → result, which the launcher waits for
//! ```
//!
//! | step | module | content |
//! |---|---|---|
//! | watch | `handover_watcher` | finds new attempts of a container and reads their outputs; [`bootlace_launch::handover`] is the protocol |
//! | store | [`OutputStore`] | stores an output; the sidecar itself has no permissions in the API |
//! | | `remote_store` | the store over the network |
//! | without a launcher | `shared_volume` | outputs that a task wrote to a volume of the pod, which the sidecar mounts too |
//! | hooks | [`hooks`] | the hooks of the profile for the end of a task |
//! | progress | `progress` | passes lines that tasks write to files to the store |
//! | errors | [`OutputError`] | the message and code of an output that is not stored |
//! | end | `shutdown` | the signal to terminate, and the grace period |
//! | run | [`mod@run`] | the process: its configuration, and when it ends |
//!
//! The kubelet sends SIGTERM to the sidecar after the task containers have ended, so all outputs are complete
//! by then. The sidecar stores them and exits, at the latest before its grace period ends. If the pod is
//! complete when its tasks are, the sidecar exits together with them ([`SidecarLifetime`]), so that the
//! kubelet sees all of them end at the same time. Its exit code is always 0, because schedulers also evaluate
//! the exit codes of sidecars. The result for the launcher and the Event contain the error.

pub(crate) mod handover_watcher;
pub mod hooks;
mod output_error;
mod output_store;
mod progress;
pub(crate) mod remote_store;
pub mod run;
pub(crate) mod shared_volume;
mod shutdown;
#[cfg(test)]
mod tests;

use std::future::Future;
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use bootlace_launch::handover::{Folder, HandoverError};
use futures::future::join_all;

pub use output_error::OutputError;
pub use output_store::{OutputFile, OutputObject, OutputStore};
pub use run::{SidecarArgs, run};

use bootlace_core::code::{Code, Coded};
use bootlace_core::output::SidecarLifetime;
use handover_watcher::HandoverWatcher;
use shutdown::Shutdown;

/// How often a handover folder is polled, which can delay the end of a task. Polling needs a few system calls
/// on a volume in memory. inotify would have no delay, but the number of its instances is limited (128 for
/// all containers of a user on a node), and sandboxed runtimes do not deliver its events from one container
/// to another.
const POLL_INTERVAL: Duration = Duration::from_millis(50);

/// How often the sidecar checks whether a launcher with a result has exited, usually within a few
/// milliseconds.
const EXIT_POLL_INTERVAL: Duration = Duration::from_millis(2);

/// Serves the handover folders of `containers` in `root` until all of them have ended and will not restart,
/// or until `termination`, and then for at most `grace_period`.
///
/// Returns whether they have ended and will not restart.
///
/// # Errors
/// The volume cannot be opened.
pub async fn serve(
    root: &Path,
    containers: &[String],
    lifetime: SidecarLifetime,
    store: &impl OutputStore,
    termination: impl Future<Output = ()>,
    grace_period: Duration,
) -> Result<bool, SidecarError> {
    let root = Folder::open(root).map_err(|error| SidecarError { path: root.to_owned(), error })?;
    let shutdown = Shutdown::default();
    let watchers = containers
        .iter()
        .map(|container| follow(HandoverWatcher::new(&root, container, lifetime), &shutdown, store));
    let Some(ended) = shutdown.limit(join_all(watchers), termination, grace_period).await else {
        tracing::warn!("{}", run::not_stored_in_time(grace_period));
        return Ok(false);
    };
    Ok(ended.into_iter().all(|ended| ended))
}

/// Serves a container until no more outputs can follow. Returns whether it has ended and will not restart.
async fn follow(mut watcher: HandoverWatcher<'_>, shutdown: &Shutdown, store: &impl OutputStore) -> bool {
    loop {
        // Read before the poll, so that one more poll follows the signal and sees all outputs from before it.
        let is_last = shutdown.has_begun();
        watcher.poll(store).await;
        let has_ended = watcher.has_ended();
        if is_last || has_ended {
            return has_ended;
        }
        shutdown.sleep(if watcher.awaits_exit() { EXIT_POLL_INTERVAL } else { POLL_INTERVAL }).await;
    }
}

/// The folder of a container, after its launcher has created it.
fn handover_folder(root: &Folder, container: &str) -> Result<Option<Folder>, HandoverError> {
    match root.folder(container) {
        Ok(folder) => Ok(Some(folder)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(HandoverError::Io { what: "the handover folder", error }),
    }
}

/// The volume with the handover folders cannot be opened.
#[derive(Debug, thiserror::Error)]
#[error("failed to open {path:?}: {error}; mount the volume `bootlace-run` there")]
pub struct SidecarError {
    pub(crate) path: PathBuf,
    pub(crate) error: io::Error,
}

impl Coded for SidecarError {
    fn code(&self) -> Code {
        Code::HandoverVolumeUnavailable
    }
}
