//! The open connections, and which of them is closed when a new one finds no place or when they hold too many bytes.
//!
//! Whoever reaches the port can open connections and send half a request on each. Waiting until they end would keep the
//! API server and the kubelet's probes out, so one that waits for its caller is closed instead: of the address that holds
//! the most, the oldest. A caller that holds few is not affected by one that holds many.

use std::collections::{BTreeMap, HashMap};
use std::net::IpAddr;
use std::ops::Deref;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tracing::warn;

use super::Limits;
use super::idle_timeout::IdleTimer;

/// The connections of a listener.
#[derive(Debug)]
pub(super) struct Connections {
    limits: Limits,
    /// Bytes of requests that are not answered yet, of all connections.
    held: AtomicUsize,
    open: Mutex<Table>,
}

/// The connections by the order in which they were opened.
#[derive(Debug, Default)]
struct Table {
    next: u64,
    by_id: BTreeMap<u64, Arc<IdleTimer>>,
}

/// An open connection. It counts until it is dropped.
pub(super) struct Open {
    id: u64,
    pulse: Arc<IdleTimer>,
    connections: Arc<Connections>,
}

impl Connections {
    pub(super) fn new(limits: Limits) -> Arc<Self> {
        Arc::new(Self { limits, held: AtomicUsize::new(0), open: Mutex::default() })
    }

    fn table(&self) -> MutexGuard<'_, Table> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Counts a connection that was accepted. Where it is one too many, another is closed.
    pub(super) fn open(self: &Arc<Self>, peer: IpAddr) -> Open {
        let pulse = IdleTimer::new(self.limits, peer.to_canonical(), Arc::clone(self));
        let mut table = self.table();
        let id = table.next;
        table.next += 1;
        table.by_id.insert(id, Arc::clone(&pulse));
        let full = table.by_id.len() > self.limits.connections;
        drop(table);
        if full {
            self.make_room();
        }
        Open { id, pulse, connections: Arc::clone(self) }
    }

    /// Closes a connection that waits for its caller, if there is one.
    pub(super) fn make_room(&self) {
        self.close_one("all connections are taken", |_| 1);
    }

    /// Counts bytes that were received, also among those that their connection holds. Where they are too many, connections
    /// that hold some are closed.
    pub(super) fn received(&self, bytes: usize, held: &AtomicUsize) {
        // The sum first: it is never less than its parts.
        self.held.fetch_add(bytes, Ordering::Relaxed);
        held.fetch_add(bytes, Ordering::Relaxed);
        while self.held.load(Ordering::Relaxed) > self.limits.bytes
            && self.close_one("requests that have not arrived whole hold too many bytes", IdleTimer::held)
        {
        }
    }

    /// The bytes of a request that is answered are not held any more.
    pub(super) fn released(&self, bytes: usize) {
        self.held.fetch_sub(bytes, Ordering::Relaxed);
    }

    /// Of the address whose connections have the greatest `weight` together, closes the one that has waited longest; one
    /// that is between requests before one that is in the middle of sending one. Returns whether there was one.
    fn close_one(&self, reason: &'static str, weight: impl Fn(&IdleTimer) -> usize) -> bool {
        let table = self.table();
        let mut weights: HashMap<IpAddr, usize> = HashMap::new();
        for pulse in table.by_id.values() {
            *weights.entry(pulse.peer()).or_default() += weight(pulse);
        }
        let waiting = table.by_id.values().filter(|pulse| weight(pulse) > 0);
        let waiting = waiting.filter_map(|pulse| Some((pulse, pulse.waits_for_caller()?)));
        let victim = waiting.max_by_key(|(pulse, waits)| {
            let weight = weights.get(&pulse.peer()).copied().unwrap_or_default();
            (weight, !waits.in_request, std::cmp::Reverse(waits.since))
        });
        let Some((victim, _)) = victim else { return false };
        warn!(peer = %victim.peer(), "{reason}: closing a connection that waits for its caller");
        victim.close();
        true
    }
}

impl Deref for Open {
    type Target = Arc<IdleTimer>;

    fn deref(&self) -> &Arc<IdleTimer> {
        &self.pulse
    }
}

impl Drop for Open {
    fn drop(&mut self) {
        self.pulse.release();
        self.connections.table().by_id.remove(&self.id);
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
    async fn the_address_with_the_most_connections_loses_its_oldest_one() {
        let connections = Connections::new(Limits { connections: 4, ..Limits::default() });
        let open: Vec<_> = [1, 2, 2, 2].map(|last| connections.open(peer(last))).into();
        assert!(closed(&open).is_empty());
        let _honest = connections.open(peer(1));
        assert_eq!(closed(&open), [1]);
    }

    #[tokio::test]
    async fn a_request_that_is_being_answered_is_never_closed_and_one_between_requests_goes_first() {
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
    async fn bytes_are_bounded_over_all_connections_and_freed_with_the_answer() {
        let connections = Connections::new(Limits { bytes: 1000, ..Limits::default() });
        let open: Vec<_> = [1, 2, 2].map(|last| connections.open(peer(last))).into();
        for one in &open {
            one.bytes_came(300);
        }
        open[0].bytes_came(50);
        assert!(closed(&open).is_empty());
        open[0].bytes_came(100);
        assert_eq!(closed(&open), [1]);
        open[0].request_begins();
        open[0].request_ends();
        drop(open);
        assert_eq!(connections.held.load(Ordering::Relaxed), 0);
    }
}
