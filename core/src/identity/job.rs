//! Pods of a Kubernetes `Job`.
//!
//! The Job controller sets their labels:
//! <https://kubernetes.io/docs/reference/labels-annotations-taints/#batch-kubernetes-io-job-name>.

use super::{Identity, LabelMatcher, Scheduler};
use crate::pod::Pod;

/// The Job controller.
pub(super) struct Job;

/// The name of the Job that created the pod.
pub(super) fn name<'a>(pod: &Pod<'a>) -> Option<&'a str> {
    pod.labels.get("batch.kubernetes.io/job-name")
}

/// The index of the pod in an indexed Job.
pub(super) fn completion_index(pod: &Pod<'_>) -> Option<String> {
    pod.labels.get("batch.kubernetes.io/job-completion-index").map(str::to_owned)
}

impl Scheduler for Job {
    fn name(&self) -> &'static str {
        "job"
    }

    fn title(&self) -> &'static str {
        "a Kubernetes Job"
    }

    fn recognises(&self, pod: &Pod<'_>) -> bool {
        name(pod).is_some()
    }

    fn opt_in_label(&self) -> Option<LabelMatcher> {
        // Helm hooks, backups and maintenance of operators are Jobs too, so a Job is only a task with the
        // label.
        None
    }

    fn main_container(&self, _pod: &Pod<'_>) -> Option<&'static str> {
        None
    }

    fn identity(&self, pod: &Pod<'_>) -> Identity {
        Identity {
            scheduler: Some(self.name().to_owned()),
            workflow: name(pod).map(str::to_owned),
            run: pod.labels.get("batch.kubernetes.io/controller-uid").map(str::to_owned),
            map_index: completion_index(pod),
            ..Identity::default()
        }
    }
}
