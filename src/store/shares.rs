//! How much of the store one pod and one namespace can hold at once, so that they cannot keep others out.

use std::collections::HashMap;
use std::hash::Hash;
use std::sync::{Mutex, MutexGuard, PoisonError};

use super::api_error::ApiError;
use super::caller::PodIdentity;

/// Requests of one pod at once. Its sidecar stores one output after another, and its other containers ask beside it.
const OF_POD: usize = 4;
/// Requests of one namespace at once: a quarter of what the store answers.
pub(super) const OF_NAMESPACE: usize = 16;

/// Counts the requests of pods and namespaces that have begun, their bodies included.
#[derive(Debug, Default)]
pub(super) struct RequestQuota {
    held: Mutex<Held>,
}

#[derive(Debug, Default)]
struct Held {
    pods: HashMap<String, usize>,
    namespaces: HashMap<String, usize>,
}

/// A request's part of its pod's and its namespace's share, until it is dropped.
#[derive(Debug)]
pub(super) struct QuotaPermit<'s> {
    shares: &'s RequestQuota,
    id: PodIdentity,
}

impl RequestQuota {
    /// Counts a request of this pod.
    ///
    /// # Errors
    /// Where the pod or its namespace has as many already: the caller should ask again.
    pub(super) fn take(&self, id: &PodIdentity) -> Result<QuotaPermit<'_>, ApiError> {
        let mut held = self.held();
        let of_pod = held.pods.get(&id.uid).copied().unwrap_or_default();
        let of_namespace = held.namespaces.get(&id.namespace).copied().unwrap_or_default();
        if of_pod >= OF_POD {
            return Err(ApiError::too_many(format!(
                "the pod has {of_pod} requests on the way already: try again"
            )));
        }
        if of_namespace >= OF_NAMESPACE {
            return Err(ApiError::too_many(format!(
                "the pods of the namespace have {of_namespace} requests on the way already: try again"
            )));
        }
        held.pods.insert(id.uid.clone(), of_pod + 1);
        held.namespaces.insert(id.namespace.clone(), of_namespace + 1);
        Ok(QuotaPermit { shares: self, id: id.clone() })
    }

    fn held(&self) -> MutexGuard<'_, Held> {
        // Who panicked with the lock in hand left counts that are whole.
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for QuotaPermit<'_> {
    fn drop(&mut self) {
        let mut held = self.shares.held();
        release(&mut held.pods, &self.id.uid);
        release(&mut held.namespaces, &self.id.namespace);
    }
}

fn release<K: Hash + Eq + std::borrow::Borrow<str>>(counts: &mut HashMap<K, usize>, key: &str) {
    if let Some(count) = counts.get_mut(key) {
        *count = count.saturating_sub(1);
        if *count == 0 {
            counts.remove(key);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn id(namespace: &str, pod: usize) -> PodIdentity {
        PodIdentity {
            namespace: namespace.to_owned(),
            name: format!("p{pod}"),
            uid: format!("{namespace}-{pod}"),
        }
    }

    #[test]
    fn one_pod_and_one_namespace_get_their_share_and_others_theirs() {
        let shares = RequestQuota::default();
        let of_pod: Vec<_> = (0..OF_POD).map(|_| shares.take(&id("a", 0)).unwrap()).collect();
        let denial = shares.take(&id("a", 0)).unwrap_err();
        assert!(denial.status == 429 && !denial.is_final(), "{denial}");
        let of_namespace: Vec<_> =
            (OF_POD..OF_NAMESPACE).map(|pod| shares.take(&id("a", pod)).unwrap()).collect();
        let denial = shares.take(&id("a", 99)).unwrap_err();
        assert!(denial.message.contains("of the namespace"), "{denial}");
        drop(shares.take(&id("b", 0)).unwrap());
        drop(of_pod);
        drop(shares.take(&id("a", 0)).unwrap());
        drop(of_namespace);
        let held = shares.held();
        assert!(held.pods.is_empty() && held.namespaces.is_empty(), "{held:?}");
    }
}
