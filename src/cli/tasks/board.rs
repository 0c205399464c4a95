//! What a watch has shown of each task, and what has changed since. A pure state machine.

use std::collections::{BTreeMap, BTreeSet};

use k8s_openapi::api::core::v1::Pod;
use kube::ResourceExt as _;
use kube::runtime::watcher::Event;

use super::filter::Filter;
use super::state::{Phase, State};
use super::task::Task;

/// The tasks that a watch knows, by the UID of their pod.
#[derive(Default)]
pub(super) struct Board {
    tasks: BTreeMap<String, Task>,
    /// The pods of a list that is being read; `None` while changes are watched.
    listed: Option<BTreeSet<String>>,
    /// Whether a list has been read completely.
    pub(super) is_complete: bool,
}

/// What follows from an event.
#[derive(Debug, PartialEq)]
pub(super) enum Outcome {
    /// Nothing yet.
    None,
    /// The first list is complete.
    Begun,
    /// These tasks may have changed.
    Changed(Vec<Task>),
}

impl Board {
    /// Applies an event of the watch. After a watch was closed or has expired, the pods are listed again: the
    /// tasks that are missing then were deleted in between.
    pub(super) fn apply(&mut self, event: Event<Pod>, filter: &Filter) -> Outcome {
        match event {
            Event::Init => {
                self.listed = Some(BTreeSet::new());
                Outcome::None
            }
            Event::InitApply(pod) => {
                if let Some(listed) = &mut self.listed {
                    listed.extend(pod.uid());
                }
                match self.put(&pod, filter) {
                    Some(task) if self.is_complete => Outcome::Changed(vec![task]),
                    _ => Outcome::None,
                }
            }
            Event::InitDone => {
                let listed = self.listed.take().unwrap_or_default();
                let missing: Vec<_> =
                    self.tasks.keys().filter(|uid| !listed.contains(*uid)).cloned().collect();
                let deleted = missing.iter().filter_map(|uid| self.remove(uid)).collect();
                if self.is_complete { Outcome::Changed(deleted) } else { self.begin() }
            }
            Event::Apply(pod) => {
                self.put(&pod, filter).map_or(Outcome::None, |task| Outcome::Changed(vec![task]))
            }
            Event::Delete(pod) => {
                let deleted = pod.uid().and_then(|uid| self.remove(&uid));
                deleted.map_or(Outcome::None, |task| Outcome::Changed(vec![task]))
            }
        }
    }

    fn begin(&mut self) -> Outcome {
        self.is_complete = true;
        Outcome::Begun
    }

    /// Adds or replaces the task of a pod, with the details that it had in the same phase.
    fn put(&mut self, pod: &Pod, filter: &Filter) -> Option<Task> {
        let mut task = Task::of_pod(pod).filter(|task| filter.selects(task))?;
        let before = self.tasks.get(&task.uid).map(|before| &before.state);
        if let Some(State { phase, reason, needs_events: true }) = before
            && task.state.needs_events
            && *phase == task.state.phase
        {
            task.state.reason.clone_from(reason);
        }
        self.tasks.insert(task.uid.clone(), task.clone());
        Some(task)
    }

    fn remove(&mut self, uid: &str) -> Option<Task> {
        let task = self.tasks.remove(uid)?;
        Some(Task { state: State::new(Phase::Deleted, None), ..task })
    }

    /// All tasks, in the order of a list.
    pub(super) fn tasks(&self) -> Vec<&Task> {
        let mut tasks: Vec<_> = self.tasks.values().collect();
        tasks.sort_by(|a, b| a.order().cmp(&b.order()));
        tasks
    }

    /// The tasks whose Events contain the details of their states.
    pub(super) fn needing_events(&self) -> Vec<Task> {
        self.tasks.values().filter(|task| task.state.needs_events).cloned().collect()
    }

    /// Replaces tasks by the same ones with details from Events, if their pods have not changed since.
    pub(super) fn explain(&mut self, explained: Vec<Task>) -> Vec<Task> {
        let mut changed = Vec::new();
        for task in explained {
            if let Some(known) = self.tasks.get_mut(&task.uid)
                && known.state.needs_events
                && known.state.phase == task.state.phase
                && known.state.reason != task.state.reason
            {
                known.state.reason.clone_from(&task.state.reason);
                changed.push(known.clone());
            }
        }
        changed
    }
}
