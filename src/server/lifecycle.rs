//! The life of a process that serves requests: bind the ports first, drain last.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use axum::Router;
use tokio::net::TcpListener;
use tokio::task::JoinHandle;
use tracing::{info, warn};

use super::listener::{Limits, Server, ShutdownController, ShutdownSignal, ShutdownStage, Transport};
use super::metrics::ServerMetrics;
use super::readiness::{Part, Readiness};
use crate::process::Termination;

/// Listens on an address, which the flag `flag` sets.
///
/// # Errors
/// The address is in use, or is not an address of this machine.
pub async fn bind(address: SocketAddr, flag: &str) -> anyhow::Result<TcpListener> {
    TcpListener::bind(address)
        .await
        .with_context(|| format!("failed to listen on {address}: set another address with {flag}"))
}

/// Serves the status port.
pub fn serve_status(listener: TcpListener, app: Router, stage: ShutdownSignal) {
    let status = Server {
        transport: Transport::Plain,
        app,
        limits: Limits::of_status(),
        // Not registered: the callers are the kubelet and Prometheus, and would distort the metrics of the
        // main port.
        metrics: ServerMetrics::default(),
        stage,
    };
    tokio::spawn(status.serve(listener));
}

/// How a process drains.
pub struct Drain {
    /// How long it continues to serve while the cluster removes it from the endpoints.
    pub delay: Duration,
    /// How long requests that were already received can take after that.
    pub timeout: Duration,
    /// What it serves, in the plural, for the log.
    pub requests: &'static str,
}

impl Drain {
    /// Serves until the process receives a signal, and drains.
    pub async fn run(
        &self,
        mut termination: Termination,
        shutdown: &ShutdownController,
        readiness: &Arc<Readiness>,
        serving: JoinHandle<()>,
    ) {
        let signal = termination.recv().await;
        info!("{signal}: draining for {} s", self.delay.as_secs_f64());
        readiness.missing(Part::Process, "the process is shutting down");
        shutdown.enter(ShutdownStage::Draining);
        tokio::select! {
            // A second signal skips the delay.
            _ = termination.recv() => {}
            () = tokio::time::sleep(self.delay) => {}
        }
        shutdown.enter(ShutdownStage::Closing);
        if tokio::time::timeout(self.timeout, serving).await.is_ok() {
            info!("all {} were answered", self.requests);
        } else {
            let seconds = self.timeout.as_secs_f64();
            warn!("{} were still unanswered after {seconds} s: increase --drain-timeout", self.requests);
        }
    }
}

/// The default delay in a cluster: time for the change of the endpoints to reach all callers.
pub const DRAIN_DELAY: Duration = Duration::from_secs(5);
