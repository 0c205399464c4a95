//! The progress of a task as an annotation of its pod.
//!
//! The store writes it through the subresource `status`, which reaches annotations, labels and the status of
//! a pod, but not its spec (`podStatusStrategy` in kubernetes/kubernetes, pkg/registry/core/pod/strategy.go).

use std::time::{Duration, Instant};

use k8s_openapi::api::core::v1::Pod;
use kube::api::{Patch, PatchParams};
use kube::{Api, Client};
use parking_lot::Mutex;
use serde_json::json;

use super::api_error::ApiError;
use super::authorize;
use super::caller::PodIdentity;
use super::newest::Newest;
use crate::server::sampler::TokenBucket;
use bootlace_core::code::Code;
use bootlace_core::names;
use bootlace_core::output::SidecarConfig;
use bootlace_core::progress;
use bootlace_core::signature::Specs;

/// A pod may be changed once in this time. The sidecar waits longer.
const INTERVAL: Duration = Duration::from_secs(4);
/// Changes that a pod can save up, because the last one follows at once when a task ends.
const BURST: u32 = 3;
/// The times of this many pods are remembered, those of the newest.
const MAX_PODS: usize = 16_384;

/// Writes the progress of pods.
#[derive(Debug, Default)]
pub struct ProgressWriter {
    /// Whether the installation allows it.
    is_allowed: bool,
    changes: Mutex<Changes>,
}

/// The changes that pods have left, by their UIDs.
type Changes = Newest<String, TokenBucket, MAX_PODS>;

/// Whether the pod may be changed now. If so, it counts as changed.
fn may_change(changes: &mut Changes, uid: &str, now: Instant) -> bool {
    if let Some(bucket) = changes.get_mut(uid) {
        return bucket.take(BURST, INTERVAL, now);
    }
    let mut bucket = TokenBucket::full(BURST);
    let is_allowed = bucket.take(BURST, INTERVAL, now);
    changes.add(uid.to_owned(), bucket);
    is_allowed
}

impl ProgressWriter {
    /// A writer, which refuses all progress if the installation does not allow it.
    #[must_use]
    pub fn new(is_allowed: bool) -> Self {
        Self { is_allowed, ..Self::default() }
    }

    /// Checks that the pod may report progress.
    ///
    /// # Errors
    /// The installation does not allow it, or the configuration of the pod does not include it.
    pub(super) fn authorize(&self, specs: &Specs<'_>) -> Result<(), ApiError> {
        let refuse = |message: &str| Err(ApiError::new(Code::RequestNotAllowed, message));
        if !self.is_allowed {
            return refuse(
                "the installation does not allow progress: install the chart with progress.enabled=true",
            );
        }
        if specs.pipes.is_empty() {
            return refuse("the pod reports no progress: it has no sidecar");
        }
        let config: SidecarConfig<'_> = authorize::parse(&specs.pipes, names::CONTAINER_PIPE)?;
        if config.progress.is_empty() {
            return refuse("the pod reports no progress: set progress.enabled of its BootProfile to true");
        }
        Ok(())
    }

    /// Writes the progress of a pod. Returns what was done.
    ///
    /// # Errors
    /// The API server refuses or does not answer the request.
    pub(super) async fn write(
        &self,
        client: Client,
        id: &PodIdentity,
        line: &str,
    ) -> Result<&'static str, ApiError> {
        let Some(line) = progress::clean(line) else { return Ok("ignored: the line is empty") };
        if !may_change(&mut self.changes.lock(), &id.uid, Instant::now()) {
            return Ok("ignored: too soon after the last change");
        }
        let pods: Api<Pod> = Api::namespaced(client, &id.namespace);
        // With the UID, a new pod with the same name is not changed.
        let change = json!({"metadata": {"uid": id.uid, "annotations": {names::ANNOTATION_PROGRESS: line}}});
        let patched = pods.patch_status(&id.name, &PatchParams::default(), &Patch::Merge(&change)).await;
        patched.map_err(|error| {
            let problem = format!("failed to write the progress of pod {}/{}", id.namespace, id.name);
            ApiError::from_api(&problem, &error)
        })?;
        Ok("written")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn changes_of_a_pod_have_a_pace_and_memory_is_bounded() {
        let (mut changes, now) = (Changes::default(), Instant::now());
        let mut at =
            |pod: &str, second: u64| may_change(&mut changes, pod, now + Duration::from_secs(second));
        // Three at once, and then one every four seconds.
        let seconds: Vec<_> = (0..20).filter(|second| at("a", *second)).collect();
        assert_eq!(seconds, [0, 1, 2, 4, 8, 12, 16]);
        // The pace of the sidecar, with a last line.
        assert!([0, 5, 10, 15, 20, 21].into_iter().all(|second| at("b", second)));
        for pod in 0..2 * MAX_PODS {
            assert!(may_change(&mut changes, &pod.to_string(), now));
        }
        assert_eq!(changes.len(), MAX_PODS);
    }
}
