//! The open connections, and the selection of one to close if there are too many of them, or if their
//! requests have too many bytes.
//!
//! Anyone who reaches the port can open connections and send half a request on each. To wait until they end
//! would block the API server and the probes of the kubelet. So a connection that waits for its caller is
//! closed instead: the oldest one of the address that uses the most. A caller that uses little is not
//! affected by one that uses much.

use std::collections::{BTreeMap, HashMap};
use std::net::IpAddr;
use std::ops::Deref;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use parking_lot::Mutex;
use tracing::warn;

use super::Limits;
use super::idle_timeout::IdleTimer;

/// The connections of a listener.
#[derive(Debug)]
pub(super) struct Connections {
    limits: Limits,
    /// Bytes of requests without a response, of all connections.
    pending_bytes: Arc<AtomicUsize>,
    open: Mutex<Table>,
}

/// The connections, in the order in which they were opened.
#[derive(Debug, Default)]
struct Table {
    next: u64,
    by_id: BTreeMap<u64, Arc<IdleTimer>>,
}

/// An open connection, which is counted until this is dropped.
pub(super) struct Open {
    id: u64,
    timer: Arc<IdleTimer>,
    connections: Arc<Connections>,
}

impl Connections {
    pub(super) fn new(limits: Limits) -> Arc<Self> {
        Arc::new(Self { limits, pending_bytes: Arc::default(), open: Mutex::default() })
    }

    /// Adds an accepted connection. If the limit is exceeded, another one is closed.
    pub(super) fn open(self: &Arc<Self>, peer: IpAddr) -> Open {
        let timer = IdleTimer::new(self.limits, peer.to_canonical(), Arc::clone(&self.pending_bytes));
        let mut table = self.open.lock();
        let id = table.next;
        table.next += 1;
        table.by_id.insert(id, Arc::clone(&timer));
        let is_full = table.by_id.len() > self.limits.connections;
        drop(table);
        if is_full {
            self.make_room();
        }
        Open { id, timer, connections: Arc::clone(self) }
    }

    /// Closes a connection that waits for its caller, if there is one.
    pub(super) fn make_room(&self) {
        self.close_one("too many connections", |_| 1);
    }

    /// Closes connections with pending bytes while their sum exceeds the limit.
    fn limit_bytes(&self) {
        while self.pending_bytes.load(Ordering::Relaxed) > self.limits.bytes
            && self.close_one("incomplete requests have too many bytes", IdleTimer::pending_bytes)
        {}
    }

    /// Closes a connection of the address whose connections have the greatest `weight` in total: the one that
    /// has waited longest, but those between requests before those in a request. Returns whether there was
    /// one.
    fn close_one(&self, reason: &'static str, weight: impl Fn(&IdleTimer) -> usize) -> bool {
        let table = self.open.lock();
        let mut weights: HashMap<IpAddr, usize> = HashMap::new();
        for timer in table.by_id.values() {
            *weights.entry(timer.peer()).or_default() += weight(timer);
        }
        let waiting = table.by_id.values().filter(|timer| weight(timer) > 0);
        let waiting = waiting.filter_map(|timer| Some((timer, timer.waits_for_caller()?)));
        let victim = waiting.max_by_key(|(timer, waits)| {
            let weight = weights.get(&timer.peer()).copied().unwrap_or_default();
            (weight, !waits.in_request, std::cmp::Reverse(waits.since))
        });
        let Some((victim, _)) = victim else { return false };
        warn!(peer = %victim.peer(), "{reason}: closing a connection that waits for its caller");
        victim.close();
        true
    }
}

impl Open {
    /// Records received bytes. If the limit of all connections is exceeded, some with pending bytes are
    /// closed.
    pub(super) fn bytes_received(&self, bytes: usize) {
        self.timer.record_bytes(bytes);
        self.connections.limit_bytes();
    }
}

impl Deref for Open {
    type Target = Arc<IdleTimer>;

    fn deref(&self) -> &Arc<IdleTimer> {
        &self.timer
    }
}

impl Drop for Open {
    fn drop(&mut self) {
        self.timer.release();
        self.connections.open.lock().by_id.remove(&self.id);
    }
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use super::*;

    fn peer(last: u8) -> IpAddr {
        Ipv4Addr::new(10, 0, 0, last).into()
    }

    fn closed(connections: &[Open]) -> Vec<usize> {
        connections.iter().enumerate().filter(|(_, open)| open.is_closed()).map(|(place, _)| place).collect()
    }

    #[tokio::test]
    async fn the_oldest_connection_of_the_address_with_the_most_is_closed() {
        let connections = Connections::new(Limits { connections: 4, ..Limits::default() });
        let open: Vec<_> = [1, 2, 2, 2].map(|last| connections.open(peer(last))).into();
        assert!(closed(&open).is_empty());
        let _other = connections.open(peer(1));
        assert_eq!(closed(&open), [1]);
    }

    #[tokio::test]
    async fn connections_between_requests_are_closed_first_and_those_that_await_a_response_never() {
        let connections = Connections::new(Limits { connections: 3, ..Limits::default() });
        let open: Vec<_> = [1, 1, 1].map(|last| connections.open(peer(last))).into();
        open[0].request_begins();
        open[0].body_ends();
        open[1].request_begins();
        let _one = connections.open(peer(1));
        assert_eq!(closed(&open), [2]);
        open[1].body_ends();
        drop(open);
        let answering = connections.open(peer(3));
        answering.request_begins();
        answering.body_ends();
        connections.make_room();
        assert!(!answering.is_closed());
    }

    #[tokio::test]
    async fn bytes_of_all_connections_are_limited_and_released_with_the_response() {
        let connections = Connections::new(Limits { bytes: 1000, ..Limits::default() });
        let open: Vec<_> = [1, 2, 2].map(|last| connections.open(peer(last))).into();
        for one in &open {
            one.bytes_received(300);
        }
        open[0].bytes_received(50);
        assert!(closed(&open).is_empty());
        open[0].bytes_received(100);
        assert_eq!(closed(&open), [1]);
        open[0].request_begins();
        open[0].request_ends();
        drop(open);
        assert_eq!(connections.pending_bytes.load(Ordering::Relaxed), 0);
    }
}
