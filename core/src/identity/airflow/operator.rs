//! Pods that the `KubernetesPodOperator` of Airflow creates: they only have labels, and label values lose
//! characters, so the run `scheduled__2024-01-01T00:00:00+00:00` becomes
//! `scheduled__2024-01-01T0000000000-654f198ec`.

use super::run_id;
use crate::identity::{Identity, LabelMatcher, Scheduler};
use crate::pod::Pod;

/// The operator of Airflow that runs a task as a pod.
pub(in crate::identity) struct KubernetesPodOperator;

const MARK: LabelMatcher = LabelMatcher { label: "kubernetes_pod_operator", value: Some("True") };

impl Scheduler for KubernetesPodOperator {
    fn name(&self) -> &'static str {
        "airflow"
    }

    fn title(&self) -> &'static str {
        "Airflow's KubernetesPodOperator"
    }

    fn recognises(&self, pod: &Pod<'_>) -> bool {
        MARK.is_on(pod)
    }

    fn opt_in_label(&self) -> Option<LabelMatcher> {
        Some(MARK)
    }

    fn main_container(&self, _pod: &Pod<'_>) -> Option<&'static str> {
        // `base_container_name` can rename it; it is then the only container, or named by an annotation.
        Some("base")
    }

    fn identity(&self, pod: &Pod<'_>) -> Identity {
        let label = |key| pod.labels.get(key).map(str::to_owned);
        Identity {
            scheduler: Some(self.name().to_owned()),
            workflow: label("dag_id"),
            run: label("run_id"),
            task: label("task_id"),
            attempt: label("try_number"),
            map_index: label("map_index"),
            scheduled_time: pod.labels.get("run_id").and_then(run_id::scheduled_time_in_label),
        }
    }
}
