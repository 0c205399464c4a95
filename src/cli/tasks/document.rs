//! Tasks as documents for programs. Fields may be added, and keep their meaning (docs/tasks.md).

use std::collections::BTreeMap;

use k8s_openapi::jiff::Timestamp;
use serde::Serialize;

use super::task::Task;

/// A list of tasks.
#[derive(Debug, Serialize)]
pub(super) struct TaskList {
    tasks: Vec<TaskDocument>,
}

/// A task. A field without a value is `null`, so that every task has the same fields.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct TaskDocument {
    namespace: String,
    pod: String,
    uid: String,
    scheduler: Option<String>,
    workflow: Option<String>,
    run: Option<String>,
    task: Option<String>,
    map_index: Option<String>,
    attempt: Option<String>,
    scheduled_time: Option<String>,
    /// One of a fixed set of words.
    state: &'static str,
    /// For people.
    reason: Option<String>,
    boot_seconds: Option<i64>,
    created: Option<String>,
    started: Option<String>,
    ended: Option<String>,
    node: Option<String>,
    profile: Option<String>,
    progress: Option<String>,
    links: BTreeMap<String, String>,
}

impl TaskList {
    pub(super) fn new(tasks: &[Task], now: Timestamp) -> Self {
        Self { tasks: tasks.iter().map(|task| TaskDocument::new(task, now)).collect() }
    }
}

impl TaskDocument {
    pub(super) fn new(task: &Task, now: Timestamp) -> Self {
        let Task { identity, state, .. } = task.clone();
        let time = |time: Option<Timestamp>| time.map(|time| time.to_string());
        Self {
            namespace: task.namespace.clone(),
            pod: task.pod.clone(),
            uid: task.uid.clone(),
            scheduler: identity.scheduler,
            workflow: identity.workflow,
            run: identity.run,
            task: identity.task,
            map_index: identity.map_index,
            attempt: identity.attempt,
            scheduled_time: identity.scheduled_time,
            state: state.phase.as_str(),
            reason: state.reason,
            boot_seconds: task.boot.filter(|boot| boot.end.is_some()).map(|boot| boot.seconds(now)),
            created: time(task.created),
            started: time(task.run.map(|run| run.begin)),
            ended: time(task.run.and_then(|run| run.end)),
            node: task.node.clone(),
            profile: Some(task.profile.clone()).filter(|profile| !profile.is_empty()),
            progress: task.progress.clone(),
            links: task.links.clone(),
        }
    }
}
