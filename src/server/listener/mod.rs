//! The accept loop.
//!
//! Implemented here, because `axum::serve` has no timeout for handshakes and no limit on connections, and
//! does not ask callers to reconnect before it stops.

mod connection;
mod counted_stream;
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

/// The transport below HTTP.
#[derive(Clone)]
pub enum Transport {
    /// TCP.
    Plain,
    /// TLS over TCP.
    Tls(TlsAcceptor),
}

/// The configuration of a listener.
pub struct Server {
    /// The transport.
    pub transport: Transport,
    /// The routes.
    pub app: Router,
    /// The limits for callers.
    pub limits: Limits,
    /// Counts connections and handshakes.
    pub metrics: ServerMetrics,
    /// The stage of the shutdown.
    pub stage: ShutdownSignal,
}

/// Delay after an error that is likely to happen again immediately, such as too many open files.
const ACCEPT_RETRY_DELAY: Duration = Duration::from_millis(100);

/// How often a listener at its limit tries to close a connection.
const MAKE_ROOM_INTERVAL: Duration = Duration::from_millis(50);

/// The connections of a listener, and a slot for each.
struct ConnectionSlots {
    connections: Arc<Connections>,
    slots: Arc<Semaphore>,
    count: u32,
}

impl ConnectionSlots {
    fn new(limits: Limits) -> Self {
        // One more than the limit, because a connection is accepted before another one is closed for it.
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
            if let Ok(slot) = timeout(MAKE_ROOM_INTERVAL, slot).await {
                break slot.map_err(io::Error::other)?;
            }
            // All connections had a request in progress before.
            self.connections.make_room();
        };
        let (stream, peer) = listener.accept().await?;
        Ok((stream, peer, slot))
    }
}

impl Server {
    /// Serves until [`ShutdownStage::Closing`], and then until every connection has ended, or
    /// [`ShutdownStage::Over`].
    pub async fn serve(self, listener: TcpListener) {
        let server = Arc::new(self);
        let slots = ConnectionSlots::new(server.limits);
        let mut stage = server.stage.clone();
        loop {
            tokio::select! {
                accepted = slots.accept(&listener) => match accepted {
                    Ok((stream, peer, slot)) => Self::spawn(&server, &slots, stream, peer, slot),
                    Err(error) => {
                        warn!(%error, "failed to accept a connection");
                        tokio::time::sleep(ACCEPT_RETRY_DELAY).await;
                    }
                },
                () = stage.reached(ShutdownStage::Closing) => break,
            }
        }
        let late = Self::accept_backlog(&server, listener, &slots);
        // When the late connections have ended and all slots are free, every connection has ended.
        tokio::select! {
            _ = async { (late.join_all().await, slots.slots.acquire_many(slots.count).await.is_ok()) } => {}
            () = stage.reached(ShutdownStage::Over) => {}
        }
    }

    /// Accepts the connections that the kernel has opened already: closing the listener would reset them.
    fn accept_backlog(server: &Arc<Self>, listener: TcpListener, slots: &ConnectionSlots) -> JoinSet<()> {
        let mut late = JoinSet::new();
        // The listener of the standard library, because tokio's only calls accept after it was notified of a
        // connection.
        let Ok(listener) = listener.into_std() else { return late };
        while let Ok((stream, peer)) = listener.accept() {
            let (server, connections) = (Arc::clone(server), Arc::clone(&slots.connections));
            let slots = Arc::clone(&slots.slots);
            late.spawn(async move {
                let accepted = stream.set_nonblocking(true).and_then(|()| TcpStream::from_std(stream));
                if let (Ok(stream), Ok(_slot)) = (accepted, slots.acquire().await) {
                    let _counted = Counted::of(&server.metrics.connections);
                    connection::serve(&server, stream, &connections.open(peer.ip())).await;
                }
            });
        }
        late
    }

    fn spawn(
        server: &Arc<Self>,
        slots: &ConnectionSlots,
        stream: TcpStream,
        peer: SocketAddr,
        slot: OwnedSemaphorePermit,
    ) {
        let server = Arc::clone(server);
        let open = slots.connections.open(peer.ip());
        tokio::spawn(async move {
            let _counted = (slot, Counted::of(&server.metrics.connections));
            // Dropped before the slot is released, so that the next connection is not above the limit.
            let open = open;
            connection::serve(&server, stream, &open).await;
        });
    }
}
