//! The parts that must be in place before a process can serve. `/readyz` lists those that are missing.

use std::collections::BTreeMap;

use parking_lot::Mutex;

/// A part that must be in place before the process can serve.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Part {
    /// A response of the API server with its version.
    ApiServer,
    /// The first list of `BootProfile`s.
    Profiles,
    /// The first list of namespaces that name a profile for their tasks.
    Namespaces,
    /// A serving certificate.
    Certificate,
    /// The CA bundle in the `MutatingWebhookConfiguration`, which the API server needs to trust the webhook.
    CaBundle,
    /// The CA of the store, which boot needs to trust the store.
    Store,
    /// The keys that sign the configuration of pods.
    Keys,
    /// The process itself, which is no longer ready when it shuts down.
    Process,
}

/// The missing parts. The process is ready if no part is missing.
#[derive(Debug, Default)]
pub struct Readiness(Mutex<BTreeMap<Part, String>>);

impl Readiness {
    /// Records that `part` is missing, and why.
    pub fn missing(&self, part: Part, reason: impl Into<String>) {
        self.0.lock().insert(part, reason.into());
    }

    /// Records that `part` is in place.
    pub fn in_place(&self, part: Part) {
        self.0.lock().remove(&part);
    }

    /// Whether `part` is missing.
    #[must_use]
    pub fn is_missing(&self, part: Part) -> bool {
        self.0.lock().contains_key(&part)
    }

    /// A message for each missing part; empty if all are in place.
    #[must_use]
    pub fn report(&self) -> Vec<String> {
        self.0.lock().values().cloned().collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_process_is_ready_if_no_part_is_missing() {
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
