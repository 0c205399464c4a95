//! Which tasks are listed.

use super::state::Phase;
use super::task::Task;

/// Conditions on tasks, all of which must be true.
#[derive(Debug, Default, clap::Args)]
pub(super) struct Filter {
    /// Only tasks of this workflow.
    #[arg(long, value_name = "WORKFLOW")]
    workflow: Option<String>,
    /// Only tasks of this run.
    #[arg(long, value_name = "RUN")]
    run: Option<String>,
    /// Only tasks in these states, separated by commas.
    #[arg(long, value_enum, value_name = "STATES", value_delimiter = ',')]
    state: Vec<Phase>,
    /// Only tasks of this scheduler, such as airflow.
    #[arg(long, value_name = "SCHEDULER")]
    scheduler: Option<String>,
}

impl Filter {
    /// Whether the task is listed, whatever its state is.
    pub(super) fn selects(&self, task: &Task) -> bool {
        let is = |wanted: &Option<String>, found: &Option<String>| wanted.is_none() || wanted == found;
        is(&self.workflow, &task.identity.workflow)
            && is(&self.run, &task.identity.run)
            && is(&self.scheduler, &task.identity.scheduler)
    }

    /// Whether a task in this state is listed.
    pub(super) fn shows(&self, phase: Phase) -> bool {
        self.state.is_empty() || self.state.contains(&phase)
    }
}
