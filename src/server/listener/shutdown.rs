//! The way of the webhook to its end, as every connection sees it.

use tokio::sync::watch;

/// How far the end has come.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum ShutdownStage {
    /// Reviews are served.
    #[default]
    Serving,
    /// The end is near: everybody is still served, and told to come back on a new connection, which the
    /// Service will lead to another replica.
    Draining,
    /// Nobody new is let in; what is being answered is answered, and idle connections are closed.
    Closing,
    /// Time is up: what is left is dropped.
    Over,
}

/// Who decides on the stage.
#[derive(Debug, Default)]
pub struct ShutdownController(watch::Sender<ShutdownStage>);

impl ShutdownController {
    /// Goes on to `stage`.
    pub fn enter(&self, stage: ShutdownStage) {
        self.0.send_replace(stage);
    }

    /// Somebody who follows.
    #[must_use]
    pub fn follower(&self) -> ShutdownSignal {
        ShutdownSignal(self.0.subscribe())
    }
}

/// Who follows the stage.
#[derive(Debug, Clone)]
pub struct ShutdownSignal(watch::Receiver<ShutdownStage>);

impl ShutdownSignal {
    /// The stage now.
    #[must_use]
    pub fn now(&self) -> ShutdownStage {
        *self.0.borrow()
    }

    /// Waits until `stage` or a later one. A director who is gone is a program that ends.
    pub async fn reached(&mut self, stage: ShutdownStage) {
        let _ = self.0.wait_for(|now| *now >= stage).await;
    }
}
