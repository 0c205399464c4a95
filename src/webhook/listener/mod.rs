//! The accept loop.
//!
//! Own, because `axum::serve` has no handshake to time, no cap on connections and no drain that tells callers
//! to go elsewhere before it closes the door.

mod connection;
mod handshake;
mod limits;
mod pulse;
mod stage;

use std::io;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use futures::FutureExt as _;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio_rustls::TlsAcceptor;
use tracing::warn;

pub use handshake::HandshakeFailure;
pub use limits::Limits;
pub use stage::{Director, Follower, Stage};

use super::metrics::{Counted, Metrics};

/// What lies under HTTP.
#[derive(Clone)]
pub enum Transport {
    /// Nothing.
    Plain,
    /// TLS.
    Tls(TlsAcceptor),
}

/// What is served on a listener, and within which limits.
pub struct Server {
    /// What lies under HTTP.
    pub transport: Transport,
    /// What answers requests.
    pub app: Router,
    /// What a caller may take.
    pub limits: Limits,
    /// Where connections and handshakes are counted.
    pub metrics: Arc<Metrics>,
    /// When to end.
    pub stage: Follower,
}

/// Pause after an error that the next accept would meet again, such as a full table of file descriptors.
const ACCEPT_AGAIN: Duration = Duration::from_millis(100);

impl Server {
    /// Serves until [`Stage::Closing`], and then until every connection has ended, or [`Stage::Over`].
    pub async fn serve(self, listener: TcpListener) {
        let server = Arc::new(self);
        let connections = server.limits.connections;
        let slots = Arc::new(Semaphore::new(connections));
        let mut stage = server.stage.clone();
        loop {
            tokio::select! {
                accepted = accept(&listener, &slots) => match accepted {
                    Ok((stream, slot)) => Self::spawn(&server, stream, slot),
                    Err(error) => {
                        warn!(%error, "a connection cannot be accepted");
                        tokio::time::sleep(ACCEPT_AGAIN).await;
                    }
                },
                () = stage.reached(Stage::Closing) => break,
            }
        }
        // The kernel has opened these connections already: closing the listener would reset them.
        while let Some(Ok((stream, slot))) = accept(&listener, &slots).now_or_never() {
            Self::spawn(&server, stream, slot);
        }
        drop(listener);
        // When every slot is free again, every connection has ended.
        let all = u32::try_from(connections).unwrap_or(u32::MAX);
        tokio::select! {
            _ = slots.acquire_many(all) => {}
            () = stage.reached(Stage::Over) => {}
        }
    }

    fn spawn(server: &Arc<Self>, stream: TcpStream, slot: OwnedSemaphorePermit) {
        let server = Arc::clone(server);
        tokio::spawn(async move {
            let _open = (slot, Counted::of(&server.metrics.connections));
            connection::serve(&server, stream).await;
        });
    }
}

/// Waits for a slot, then for a connection: what is over the cap waits in the kernel's queue.
async fn accept(
    listener: &TcpListener,
    slots: &Arc<Semaphore>,
) -> io::Result<(TcpStream, OwnedSemaphorePermit)> {
    let slot = if let Ok(slot) = Arc::clone(slots).try_acquire_owned() {
        slot
    } else {
        warn!("all connections are taken; new ones wait until one ends");
        Arc::clone(slots).acquire_owned().await.map_err(io::Error::other)?
    };
    let (stream, _) = listener.accept().await?;
    Ok((stream, slot))
}
