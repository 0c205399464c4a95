//! Pods of a Kubernetes `Job`.
//!
//! The Job controller labels them: <https://kubernetes.io/docs/reference/labels-annotations-taints/#batch-kubernetes-io-job-name>.

use super::{Identity, Mark, Scheduler};
use crate::pod::Pod;

/// The Job controller.
pub(super) struct Job;

impl Scheduler for Job {
    fn name(&self) -> &'static str {
        "job"
    }

    fn title(&self) -> &'static str {
        "a Kubernetes Job"
    }

    fn recognises(&self, pod: &Pod<'_>) -> bool {
        pod.labels.get("batch.kubernetes.io/job-name").is_some()
    }

    fn mark(&self) -> Option<Mark> {
        // Helm hooks, backups and operators' chores are Jobs too: a Job is a task only where its label says so.
        None
    }

    fn main_container(&self, _pod: &Pod<'_>) -> Option<&'static str> {
        None
    }

    fn identity(&self, pod: &Pod<'_>) -> Identity {
        let label = |key| pod.labels.get(key).map(str::to_owned);
        Identity {
            scheduler: Some(self.name().to_owned()),
            workflow: label("batch.kubernetes.io/job-name"),
            run: label("batch.kubernetes.io/controller-uid"),
            map_index: label("batch.kubernetes.io/job-completion-index"),
            ..Identity::default()
        }
    }
}
