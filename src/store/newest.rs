//! A map with a limit on its entries: the oldest is removed for a new one. `TtlCache` searches for the
//! oldest; here, pods decide how often that happens, so it needs constant time.

use std::collections::{HashMap, VecDeque};
use std::hash::Hash;

/// The values of the newest `CAPACITY` keys.
#[derive(Debug)]
pub(super) struct Newest<K, V, const CAPACITY: usize> {
    values: HashMap<K, V>,
    /// The keys, oldest first.
    order: VecDeque<K>,
}

impl<K, V, const CAPACITY: usize> Default for Newest<K, V, CAPACITY> {
    fn default() -> Self {
        Self { values: HashMap::new(), order: VecDeque::new() }
    }
}

impl<K: Clone + Eq + Hash, V, const CAPACITY: usize> Newest<K, V, CAPACITY> {
    /// The value of a key for a change.
    pub(super) fn get_mut<Q: Eq + Hash + ?Sized>(&mut self, key: &Q) -> Option<&mut V>
    where
        K: std::borrow::Borrow<Q>,
    {
        self.values.get_mut(key)
    }

    /// Adds the value of a key that has none.
    pub(super) fn add(&mut self, key: K, value: V) {
        if self.order.len() >= CAPACITY
            && let Some(oldest) = self.order.pop_front()
        {
            self.values.remove(&oldest);
        }
        self.order.push_back(key.clone());
        self.values.insert(key, value);
    }

    /// The number of keys.
    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        assert_eq!(self.values.len(), self.order.len());
        self.values.len()
    }
}
