//! The stages of a shutdown, as every connection sees them.

use tokio::sync::watch;

/// A stage of the shutdown.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum ShutdownStage {
    /// Requests are served.
    #[default]
    Serving,
    /// Requests are still served, but responses ask callers to open a new connection, which the Service
    /// routes to another replica.
    Draining,
    /// New connections are not accepted, requests in progress are completed, and idle connections are closed.
    Closing,
    /// The timeout has expired, and remaining connections are dropped.
    Over,
}

/// Sets the stage.
#[derive(Debug, Default)]
pub struct ShutdownController(watch::Sender<ShutdownStage>);

impl ShutdownController {
    /// Enters `stage`.
    pub fn enter(&self, stage: ShutdownStage) {
        self.0.send_replace(stage);
    }

    /// A signal that follows this controller.
    #[must_use]
    pub fn follower(&self) -> ShutdownSignal {
        ShutdownSignal(self.0.subscribe())
    }
}

/// Follows the stage.
#[derive(Debug, Clone)]
pub struct ShutdownSignal(watch::Receiver<ShutdownStage>);

impl ShutdownSignal {
    /// The current stage.
    #[must_use]
    pub fn now(&self) -> ShutdownStage {
        *self.0.borrow()
    }

    /// Waits until `stage` or a later one. Returns too if the controller was dropped, because the program
    /// then ends.
    pub async fn reached(&mut self, stage: ShutdownStage) {
        let _ = self.0.wait_for(|now| *now >= stage).await;
    }
}
