//! Errors of the table of schedulers.

/// Maximum number of additional entries. Each pod is compared with those that have a label of the pod.
pub(super) const MAX_EXTRA: usize = 64;

/// Why a table cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum InvalidSchedulers {
    /// It is not a list of entries.
    #[error("the list of schedulers is invalid: {0}")]
    Malformed(String),
    /// It has too many entries.
    #[error("the list of schedulers has {count} entries, the limit is {MAX_EXTRA}: remove some")]
    TooMany {
        /// The number of entries.
        count: usize,
    },
    /// An entry is invalid.
    #[error("scheduler {name:?}: {field} {problem}")]
    Entry {
        /// The name of the scheduler.
        name: String,
        /// The field.
        field: String,
        /// The problem, and what to do.
        problem: String,
    },
}
