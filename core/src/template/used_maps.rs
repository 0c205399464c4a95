//! Which maps of a pod a template reads.

use std::collections::HashSet;

/// The maps that a template or condition reads. The others need not be copied from the pod.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct UsedMaps {
    /// `labels`.
    pub labels: bool,
    /// `annotations`.
    pub annotations: bool,
    /// `env`.
    pub env: bool,
}

impl UsedMaps {
    /// All of them.
    pub const ALL: Self = Self { labels: true, annotations: true, env: true };

    pub(super) fn new(variables: &HashSet<String>) -> Self {
        let has = |name| variables.contains(name);
        Self { labels: has("labels"), annotations: has("annotations"), env: has("env") }
    }

    /// The maps of both.
    #[must_use]
    pub fn or(self, other: Self) -> Self {
        Self {
            labels: self.labels || other.labels,
            annotations: self.annotations || other.annotations,
            env: self.env || other.env,
        }
    }
}
