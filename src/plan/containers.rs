//! Which of a pod's containers run the task.

use super::PlanError;
use crate::identity;
use crate::names;
use crate::pod::{Container, Pod};

/// Containers of a pod at most, its init containers included. Planning compares them with each other, and each task
/// container adds to the answer. Kubernetes sets no limit; a node runs 110 pods by default.
const MAX_CONTAINERS: usize = 256;

/// The containers that run the task, in the pod's order: those that our annotation names, else the one that
/// Kubernetes' own annotation names, else the scheduler's main container, else the first.
pub(super) fn tasks<'p, 'a>(pod: &'p Pod<'a>) -> Result<Vec<&'p Container<'a>>, PlanError> {
    let count = pod.all_containers().count();
    if count > MAX_CONTAINERS {
        return Err(PlanError::TooManyContainers { count, limit: MAX_CONTAINERS });
    }
    if let Some(list) = pod.annotations.get(names::ANNOTATION_CONTAINERS) {
        return named(pod, list);
    }
    let by_name = |name: &str| pod.containers.iter().find(|container| container.name == name);
    let main = pod
        .annotations
        .get(names::ANNOTATION_DEFAULT_CONTAINER)
        .and_then(by_name)
        .or_else(|| identity::recognise(pod)?.main_container(pod).and_then(by_name))
        .or_else(|| pod.containers.first());
    main.map(|container| vec![container]).ok_or(PlanError::NoContainers)
}

fn named<'p, 'a>(pod: &'p Pod<'a>, list: &str) -> Result<Vec<&'p Container<'a>>, PlanError> {
    let names: Vec<_> = list.split(',').map(str::trim).filter(|name| !name.is_empty()).collect();
    if names.is_empty() {
        return Err(PlanError::NoContainerNamed);
    }
    let unknown = names.iter().find(|name| !pod.containers.iter().any(|container| container.name == **name));
    if let Some(name) = unknown {
        return Err(PlanError::UnknownContainer {
            name: (*name).to_owned(),
            known: pod.containers.iter().map(|container| container.name.to_owned()).collect(),
        });
    }
    Ok(pod.containers.iter().filter(|container| names.contains(&container.name)).collect())
}
