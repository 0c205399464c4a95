//! Identity of a task: the scheduler that created the pod, and its workflow, run, task and attempt.
//!
//! Each scheduler has a file here. To add one, write its file and add it to [`SCHEDULERS`]. The file contains
//! how to detect its pods, the main container, the identity and the match condition of the API server.

mod airflow;
mod cron_job;
mod job;
mod job_set;
mod run_annotation;
mod time;

use serde::{Deserialize, Serialize};

use crate::pod::Pod;

/// All supported schedulers. A pod belongs to the first one that recognises it, so more specific ones come
/// first.
pub const SCHEDULERS: &[&dyn Scheduler] = &[
    &airflow::KubernetesPodOperator,
    &airflow::KubernetesExecutor,
    &job_set::JobSet,
    &cron_job::CronJob,
    &job::Job,
];

/// What Bootlace knows about the pods of a scheduler.
pub trait Scheduler: Sync {
    /// Short name in messages, metrics and `task.json`.
    fn name(&self) -> &'static str;

    /// Name of the creator of the pods in messages: `Airflow's KubernetesPodOperator`.
    fn title(&self) -> &'static str;

    /// Whether this scheduler created the pod, according to the labels and annotations that it sets on all of
    /// its pods.
    fn recognises(&self, pod: &Pod<'_>) -> bool;

    /// The label by which the API server selects the pods of this scheduler, so that it sends them to the
    /// webhook from namespaces that have opted in. `None` if pods of this scheduler need the task label. The
    /// list of schedulers in the chart contains the same label; a test compares the two.
    fn opt_in_label(&self) -> Option<LabelMatcher>;

    /// The name of the container that runs the task, if the scheduler has a fixed one.
    fn main_container(&self, pod: &Pod<'_>) -> Option<&'static str>;

    /// The identity of the task.
    fn identity(&self, pod: &Pod<'_>) -> Identity;
}

/// A label that a scheduler sets on all of its pods.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LabelMatcher {
    /// The label.
    pub label: &'static str,
    /// The value; `None` matches any value.
    pub value: Option<&'static str>,
}

impl LabelMatcher {
    fn is_on(self, pod: &Pod<'_>) -> bool {
        pod.labels.get(self.label).is_some_and(|value| self.value.is_none_or(|expected| value == expected))
    }
}

/// Identity of a task, as far as its pod contains it. Values are as the scheduler wrote them: label values
/// may have lost characters that are not allowed in labels.
#[derive(Deserialize, Serialize, Clone, Debug, Default, PartialEq, Eq)]
#[serde(rename_all = "camelCase", default)]
pub struct Identity {
    /// Short name of the scheduler.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub scheduler: Option<String>,
    /// Workflow: a DAG, workflow template or pipeline.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub workflow: Option<String>,
    /// Run of the workflow.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub run: Option<String>,
    /// Task of the workflow.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub task: Option<String>,
    /// Attempt of the task, as the scheduler counts.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub attempt: Option<String>,
    /// Index in a mapped or indexed task.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub map_index: Option<String>,
    /// Time for which the run is scheduled (RFC 3339, in UTC), if it was created by a schedule and the pod
    /// contains the time.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub scheduled_time: Option<String>,
}

impl Identity {
    /// Whether the run comes from an annotation, so that pods of different creators can share it.
    #[must_use]
    pub fn is_joined(&self) -> bool {
        self.scheduler.as_deref() == Some(run_annotation::NAME)
    }

    /// Describes the task: `task load of etl, run manual__2026, attempt 1`.
    #[must_use]
    pub fn describe(&self) -> String {
        let task = self.task.as_deref().map(|task| format!("task {task}"));
        let parts = [
            match (task, self.workflow.as_deref()) {
                (Some(task), Some(workflow)) => Some(format!("{task} of {workflow}")),
                (task, workflow) => task.or_else(|| workflow.map(str::to_owned)),
            },
            self.run.as_deref().map(|run| format!("run {run}")),
            self.map_index.as_deref().map(|index| format!("map index {index}")),
            self.attempt.as_deref().map(|attempt| format!("attempt {attempt}")),
            self.scheduled_time.as_deref().map(|time| format!("scheduled for {time}")),
        ];
        parts.into_iter().flatten().collect::<Vec<_>>().join(", ")
    }
}

/// The scheduler that created the pod, if it is supported.
#[must_use]
pub fn detect(pod: &Pod<'_>) -> Option<&'static dyn Scheduler> {
    SCHEDULERS.iter().copied().find(|scheduler| scheduler.recognises(pod))
}

/// The identity of the task: from an annotation if it names the run, else from the scheduler; empty if it is
/// unknown.
#[must_use]
pub fn identify(pod: &Pod<'_>) -> Identity {
    run_annotation::identity(pod, detect(pod).map(|scheduler| scheduler.identity(pod)).unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use serde::Deserialize;

    use super::*;

    #[derive(Deserialize)]
    #[serde(deny_unknown_fields)]
    struct SchedulerEntry {
        name: String,
        label: String,
        value: Option<String>,
    }

    #[test]
    fn the_chart_knows_the_same_marks() {
        let chart: Vec<SchedulerEntry> =
            serde_saphyr::from_str(include_str!("../../../charts/bootlace/files/schedulers.yaml")).unwrap();
        let chart: Vec<_> = chart
            .iter()
            .map(|entry| (entry.name.as_str(), entry.label.as_str(), entry.value.as_deref()))
            .collect();
        let ours: Vec<_> = SCHEDULERS
            .iter()
            .filter_map(|scheduler| {
                scheduler.opt_in_label().map(|mark| (scheduler.name(), mark.label, mark.value))
            })
            .collect();
        assert_eq!(
            chart, ours,
            "make charts/bootlace/files/schedulers.yaml and core/src/identity say the same"
        );
    }
}
