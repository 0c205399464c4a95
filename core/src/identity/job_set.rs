//! Pods of a `JobSet`, which have its labels in addition to those of the Job.
//!
//! <https://github.com/kubernetes-sigs/jobset/blob/v0.11.0/pkg/controllers/jobset_controller.go>
//! (`labelAndAnnotateObject`)

use super::{Identity, LabelMatcher, Scheduler, job};
use crate::pod::Pod;

/// The `JobSet` controller.
pub(super) struct JobSet;

const MARK: LabelMatcher = LabelMatcher { label: "jobset.sigs.k8s.io/jobset-name", value: None };

impl Scheduler for JobSet {
    fn name(&self) -> &'static str {
        "jobset"
    }

    fn title(&self) -> &'static str {
        "a JobSet"
    }

    fn recognises(&self, pod: &Pod<'_>) -> bool {
        MARK.is_on(pod)
    }

    fn opt_in_label(&self) -> Option<LabelMatcher> {
        Some(MARK)
    }

    fn main_container(&self, _pod: &Pod<'_>) -> Option<&'static str> {
        None
    }

    fn identity(&self, pod: &Pod<'_>) -> Identity {
        let label = |key| pod.labels.get(key).map(str::to_owned);
        let index = label("jobset.sigs.k8s.io/job-index");
        Identity {
            scheduler: Some(self.name().to_owned()),
            workflow: label(MARK.label),
            run: label("jobset.sigs.k8s.io/jobset-uid"),
            task: label("jobset.sigs.k8s.io/replicatedjob-name"),
            attempt: label("jobset.sigs.k8s.io/restart-attempt"),
            // The index of the replicated Job and, if that Job is indexed, the index of the pod.
            map_index: match (index, job::completion_index(pod)) {
                (Some(index), Some(pod)) => Some(format!("{index}-{pod}")),
                (index, _) => index,
            },
            ..Identity::default()
        }
    }
}
