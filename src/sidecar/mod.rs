//! What the pipe sidecar does: it takes the outputs that the launchers of a pod hand over, and has them stored.
//!
//! ```text
//! handover folder → manifest → files, checked → the store → the word that the launcher waits for
//! ```
//!
//! | step | module | what it answers |
//! |---|---|---|
//! | watch | `desk` | is there an attempt of this container that nobody has answered |
//! | take | `desk` | what is handed over; the protocol is the launcher's, [`bootlace_launch::handover`] |
//! | store | [`OutputStore`] | who keeps it; the sidecar itself has no right in the API server |
//! | | `remote` | how it is reached |
//! | without a launcher | `shared` | what did a task leave on a volume that the pod shares with the sidecar |
//! | run | [`mod@run`] | the process: what it is told, and when it ends |
//!
//! The sidecar is told to end when the task containers have ended, so everything that will be handed over is there by
//! then: it sees to that and ends, at the latest before its grace is over. Where the pod is over with its tasks it ends
//! beside them ([`SidecarLifetime`]), so that the kubelet sees all of them end at once. How it ends says nothing about the task:
//! its exit code is always 0, because schedulers read those of sidecars too; the word and the Event say what failed.

mod handover_watcher;
mod output_store;
mod remote_store;
pub mod run;
mod shared_volume;
#[cfg(test)]
mod tests;

use std::cell::Cell;
use std::future::Future;
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use bootlace_launch::handover::Folder;
use futures::future::join_all;
use tokio::sync::Notify;
use tokio::time::sleep;

pub use output_store::{OutputFile, OutputObject, OutputStore};
pub use run::{SidecarArgs, run};

use bootlace_core::output::SidecarLifetime;
use handover_watcher::HandoverWatcher;

/// How often a handover folder is looked at: what it can add to the end of a task. A look is a handful of system calls
/// on a volume in memory. inotify would tell at once, but its instances are few (128 for all containers of a user on a
/// node), and sandboxed runtimes do not carry it from one container to another.
const LOOK: Duration = Duration::from_millis(50);

/// How often to look whether a launcher that has its answer has ended, which takes it some milliseconds.
const LOOK_FOR_END: Duration = Duration::from_millis(2);

/// Serves the handover folders of `containers` below `root` until all of them have ended for good, or until it is told to
/// end, and from then on for at most `grace`.
///
/// Gives whether they have ended for good.
///
/// # Errors
/// The volume cannot be opened.
pub async fn serve(
    root: &Path,
    containers: &[String],
    ends: SidecarLifetime,
    store: &impl OutputStore,
    told_to_end: impl Future<Output = ()>,
    grace: Duration,
) -> Result<bool, SidecarError> {
    let root = Folder::open(root).map_err(|error| SidecarError { path: root.to_owned(), error })?;
    let ending = Ending::default();
    let desks =
        containers.iter().map(|container| ending.serve(HandoverWatcher::new(&root, container, ends), store));
    let limit = async {
        told_to_end.await;
        ending.begin();
        sleep(grace).await;
    };
    tokio::select! {
        over = join_all(desks) => Ok(over.into_iter().all(|over| over)),
        () = limit => {
            tracing::warn!(seconds = grace.as_secs(), "outputs were not stored within the pod's grace");
            Ok(false)
        }
    }
}

/// Whether the sidecar was told to end.
#[derive(Default)]
struct Ending {
    begun: Cell<bool>,
    notify: Notify,
}

impl Ending {
    fn begin(&self) {
        self.begun.set(true);
        self.notify.notify_waiters();
    }

    /// Serves a container until there is nothing more to come. Gives whether it has ended for good.
    async fn serve(&self, mut desk: HandoverWatcher<'_>, store: &impl OutputStore) -> bool {
        loop {
            // Asked before the look: what was handed over before it was told is seen by the look after it.
            let last = self.begun.get();
            desk.poll(store).await;
            let over = desk.is_over();
            if last || over {
                return over;
            }
            let pause = if desk.awaits_end() { LOOK_FOR_END } else { LOOK };
            tokio::select! {
                () = sleep(pause) => {}
                () = self.notify.notified() => {}
            }
        }
    }
}

/// The volume that the launchers hand over on cannot be opened.
#[derive(Debug, thiserror::Error)]
#[error("{path:?} cannot be opened: {error}. Mount the volume `bootlace-run` there")]
pub struct SidecarError {
    path: PathBuf,
    error: io::Error,
}
