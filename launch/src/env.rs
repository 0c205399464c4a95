//! An environment: names and values, sorted by name, each name once.

use std::ffi::OsStr;
use std::{iter, slice};

/// Sorted, so that a name is found fast and two of them are walked side by side. Nothing is lost by that: the kubelet
/// takes service variables and `envFrom` from maps, in another order at each start, so no task can lean on one.
///
/// A vector instead of a `BTreeMap`, which would cost an allocation a name and a search a variable.
#[derive(Debug, Default, PartialEq)]
pub(crate) struct Env<'a>(Vec<(&'a OsStr, &'a OsStr)>);

impl<'a> Env<'a> {
    pub(crate) fn get(&self, name: &OsStr) -> Option<&'a OsStr> {
        let at = self.find(name).ok()?;
        self.0.get(at).map(|(_, value)| *value)
    }

    /// Leaves out what `stays` does not keep.
    pub(crate) fn retain(&mut self, mut stays: impl FnMut(&OsStr, &OsStr) -> bool) {
        self.0.retain(|(name, value)| stays(name, value));
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
    /// Where a name comes twice the last value wins.
    fn from_iter<I: IntoIterator<Item = (&'a OsStr, &'a OsStr)>>(pairs: I) -> Self {
        let mut pairs: Vec<_> = pairs.into_iter().collect();
        // Stable; and names that come sorted, as boot writes them, cost one comparison each.
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
