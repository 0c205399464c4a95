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
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::task::JoinSet;
use tokio_rustls::TlsAcceptor;
use tracing::warn;

pub use handshake::HandshakeFailure;
pub use limits::Limits;
pub use stage::{Director, Follower, Stage};

use super::metrics::{Counted, ServerMetrics};

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
    pub metrics: ServerMetrics,
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
        let late = Self::accept_the_rest(&server, listener, &slots);
        // When the late ones are through and every slot is free again, every connection has ended.
        let all = u32::try_from(connections).unwrap_or(u32::MAX);
        tokio::select! {
            _ = async { (late.join_all().await, slots.acquire_many(all).await.is_ok()) } => {}
            () = stage.reached(Stage::Over) => {}
        }
    }

    /// Takes in the connections that the kernel has opened already: closing the listener would reset them.
    fn accept_the_rest(server: &Arc<Self>, listener: TcpListener, slots: &Arc<Semaphore>) -> JoinSet<()> {
        let mut late = JoinSet::new();
        // The standard library's listener, because tokio's asks the kernel only once it was told of something.
        let Ok(listener) = listener.into_std() else { return late };
        while let Ok((stream, _)) = listener.accept() {
            let (server, slots) = (Arc::clone(server), Arc::clone(slots));
            late.spawn(async move {
                let taken = stream.set_nonblocking(true).and_then(|()| TcpStream::from_std(stream));
                if let (Ok(stream), Ok(_slot)) = (taken, slots.acquire().await) {
                    let _open = Counted::of(&server.metrics.connections);
                    connection::serve(&server, stream).await;
                }
            });
        }
        late
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
