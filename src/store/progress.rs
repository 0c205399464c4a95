//! The progress of a task as an annotation of its pod.
//!
//! The store writes it through the subresource `status`, which reaches annotations, labels and the status of
//! a pod, but not its spec (`podStatusStrategy` in kubernetes/kubernetes, pkg/registry/core/pod/strategy.go).

use std::collections::{HashMap, VecDeque};
use std::time::Duration;

use k8s_openapi::api::core::v1::Pod;
use kube::api::{Patch, PatchParams};
use kube::{Api, Client};
use parking_lot::Mutex;
use serde_json::json;
use tokio::time::Instant;

use super::api_error::ApiError;
use super::authorize;
use super::caller::PodIdentity;
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
    changed: Mutex<Changed>,
}

/// The changes that pods have left.
#[derive(Debug, Default)]
struct Changed {
    by_pod: HashMap<String, Budget>,
    /// The pods, oldest first.
    order: VecDeque<String>,
}

/// The changes that a pod has left.
#[derive(Debug)]
struct Budget {
    left: u32,
    /// When it got the last one.
    since: Instant,
}

impl Budget {
    /// Uses a change, if there is one.
    fn take(&mut self, now: Instant) -> bool {
        let earned = now.duration_since(self.since).as_secs() / INTERVAL.as_secs();
        let earned = u32::try_from(earned).unwrap_or(u32::MAX);
        self.left = self.left.saturating_add(earned).min(BURST);
        if earned > 0 {
            self.since = now;
        }
        let may = self.left > 0;
        self.left = self.left.saturating_sub(1);
        may
    }
}

impl Changed {
    /// Whether the pod may be changed now. If so, it counts as changed.
    fn may_change(&mut self, uid: &str, now: Instant) -> bool {
        if let Some(budget) = self.by_pod.get_mut(uid) {
            return budget.take(now);
        }
        if self.order.len() >= MAX_PODS
            && let Some(oldest) = self.order.pop_front()
        {
            self.by_pod.remove(&oldest);
        }
        self.order.push_back(uid.to_owned());
        self.by_pod.insert(uid.to_owned(), Budget { left: BURST - 1, since: now });
        true
    }
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
        if !self.changed.lock().may_change(&id.uid, Instant::now()) {
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
        let (mut changed, now) = (Changed::default(), Instant::now());
        let mut at = |pod: &str, second: u64| changed.may_change(pod, now + Duration::from_secs(second));
        // Three at once, and then one every four seconds.
        let seconds: Vec<_> = (0..20).filter(|second| at("a", *second)).collect();
        assert_eq!(seconds, [0, 1, 2, 4, 8, 12, 16]);
        // The pace of the sidecar, with a last line.
        assert!([0, 5, 10, 15, 20, 21].into_iter().all(|second| at("b", second)));
        for pod in 0..2 * MAX_PODS {
            assert!(changed.may_change(&pod.to_string(), now));
        }
        assert!(changed.order.len() == MAX_PODS && changed.by_pod.len() == MAX_PODS);
    }
}
