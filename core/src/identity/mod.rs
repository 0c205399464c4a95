//! Identity of a task: the scheduler that created the pod, and its workflow, run, task and attempt.
//!
//! The rules for the pods of each scheduler are in one table, `charts/bootlace/files/schedulers.yaml`, and in
//! the entries that an installation adds.
//!
//! | module | content |
//! |---|---|
//! | [`spec`] | the format of an entry |
//! | `table` | the table: finds the entry of a pod |
//! | `scheduler` | an entry: which containers run the task, and the identity of the task |
//! | `compiled` | its conditions and rules, with compiled patterns |
//! | `convert` | conversions that no rule can express |
//! | `run_annotation` | runs that pods name in an annotation |

mod compiled;
mod convert;
mod error;
mod run_annotation;
mod scheduler;
pub mod spec;
mod table;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

pub(crate) use convert::airflow_safe_time;
pub use error::InvalidSchedulers;
pub use scheduler::Scheduler;
pub use table::Schedulers;
pub(crate) use table::identify;

/// Identity of a task, as far as its pod contains it. Values are as the scheduler wrote them: label values
/// may have lost characters that are not allowed in labels.
#[derive(JsonSchema, Deserialize, Serialize, Clone, Debug, Default, PartialEq, Eq)]
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
