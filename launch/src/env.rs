//! An environment: names and values, sorted by name, each name once.

use std::ffi::OsStr;

/// Sorted, because std's `Command` sorts what it execs with. Nothing is lost by that: the kubelet takes
/// service variables and `envFrom` from maps, in another order at each start, so no task can lean on one.
///
/// A vector instead of a `BTreeMap`, whose code would be a twentieth of this binary.
#[derive(Debug, Default, PartialEq)]
pub(crate) struct Env<'a>(Vec<(&'a OsStr, &'a OsStr)>);

impl<'a> Env<'a> {
    pub(crate) fn get(&self, name: &OsStr) -> Option<&'a OsStr> {
        let at = self.find(name).ok()?;
        self.0.get(at).map(|(_, value)| *value)
    }

    /// Sets a variable, over the value that it may have had. Names that come sorted, as boot writes them, cost
    /// one comparison each.
    fn set(&mut self, name: &'a OsStr, value: &'a OsStr) {
        if self.0.last().is_none_or(|(last, _)| *last < name) {
            return self.0.push((name, value));
        }
        match self.find(name) {
            Ok(at) => {
                if let Some(pair) = self.0.get_mut(at) {
                    *pair = (name, value);
                }
            }
            Err(at) => self.0.insert(at, (name, value)),
        }
    }

    /// Leaves out what `stays` does not keep.
    pub(crate) fn retain(&mut self, mut stays: impl FnMut(&OsStr, &OsStr) -> bool) {
        self.0.retain(|(name, value)| stays(name, value));
    }

    pub(crate) fn iter(&self) -> impl DoubleEndedIterator<Item = (&'a OsStr, &'a OsStr)> + ExactSizeIterator {
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
        let pairs = pairs.into_iter();
        let mut env = Self(Vec::with_capacity(pairs.size_hint().0));
        for (name, value) in pairs {
            env.set(name, value);
        }
        env
    }
}
