//! The accept loop.
//!
//! Hand-written, because `axum::serve` times no handshake, caps no connections and does not tell callers to go elsewhere
//! before it stops.

mod connection;
mod handshake;
mod idle_timeout;
mod limits;
mod open;
mod shutdown;

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::task::JoinSet;
use tokio::time::timeout;
use tokio_rustls::TlsAcceptor;
use tracing::warn;

pub use handshake::HandshakeFailure;
pub use limits::Limits;
pub use shutdown::{ShutdownController, ShutdownSignal, ShutdownStage};

use self::open::Connections;
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
    pub stage: ShutdownSignal,
}

/// Pause after an error that the next accept would meet again, such as a full table of file descriptors.
const ACCEPT_AGAIN: Duration = Duration::from_millis(100);

/// How often a listener that is full looks for a connection to close.
const MAKE_ROOM_AGAIN: Duration = Duration::from_millis(50);

/// A listener's connections, and a slot for each.
struct Places {
    connections: Arc<Connections>,
    slots: Arc<Semaphore>,
    count: u32,
}

impl Places {
    fn new(limits: Limits) -> Self {
        // One more than the limit: a connection is accepted before another is closed for it.
        let count = u32::try_from(limits.connections).unwrap_or(u32::MAX - 1).saturating_add(1);
        let slots = Arc::new(Semaphore::new(count as usize));
        Self { connections: Connections::new(limits), slots, count }
    }

    /// Waits for a slot, then for a connection.
    async fn accept(
        &self,
        listener: &TcpListener,
    ) -> io::Result<(TcpStream, SocketAddr, OwnedSemaphorePermit)> {
        let slot = loop {
            let slot = Arc::clone(&self.slots).acquire_owned();
            if let Ok(slot) = timeout(MAKE_ROOM_AGAIN, slot).await {
                break slot.map_err(io::Error::other)?;
            }
            // All of them were being answered a moment ago.
            self.connections.make_room();
        };
        let (stream, peer) = listener.accept().await?;
        Ok((stream, peer, slot))
    }
}

impl Server {
    /// Serves until [`ShutdownStage::Closing`], and then until every connection has ended, or [`ShutdownStage::Over`].
    pub async fn serve(self, listener: TcpListener) {
        let server = Arc::new(self);
        let places = Places::new(server.limits);
        let mut stage = server.stage.clone();
        loop {
            tokio::select! {
                accepted = places.accept(&listener) => match accepted {
                    Ok((stream, peer, slot)) => Self::spawn(&server, &places, stream, peer, slot),
                    Err(error) => {
                        warn!(%error, "a connection cannot be accepted");
                        tokio::time::sleep(ACCEPT_AGAIN).await;
                    }
                },
                () = stage.reached(ShutdownStage::Closing) => break,
            }
        }
        let late = Self::accept_the_rest(&server, listener, &places);
        // When the late ones are through and every slot is free again, every connection has ended.
        tokio::select! {
            _ = async { (late.join_all().await, places.slots.acquire_many(places.count).await.is_ok()) } => {}
            () = stage.reached(ShutdownStage::Over) => {}
        }
    }

    /// Takes in the connections that the kernel has opened already: closing the listener would reset them.
    fn accept_the_rest(server: &Arc<Self>, listener: TcpListener, places: &Places) -> JoinSet<()> {
        let mut late = JoinSet::new();
        // The standard library's listener, because tokio's asks the kernel only once it was told of something.
        let Ok(listener) = listener.into_std() else { return late };
        while let Ok((stream, peer)) = listener.accept() {
            let (server, slots) = (Arc::clone(server), Arc::clone(&places.slots));
            let connections = Arc::clone(&places.connections);
            late.spawn(async move {
                let taken = stream.set_nonblocking(true).and_then(|()| TcpStream::from_std(stream));
                if let (Ok(stream), Ok(_slot)) = (taken, slots.acquire().await) {
                    let _counted = Counted::of(&server.metrics.connections);
                    connection::serve(&server, stream, &connections.open(peer.ip())).await;
                }
            });
        }
        late
    }

    fn spawn(
        server: &Arc<Self>,
        places: &Places,
        stream: TcpStream,
        peer: SocketAddr,
        slot: OwnedSemaphorePermit,
    ) {
        let server = Arc::clone(server);
        let open = places.connections.open(peer.ip());
        tokio::spawn(async move {
            let _counted = (slot, Counted::of(&server.metrics.connections));
            // Dropped before the slot is given back, so that the next connection finds the place free.
            let open = open;
            connection::serve(&server, stream, &open).await;
        });
    }
}
