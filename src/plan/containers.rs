//! Which of a pod's containers run the task.

use super::PlanError;
use crate::identity;
use crate::names;
use crate::pod::{Container, Pod};
use crate::profile::Profile;
use crate::profile::spec::Position;

/// The containers that run the task, in the pod's order: those that our annotation names, else the one that
/// Kubernetes' own annotation names, else the scheduler's main container, else the first. Init containers stand at the end:
/// they are tasks only where the annotation names them, and boot comes before them.
pub(super) fn tasks<'p, 'a>(
    pod: &'p Pod<'a>,
    profile: &Profile,
) -> Result<Vec<&'p Container<'a>>, PlanError> {
    if let Some(list) = pod.annotations.get(names::ANNOTATION_CONTAINERS) {
        return named(pod, list, profile);
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

fn named<'p, 'a>(
    pod: &'p Pod<'a>,
    list: &str,
    profile: &Profile,
) -> Result<Vec<&'p Container<'a>>, PlanError> {
    let names: Vec<_> = list.split(',').map(str::trim).filter(|name| !name.is_empty()).collect();
    if names.is_empty() {
        return Err(PlanError::NoContainerNamed);
    }
    let first = profile.spec.boot.position == Position::First;
    let known = |init: bool| {
        let init_containers = pod.init_containers.iter().filter(|_| init);
        pod.containers.iter().chain(init_containers).map(|container| container.name.to_owned()).collect()
    };
    for name in &names {
        if pod.containers.iter().any(|container| container.name == *name) {
            continue;
        }
        let name = (*name).to_owned();
        if !pod.init_containers.iter().any(|container| container.name == name) {
            return Err(PlanError::UnknownContainer { name, known: known(first) });
        }
        if !first {
            let (profile, known) = (profile.name.clone(), known(false));
            return Err(PlanError::InitContainer { name, profile, known });
        }
    }
    let all = pod.containers.iter().chain(&pod.init_containers);
    Ok(all.filter(|container| names.contains(&container.name)).collect())
}
