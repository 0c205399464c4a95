//! What is determined of a task before anything changes its pod: its scheduler, and the task containers.

use std::sync::Arc;

use super::{PlanError, PreparedProfile, containers, reserved_names};
use crate::identity::Scheduler;
use crate::pod::{Container, List, Pod};

/// The scheduler and the task containers of a pod, as its author wrote it. Overlays and inputs only add
/// containers at the end of a list, so that the places stay valid.
#[derive(Debug, Clone)]
pub struct SelectedTask<'r> {
    /// The scheduler that created the pod.
    pub scheduler: Option<&'r Arc<Scheduler>>,
    /// The lists and indexes of the task containers.
    pub containers: Vec<(List, usize)>,
}

impl<'r> SelectedTask<'r> {
    /// Determines the task of the original pod.
    ///
    /// # Errors
    /// If the pod has no containers, names a container that does not exist, or mounts a volume of Bootlace.
    pub fn new(pod: &Pod<'_>, prepared: &'r PreparedProfile) -> Result<Self, PlanError> {
        reserved_names::check_volumes_are_not_mounted(pod)?;
        let scheduler = prepared.schedulers.detect(pod);
        let tasks = containers::tasks(pod, &prepared.profile, scheduler)?;
        Ok(Self { scheduler, containers: tasks.iter().map(|task| (task.list, task.index)).collect() })
    }

    /// The task containers in a view of the pod.
    #[must_use]
    pub fn containers_in<'p, 'a>(&self, pod: &'p Pod<'a>) -> Vec<&'p Container<'a>> {
        self.containers.iter().filter_map(|(list, index)| pod.container(*list, *index)).collect()
    }
}

/// Repeats the checks of the original pod after overlays have changed it.
///
/// # Errors
/// If the pod has too many containers, or mounts a volume of Bootlace.
pub fn check_changed(pod: &Pod<'_>) -> Result<(), PlanError> {
    reserved_names::check_volumes_are_not_mounted(pod)?;
    containers::check_count(pod)
}
