//! Limits on what a caller can use: time, connections and memory.

use std::time::Duration;

use crate::server::memory;

/// Limits of the accept loop and its connections.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Concurrent connections. For another one, one that waits for its caller is closed. Each API server
    /// keeps 25 idle ones.
    pub connections: usize,
    /// Bytes of requests without a response, of all connections. If there are more, a connection with an
    /// incomplete request is closed.
    pub bytes: usize,
    /// Timeout of a TLS handshake.
    pub handshake: Duration,
    /// Timeout from the first byte of a request to the end of its head.
    pub head: Duration,
    /// Timeout from the end of the head of a request to its response. More than the 30 s that an API server
    /// waits at most.
    pub request: Duration,
    /// How long a connection may be idle. More than the 90 s after which Go's client closes it: if this side
    /// closed it first, a request that is just being sent could fail.
    pub idle: Duration,
    /// How long a connection without any request is kept open during shutdown: its caller may have just
    /// completed the handshake, and may be about to send a request.
    pub farewell: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            connections: 512,
            bytes: memory::BODIES,
            handshake: Duration::from_secs(10),
            head: Duration::from_secs(10),
            request: Duration::from_secs(35),
            idle: Duration::from_mins(3),
            farewell: Duration::from_secs(1),
        }
    }
}

impl Limits {
    /// For the status port, which only Prometheus and the kubelet call.
    #[must_use]
    pub fn of_status() -> Self {
        Self { connections: 32, bytes: 256 * 1024, ..Self::default() }
    }
}
