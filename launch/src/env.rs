//! An environment: unique names and their values, sorted by name.

use std::ffi::OsStr;
use std::{iter, slice};

/// An environment. It is sorted, so that lookups are fast and two environments can be merged in one pass. No
/// task can depend on the order anyway: the kubelet reads service variables and `envFrom` from maps, in a
/// different order at each start.
///
/// A `BTreeMap` would need an allocation for each name and a search for each variable.
#[derive(Debug, Default, PartialEq)]
pub(crate) struct Env<'a>(Vec<(&'a OsStr, &'a OsStr)>);

impl<'a> Env<'a> {
    pub(crate) fn get(&self, name: &OsStr) -> Option<&'a OsStr> {
        let at = self.find(name).ok()?;
        self.0.get(at).map(|(_, value)| *value)
    }

    /// Removes the variables for which `keep` returns false.
    pub(crate) fn retain(&mut self, mut keep: impl FnMut(&OsStr, &OsStr) -> bool) {
        self.0.retain(|(name, value)| keep(name, value));
    }

    pub(crate) fn iter(&self) -> iter::Copied<slice::Iter<'_, (&'a OsStr, &'a OsStr)>> {
        self.0.iter().copied()
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    fn find(&self, name: &OsStr) -> Result<usize, usize> {
        self.0.binary_search_by(|(other, _)| (*other).cmp(name))
    }
}

impl<'a> FromIterator<(&'a OsStr, &'a OsStr)> for Env<'a> {
    /// If a name occurs twice, the last value is used.
    fn from_iter<I: IntoIterator<Item = (&'a OsStr, &'a OsStr)>>(pairs: I) -> Self {
        let mut pairs: Vec<_> = pairs.into_iter().collect();
        // A stable sort. Sorted names, as boot writes them, need one comparison each.
        pairs.sort_by_key(|(name, _)| *name);
        pairs.dedup_by(|later, earlier| {
            let same = later.0 == earlier.0;
            if same {
                *earlier = *later;
            }
            same
        });
        Self(pairs)
    }
}
