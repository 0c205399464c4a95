//! The state of a task.
//!
//! The kubelet reports what happens before the first container runs in Events alone: images that are pulled,
//! volumes that cannot be mounted.

use k8s_openapi::jiff::Timestamp;

use super::text::clean;

/// What a task does. Ordered like the life of a pod.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub(super) enum Phase {
    /// It waits for a node.
    Scheduling,
    /// It waits for an output of an earlier task.
    Waiting,
    /// It boots.
    Booting,
    /// Its containers start.
    Starting,
    /// It runs.
    Running,
    /// It has ended, and its outputs are being stored.
    Storing,
    /// It has succeeded.
    Succeeded,
    /// It has failed.
    Failed,
    /// Its pod is being deleted.
    Deleting,
    /// Its pod does not exist any more. Only shown with --watch.
    Deleted,
}

impl Phase {
    /// The phase for programs.
    pub(super) fn as_str(self) -> &'static str {
        match self {
            Self::Scheduling => "scheduling",
            Self::Waiting => "waiting",
            Self::Booting => "booting",
            Self::Starting => "starting",
            Self::Running => "running",
            Self::Storing => "storing",
            Self::Succeeded => "succeeded",
            Self::Failed => "failed",
            Self::Deleting => "deleting",
            Self::Deleted => "deleted",
        }
    }

    /// The phase as text for people.
    fn words(self) -> &'static str {
        match self {
            Self::Scheduling => "waits for a node",
            Self::Waiting => "waits for an input",
            Self::Booting => "boots",
            Self::Starting => "starts",
            Self::Running => "runs",
            Self::Storing => "stores its outputs",
            Self::Succeeded => "succeeded",
            Self::Failed => "failed",
            Self::Deleting => "is being deleted",
            Self::Deleted => "was deleted",
        }
    }
}

/// The state of a task.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct State {
    pub(super) phase: Phase,
    /// Details: why it waits, or why it failed.
    pub(super) reason: Option<String>,
    /// Whether an Event of the pod may contain the details.
    pub(super) needs_events: bool,
}

/// An Event of a pod.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct PodEvent {
    pub(super) last: Timestamp,
    pub(super) is_warning: bool,
    pub(super) reason: String,
    pub(super) message: String,
}

impl State {
    pub(super) fn new(phase: Phase, reason: Option<String>) -> Self {
        let reason = reason.map(|reason| clean(&reason)).filter(|reason| !reason.is_empty());
        Self { phase, reason, needs_events: false }
    }

    /// A state whose details an Event may contain.
    pub(super) fn needing_events(phase: Phase) -> Self {
        Self { phase, reason: None, needs_events: true }
    }

    /// The same state with the details of the newest of its Events.
    pub(super) fn explained_by<'e>(self, events: impl IntoIterator<Item = &'e PodEvent>) -> Self {
        if !self.needs_events {
            return self;
        }
        // The reason of an older Event does not apply any more.
        let newest = events.into_iter().max_by_key(|event| event.last);
        let reason = newest.and_then(|event| match (event.is_warning, event.reason.as_str()) {
            (true, reason) => Some(format!("{reason}: {}", event.message)),
            (false, "Pulling") => Some(event.message.clone()),
            (false, _) => None,
        });
        Self { needs_events: true, ..Self::new(self.phase, reason) }
    }

    /// The state as text for people.
    pub(super) fn describe(&self) -> String {
        match &self.reason {
            Some(reason) => format!("{}: {reason}", self.phase.words()),
            None => self.phase.words().to_owned(),
        }
    }
}
