//! The life of a process that serves: bound first, drained last.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use axum::Router;
use tokio::net::TcpListener;
use tokio::runtime::Runtime;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::task::JoinHandle;
use tracing::{info, warn};

use super::listener::{Limits, Server, ShutdownController, ShutdownSignal, ShutdownStage, Transport};
use super::metrics::ServerMetrics;
use super::readiness::{Part, Readiness};

/// The event loop of a role: one thread, as a role waits far more than it computes.
///
/// # Errors
/// Where the system gives none.
pub fn runtime() -> anyhow::Result<Runtime> {
    // kube's client takes the process's provider; a second install, as in tests, changes nothing.
    let _ = rustls::crypto::ring::default_provider().install_default();
    tokio::runtime::Builder::new_current_thread().enable_all().build().context("no thread can be started")
}

/// Listens on an address; `flag` is where another one can be given.
///
/// # Errors
/// Where it is taken, or not this machine's.
pub async fn bind(address: SocketAddr, flag: &str) -> anyhow::Result<TcpListener> {
    TcpListener::bind(address)
        .await
        .with_context(|| format!("cannot listen on {address}: give another address with {flag}"))
}

/// Serves the second port.
pub fn serve_status(listener: TcpListener, app: Router, stage: ShutdownSignal) {
    let status = Server {
        transport: Transport::Plain,
        app,
        limits: Limits::of_status(),
        // Of its own, not counted: callers are the kubelet and Prometheus.
        metrics: ServerMetrics::default(),
        stage,
    };
    tokio::spawn(status.serve(listener));
}

/// The signals that end the process.
pub struct Termination {
    terminate: Signal,
    interrupt: Signal,
}

impl Termination {
    /// Listens for them from now on.
    ///
    /// # Errors
    /// Where the system does not let it.
    pub fn new() -> anyhow::Result<Self> {
        let signal = |kind| signal(kind).context("signals cannot be waited for");
        Ok(Self { terminate: signal(SignalKind::terminate())?, interrupt: signal(SignalKind::interrupt())? })
    }

    /// Waits for one, and names it.
    pub async fn recv(&mut self) -> &'static str {
        tokio::select! {
            _ = self.terminate.recv() => "SIGTERM",
            _ = self.interrupt.recv() => "SIGINT",
        }
    }

    /// Waits for `delay`, or for somebody who cannot wait: a second signal.
    async fn after(&mut self, delay: Duration) {
        tokio::select! {
            _ = self.recv() => {}
            () = tokio::time::sleep(delay) => {}
        }
    }
}

/// How a process drains.
pub struct Drain {
    /// How long it serves on while the cluster forgets it.
    pub delay: Duration,
    /// How long what has been received may take after that.
    pub timeout: Duration,
    /// What it answers, in the plural.
    pub requests: &'static str,
}

impl Drain {
    /// Serves until the process is told to end, and drains.
    pub async fn at(
        &self,
        mut end: Termination,
        director: &ShutdownController,
        readiness: &Arc<Readiness>,
        serving: JoinHandle<()>,
    ) {
        let said = end.recv().await;
        info!("{said}: draining for {} s", self.delay.as_secs_f64());
        readiness.missing(Part::Process, "the process is ending");
        director.enter(ShutdownStage::Draining);
        end.after(self.delay).await;
        director.enter(ShutdownStage::Closing);
        if tokio::time::timeout(self.timeout, serving).await.is_ok() {
            info!("all {} are answered", self.requests);
        } else {
            let seconds = self.timeout.as_secs_f64();
            warn!("{} were left unanswered after {seconds} s: raise --drain-timeout", self.requests);
        }
    }
}

/// What a process in a cluster drains on top: time for the endpoints to reach everybody who calls.
pub const DRAIN_DELAY: Duration = Duration::from_secs(5);

/// A command line's number of seconds.
///
/// # Errors
/// Where it is none.
pub fn seconds(text: &str) -> Result<Duration, String> {
    let seconds: f64 = text.parse().map_err(|_| "write a number of seconds, such as 5 or 0.5".to_owned())?;
    Duration::try_from_secs_f64(seconds).map_err(|error| error.to_string())
}
