//! What still stands between the webhook and its first review, in words that `/readyz` repeats.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

/// A part that has to be in place before reviews can be answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Part {
    /// An answer of the API server: which version it is.
    ApiServer,
    /// The first list of `BootProfile`s.
    Profiles,
    /// The first list of namespaces that name a profile for their tasks.
    Namespaces,
    /// A serving certificate.
    Certificate,
    /// The CA bundle in the `MutatingWebhookConfiguration`, without which the API server trusts nobody.
    CaBundle,
    /// The CA that the store serves under, which boot has to trust.
    Store,
    /// The keys that sign what pods are given.
    Keys,
    /// The process itself: it stops being ready when it is told to end.
    Process,
}

/// What is missing. Ready is who misses nothing.
#[derive(Debug, Default)]
pub struct Readiness(Mutex<BTreeMap<Part, String>>);

impl Readiness {
    /// Notes that `part` is missing, and why.
    pub fn missing(&self, part: Part, why: impl Into<String>) {
        self.parts().insert(part, why.into());
    }

    /// Notes that `part` is in place.
    pub fn in_place(&self, part: Part) {
        self.parts().remove(&part);
    }

    /// Whether `part` is missing.
    #[must_use]
    pub fn is_missing(&self, part: Part) -> bool {
        self.parts().contains_key(&part)
    }

    /// A sentence for each part that is missing; none where all are in place.
    #[must_use]
    pub fn report(&self) -> Vec<String> {
        self.parts().values().cloned().collect()
    }

    // A holder of the lock that panicked left the map as it was: each change is one call.
    fn parts(&self) -> MutexGuard<'_, BTreeMap<Part, String>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ready_is_who_misses_nothing() {
        let readiness = Readiness::default();
        assert!(readiness.report().is_empty());
        readiness.missing(Part::Certificate, "no certificate yet");
        readiness.missing(Part::Profiles, "no list yet");
        readiness.missing(Part::Profiles, "the CRD is not installed");
        assert_eq!(readiness.report(), ["the CRD is not installed", "no certificate yet"]);
        readiness.in_place(Part::Profiles);
        assert!(readiness.is_missing(Part::Certificate) && !readiness.is_missing(Part::Profiles));
    }
}
