//! Who a task is: which scheduler made the pod, and which workflow, run, task and attempt it belongs to.
//!
//! Each scheduler has a file of its own here. To add one, write its file and name it in [`SCHEDULERS`]: the
//! recognition, the main container's rule, the identity and the API server's match condition all live in it.

mod airflow;
mod job;

use serde::{Deserialize, Serialize};

use crate::pod::Pod;

/// Every scheduler that Bootlace knows. A pod belongs to the first that recognises it, so the more specific
/// ones stand first.
pub const SCHEDULERS: &[&dyn Scheduler] = &[&airflow::KubernetesPodOperator, &job::Job];

/// What Bootlace knows of a scheduler: how its pods look.
pub trait Scheduler: Sync {
    /// Short name in messages, metrics and `task.json`.
    fn name(&self) -> &'static str;

    /// How a person calls what made the pod: `Airflow's KubernetesPodOperator`.
    fn title(&self) -> &'static str;

    /// Whether this scheduler made the pod, by the marks that it puts on every pod of its own.
    fn recognises(&self, pod: &Pod<'_>) -> bool;

    /// The same recognition as a CEL expression over `object`, for the webhook configuration's match
    /// conditions: pods of schedulers that have one are injected in namespaces that opted in. `None` where a
    /// pod of this scheduler must carry the task label itself.
    fn match_condition(&self) -> Option<&'static str>;

    /// The name of the container that runs the task, where the scheduler has a rule.
    fn main_container(&self, pod: &Pod<'_>) -> Option<&'static str>;

    /// Who the task is.
    fn identity(&self, pod: &Pod<'_>) -> Identity;
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
}

impl Identity {
    /// Who made the pod and which task it is, in words: `task load of etl, run manual__2026, attempt 1`.
    #[must_use]
    pub fn describe(&self) -> String {
        let task = self.task.as_deref().map(|task| format!("task {task}"));
        let parts = [
            self.workflow.as_deref().map(|workflow| match task {
                Some(ref task) => format!("{task} of {workflow}"),
                None => workflow.to_owned(),
            }),
            self.run.as_deref().map(|run| format!("run {run}")),
            self.map_index.as_deref().map(|index| format!("map index {index}")),
            self.attempt.as_deref().map(|attempt| format!("attempt {attempt}")),
        ];
        parts.into_iter().flatten().collect::<Vec<_>>().join(", ")
    }
}

/// The scheduler that made the pod, where Bootlace knows it.
#[must_use]
pub fn recognise(pod: &Pod<'_>) -> Option<&'static dyn Scheduler> {
    SCHEDULERS.iter().copied().find(|scheduler| scheduler.recognises(pod))
}

/// Who the task is; empty where nobody that Bootlace knows made the pod.
#[must_use]
pub fn identify(pod: &Pod<'_>) -> Identity {
    recognise(pod).map(|scheduler| scheduler.identity(pod)).unwrap_or_default()
}
