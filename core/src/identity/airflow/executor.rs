//! Pods that the Kubernetes executor of Airflow creates: label values lose characters as those of the
//! operator do, but annotations with the same names contain the original values.

use super::run_id;
use crate::identity::{Identity, LabelMatcher, Scheduler, time};
use crate::pod::Pod;

/// The executor of Airflow that runs each task of a DAG in a pod with Airflow itself.
pub(in crate::identity) struct KubernetesExecutor;

/// Always set together with `airflow-worker`, whose value is a number that only has a meaning for the
/// scheduler.
const MARK: LabelMatcher = LabelMatcher { label: "kubernetes_executor", value: Some("True") };

impl Scheduler for KubernetesExecutor {
    fn name(&self) -> &'static str {
        "airflow"
    }

    fn title(&self) -> &'static str {
        "Airflow's Kubernetes executor"
    }

    fn recognises(&self, pod: &Pod<'_>) -> bool {
        MARK.is_on(pod)
    }

    fn opt_in_label(&self) -> Option<LabelMatcher> {
        Some(MARK)
    }

    fn main_container(&self, _pod: &Pod<'_>) -> Option<&'static str> {
        Some("base")
    }

    fn identity(&self, pod: &Pod<'_>) -> Identity {
        let annotation = |key| pod.annotations.get(key);
        let owned = |key| annotation(key).map(str::to_owned);
        // The logical date of the run, if Airflow sets one (called `execution_date` before Airflow 3).
        let date = annotation("logical_date").or_else(|| annotation("execution_date"));
        Identity {
            scheduler: Some(self.name().to_owned()),
            workflow: owned("dag_id"),
            run: owned("run_id"),
            task: owned("task_id"),
            attempt: owned("try_number"),
            map_index: owned("map_index"),
            scheduled_time: date
                .and_then(time::from_rfc3339)
                .or_else(|| annotation("run_id").and_then(run_id::scheduled_time)),
        }
    }
}
