//! The end of the sidecar.

use std::cell::Cell;
use std::future::Future;
use std::time::Duration;

use tokio::sync::Notify;
use tokio::time::sleep;

/// Whether the sidecar has received a signal to terminate. The tasks have ended by then, or the grace period
/// has ended.
#[derive(Default)]
pub(super) struct Shutdown {
    begun: Cell<bool>,
    notify: Notify,
}

impl Shutdown {
    /// Whether the signal has arrived.
    pub(super) fn has_begun(&self) -> bool {
        self.begun.get()
    }

    /// Sleeps for `time`, or until the signal arrives.
    pub(super) async fn sleep(&self, time: Duration) {
        tokio::select! {
            () = sleep(time) => {}
            () = self.notify.notified() => {}
        }
    }

    /// Runs `work`, after `termination` for at most the grace period. `None` if that was not enough.
    pub(super) async fn limit<T>(
        &self,
        work: impl Future<Output = T>,
        termination: impl Future<Output = ()>,
        grace_period: Duration,
    ) -> Option<T> {
        let limit = async {
            termination.await;
            self.begun.set(true);
            self.notify.notify_waiters();
            sleep(grace_period).await;
        };
        tokio::select! {
            done = work => Some(done),
            () = limit => None,
        }
    }
}
