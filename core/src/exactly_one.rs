//! Fields that are mutually exclusive.

/// Whether exactly one of several fields is set.
pub(crate) fn exactly_one<const N: usize>(set: [bool; N]) -> bool {
    set.into_iter().filter(|set| *set).count() == 1
}
