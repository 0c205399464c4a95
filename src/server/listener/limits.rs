//! What a caller may take: time, connections, memory.

use std::time::Duration;

use crate::server::memory;

/// Limits of the accept loop and its connections.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Connections at once. For one more, another that waits for its caller is closed. API servers keep 25 idle ones each.
    pub connections: usize,
    /// Bytes of requests that are not answered yet, over all connections. For more, a connection that has not sent all of
    /// its request is closed.
    pub bytes: usize,
    /// Time for a TLS handshake.
    pub handshake: Duration,
    /// Time from the first byte of a request to the end of its head.
    pub head: Duration,
    /// Time from the end of a request's head to its answer. Above the 30 s that an API server waits at most.
    pub request: Duration,
    /// How long a connection may idle. Above the 90 s after which Go's client closes it by itself: who closes
    /// first would break a request that is just being sent.
    pub idle: Duration,
    /// How long, at the end, a connection on which nothing has come so far is kept: its caller has perhaps just
    /// shaken hands and is about to send.
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
    /// For the second port, where a scraper and the kubelet call now and then.
    #[must_use]
    pub fn of_status() -> Self {
        Self { connections: 32, bytes: 256 * 1024, ..Self::default() }
    }
}
