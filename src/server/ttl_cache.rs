//! A map with a limit on its entries, each of which can expire.
//!
//! Implemented here, because `moka` measures time with its own clock, which tests cannot change, and adds a
//! dozen crates for concurrency that a lock provides; and the entries of `lru` do not expire.

use std::collections::HashMap;
use std::hash::Hash;
use std::time::Duration;

use tokio::time::Instant;

/// Values by key. If it is full, the oldest one is removed for a new one.
#[derive(Debug)]
pub(crate) struct TtlCache<K, V> {
    capacity: usize,
    entries: HashMap<K, CacheEntry<V>>,
}

#[derive(Debug)]
struct CacheEntry<V> {
    value: V,
    /// When `ttl` was set.
    since: Instant,
    ttl: Ttl,
}

/// How long an entry is kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Ttl {
    /// Until [`TtlCache::set_ttl`] changes that: it neither expires nor is removed for another entry.
    Pinned,
    /// Until it is removed for another entry.
    Unlimited,
    /// The same, but at most for this time.
    AtMost(Duration),
}

impl<V> CacheEntry<V> {
    fn is_expired(&self) -> bool {
        matches!(self.ttl, Ttl::AtMost(time) if self.since.elapsed() >= time)
    }
}

impl<K: Clone + Eq + Hash, V> TtlCache<K, V> {
    /// An empty map of at most `capacity` entries that are not pinned.
    pub(crate) fn new(capacity: usize) -> Self {
        Self { capacity, entries: HashMap::new() }
    }

    /// The value of a key, unless it has expired.
    pub(crate) fn get(&self, key: &K) -> Option<&V> {
        self.entries.get(key).filter(|entry| !entry.is_expired()).map(|entry| &entry.value)
    }

    /// The value of a key for a change, unless it has expired.
    pub(crate) fn get_mut(&mut self, key: &K) -> Option<&mut V> {
        self.entries.get_mut(key).filter(|entry| !entry.is_expired()).map(|entry| &mut entry.value)
    }

    /// Adds or replaces a value, and removes all that have expired.
    pub(crate) fn insert(&mut self, key: K, value: V, ttl: Ttl) {
        self.entries.retain(|_, entry| !entry.is_expired());
        if self.entries.len() >= self.capacity && !self.entries.contains_key(&key) {
            let unpinned = self.entries.iter().filter(|(_, entry)| entry.ttl != Ttl::Pinned);
            let oldest = unpinned.min_by_key(|(_, entry)| entry.since).map(|(key, _)| key.clone());
            oldest.and_then(|oldest| self.entries.remove(&oldest));
        }
        self.entries.insert(key, CacheEntry { value, since: Instant::now(), ttl });
    }

    /// Changes how long the value of a key is kept, from now on.
    pub(crate) fn set_ttl(&mut self, key: &K, ttl: Ttl) {
        if let Some(entry) = self.entries.get_mut(key) {
            (entry.since, entry.ttl) = (Instant::now(), ttl);
        }
    }

    /// Removes and returns the value of a key.
    pub(crate) fn remove(&mut self, key: &K) -> Option<V> {
        self.entries.remove(key).filter(|entry| !entry.is_expired()).map(|entry| entry.value)
    }

    /// All values that have not expired.
    pub(crate) fn values(&self) -> impl Iterator<Item = &V> {
        self.entries.values().filter(|entry| !entry.is_expired()).map(|entry| &entry.value)
    }

    /// The number of pinned entries.
    pub(crate) fn pinned(&self) -> usize {
        self.entries.values().filter(|entry| entry.ttl == Ttl::Pinned).count()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    #[tokio::test(start_paused = true)]
    async fn entries_expire() {
        let mut cache = TtlCache::new(10);
        cache.insert("short", 1, Ttl::AtMost(SECOND));
        cache.insert("long", 2, Ttl::AtMost(SECOND * 2));
        cache.insert("unlimited", 3, Ttl::Unlimited);
        cache.insert("pinned", 4, Ttl::Pinned);
        tokio::time::advance(SECOND).await;
        assert!(cache.get(&"short").is_none() && cache.get_mut(&"short").is_none());
        assert!(cache.remove(&"short").is_none());
        assert_eq!((cache.get(&"long"), cache.values().count()), (Some(&2), 3));
        // The time counts from the last change.
        cache.set_ttl(&"long", Ttl::AtMost(SECOND * 2));
        tokio::time::advance(SECOND).await;
        assert_eq!(cache.get(&"long"), Some(&2));
        tokio::time::advance(SECOND).await;
        assert_eq!(cache.get(&"long"), None);
        tokio::time::advance(SECOND * 1_000_000).await;
        assert_eq!((cache.get(&"unlimited"), cache.get(&"pinned"), cache.pinned()), (Some(&3), Some(&4), 1));
        cache.insert("new", 5, Ttl::Unlimited);
        assert_eq!(cache.entries.len(), 3, "an expired value is removed with the next change");
    }

    #[tokio::test(start_paused = true)]
    async fn the_oldest_entry_that_is_not_pinned_is_removed_if_the_map_is_full() {
        let mut cache = TtlCache::new(3);
        for (key, ttl) in [("a", Ttl::Pinned), ("b", Ttl::Unlimited), ("c", Ttl::AtMost(SECOND * 60))] {
            cache.insert(key, key, ttl);
            tokio::time::advance(SECOND).await;
        }
        cache.insert("c", "again", Ttl::Unlimited);
        assert_eq!(cache.get(&"b"), Some(&"b"), "a value that is replaced needs no room");
        tokio::time::advance(SECOND).await;
        cache.insert("d", "d", Ttl::Unlimited);
        assert_eq!((cache.get(&"a"), cache.get(&"b"), cache.get(&"c")), (Some(&"a"), None, Some(&"again")));
        tokio::time::advance(SECOND).await;
        cache.set_ttl(&"a", Ttl::Unlimited);
        tokio::time::advance(SECOND).await;
        cache.insert("e", "e", Ttl::Unlimited);
        cache.insert("f", "f", Ttl::Unlimited);
        assert_eq!((cache.get(&"a"), cache.get(&"c"), cache.get(&"d")), (Some(&"a"), None, None));
        assert_eq!(cache.remove(&"e"), Some("e"));
    }
}
