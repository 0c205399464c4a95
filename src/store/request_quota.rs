//! Limits the concurrent requests of one pod and of one namespace, so that they cannot block others.

use std::collections::HashMap;
use std::hash::Hash;

use parking_lot::Mutex;

use super::api_error::ApiError;
use super::caller::PodIdentity;
use bootlace_core::code::Code;

/// Maximum concurrent requests of one pod. Its sidecar stores outputs one after another, and its other
/// containers can send requests at the same time.
const MAX_OF_POD: usize = 4;
/// Maximum concurrent requests of one namespace: a quarter of what the store processes concurrently.
pub(super) const MAX_OF_NAMESPACE: usize = 16;

/// Counts the requests in progress of each pod and namespace, including those whose body is still being
/// received.
#[derive(Debug, Default)]
pub(crate) struct RequestQuota {
    counts: Mutex<Counts>,
}

#[derive(Debug, Default)]
struct Counts {
    pods: HashMap<String, usize>,
    namespaces: HashMap<String, usize>,
}

/// A counted request. It is no longer counted when this is dropped.
#[derive(Debug)]
pub(crate) struct QuotaPermit<'s> {
    quota: &'s RequestQuota,
    id: PodIdentity,
}

impl RequestQuota {
    /// Counts a request of this pod.
    ///
    /// # Errors
    /// The pod or its namespace has reached the limit. The caller can retry.
    pub(crate) fn acquire(&self, id: &PodIdentity) -> Result<QuotaPermit<'_>, ApiError> {
        let mut counts = self.counts.lock();
        let of_pod = counts.pods.get(&id.uid).copied().unwrap_or_default();
        let of_namespace = counts.namespaces.get(&id.namespace).copied().unwrap_or_default();
        if of_pod >= MAX_OF_POD {
            return Err(ApiError::new(
                Code::TooManyRequests,
                format!("the pod already has {of_pod} requests in progress: retry"),
            ));
        }
        if of_namespace >= MAX_OF_NAMESPACE {
            return Err(ApiError::new(
                Code::TooManyRequests,
                format!(
                    "the pods of namespace {:?} already have {of_namespace} requests in progress: retry",
                    id.namespace
                ),
            ));
        }
        counts.pods.insert(id.uid.clone(), of_pod + 1);
        counts.namespaces.insert(id.namespace.clone(), of_namespace + 1);
        Ok(QuotaPermit { quota: self, id: id.clone() })
    }
}

impl Drop for QuotaPermit<'_> {
    fn drop(&mut self) {
        let mut counts = self.quota.counts.lock();
        decrement(&mut counts.pods, &self.id.uid);
        decrement(&mut counts.namespaces, &self.id.namespace);
    }
}

fn decrement<K: Hash + Eq + std::borrow::Borrow<str>>(counts: &mut HashMap<K, usize>, key: &str) {
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
    fn the_requests_of_a_pod_and_of_a_namespace_are_limited_and_others_are_not() {
        let quota = RequestQuota::default();
        let of_pod: Vec<_> = (0..MAX_OF_POD).map(|_| quota.acquire(&id("a", 0)).unwrap()).collect();
        let error = quota.acquire(&id("a", 0)).unwrap_err();
        assert!(error.status == 429 && !error.is_final(), "{error}");
        let of_namespace: Vec<_> =
            (MAX_OF_POD..MAX_OF_NAMESPACE).map(|pod| quota.acquire(&id("a", pod)).unwrap()).collect();
        let error = quota.acquire(&id("a", 99)).unwrap_err();
        assert!(error.message.contains("of namespace \"a\""), "{error}");
        drop(quota.acquire(&id("b", 0)).unwrap());
        drop(of_pod);
        drop(quota.acquire(&id("a", 0)).unwrap());
        drop(of_namespace);
        let counts = quota.counts.lock();
        assert!(counts.pods.is_empty() && counts.namespaces.is_empty(), "{counts:?}");
    }
}
