//! Common parts of all processes: the event loop, signals and [`logs`].

pub mod logs;

use std::time::Duration;

use anyhow::Context as _;
use tokio::runtime::Runtime;
use tokio::signal::unix::{Signal, SignalKind, signal};

/// The event loop of a role. One thread is enough, because a role waits far more than it computes.
///
/// # Errors
/// The operating system refuses to create it.
pub fn runtime() -> anyhow::Result<Runtime> {
    // kube's client uses the provider of the process; a second install, as in tests, changes nothing.
    let _ = rustls::crypto::ring::default_provider().install_default();
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .context("failed to start the event loop")
}

/// The signals that end the process.
pub struct Termination {
    terminate: Signal,
    interrupt: Signal,
}

impl Termination {
    /// Listens for the signals from now on.
    ///
    /// # Errors
    /// The operating system refuses to register a handler.
    pub fn new() -> anyhow::Result<Self> {
        let signal = |kind| signal(kind).context("failed to listen for signals");
        Ok(Self { terminate: signal(SignalKind::terminate())?, interrupt: signal(SignalKind::interrupt())? })
    }

    /// Waits for a signal and returns its name.
    pub async fn recv(&mut self) -> &'static str {
        tokio::select! {
            _ = self.terminate.recv() => "SIGTERM",
            _ = self.interrupt.recv() => "SIGINT",
        }
    }
}

/// Parses the number of seconds of a flag.
///
/// # Errors
/// The text is not a number, or it is negative or too large.
pub fn seconds(text: &str) -> Result<Duration, String> {
    let seconds: f64 =
        text.parse().map_err(|_| "must be a number of seconds, such as 5 or 0.5".to_owned())?;
    Duration::try_from_secs_f64(seconds).map_err(|error| error.to_string())
}
