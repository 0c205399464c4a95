//! Who a task is: which scheduler made the pod, and which workflow, run, task and attempt it belongs to.
//!
//! Each scheduler has a file of its own here. To add one, write its file and name it in [`SCHEDULERS`]: the
//! recognition, the main container's rule, the identity and the API server's match condition all live in it.

mod airflow;
mod cron_job;
mod job;
mod job_set;
mod run_annotation;
mod time;

use serde::{Deserialize, Serialize};

use crate::pod::Pod;

/// Every scheduler that Bootlace knows. A pod belongs to the first that recognises it, so the more specific
/// ones stand first.
pub const SCHEDULERS: &[&dyn Scheduler] = &[
    &airflow::KubernetesPodOperator,
    &airflow::KubernetesExecutor,
    &job_set::JobSet,
    &cron_job::CronJob,
    &job::Job,
];

/// What Bootlace knows of a scheduler: how its pods look.
pub trait Scheduler: Sync {
    /// Short name in messages, metrics and `task.json`.
    fn name(&self) -> &'static str;

    /// How a person calls what made the pod: `Airflow's KubernetesPodOperator`.
    fn title(&self) -> &'static str;

    /// Whether this scheduler made the pod, by the marks that it puts on every pod of its own.
    fn recognises(&self, pod: &Pod<'_>) -> bool;

    /// The label by which the API server knows this scheduler's pods, so that it sends them to the webhook
    /// from namespaces that opted in. `None` where a pod of this scheduler must carry the task label itself.
    /// The chart's list of schedulers says the same; a test compares the two.
    fn opt_in_label(&self) -> Option<LabelMatcher>;

    /// The name of the container that runs the task, where the scheduler has a rule.
    fn main_container(&self, pod: &Pod<'_>) -> Option<&'static str>;

    /// Who the task is.
    fn identity(&self, pod: &Pod<'_>) -> Identity;
}

/// A label that a scheduler puts on every pod of its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LabelMatcher {
    /// The label.
    pub label: &'static str,
    /// Its value; any where there is none.
    pub value: Option<&'static str>,
}

impl LabelMatcher {
    fn is_on(self, pod: &Pod<'_>) -> bool {
        pod.labels.get(self.label).is_some_and(|value| self.value.is_none_or(|expected| value == expected))
    }
}

/// Who a task is, as far as its pod says. Values stand as the scheduler wrote them: labels are lossy where
/// the scheduler made them safe.
#[derive(Deserialize, Serialize, Clone, Debug, Default, PartialEq, Eq)]
#[serde(rename_all = "camelCase", default)]
pub struct Identity {
    /// The scheduler's short name.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub scheduler: Option<String>,
    /// DAG, workflow template, pipeline.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub workflow: Option<String>,
    /// One execution of the workflow.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub run: Option<String>,
    /// The step of the workflow.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub task: Option<String>,
    /// Which try of the task this is, as the scheduler counts.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub attempt: Option<String>,
    /// Which element of a mapped or indexed task this is.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub map_index: Option<String>,
    /// What time the run was scheduled for, where a schedule made it and its pod tells: RFC 3339, in UTC.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub scheduled_time: Option<String>,
}

impl Identity {
    /// Whether the pod names its run itself, and so shares it with pods of other makers.
    #[must_use]
    pub fn is_joined(&self) -> bool {
        self.scheduler.as_deref() == Some(run_annotation::NAME)
    }

    /// Who made the pod and which task it is, in words: `task load of etl, run manual__2026, attempt 1`.
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

/// The scheduler that made the pod, where Bootlace knows it.
#[must_use]
pub fn detect(pod: &Pod<'_>) -> Option<&'static dyn Scheduler> {
    SCHEDULERS.iter().copied().find(|scheduler| scheduler.recognises(pod))
}

/// Who the task is: as its maker says, unless the pod names its run itself; empty where nobody tells.
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
