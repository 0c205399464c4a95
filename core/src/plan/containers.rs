//! The task containers of a pod.

use std::sync::Arc;

use super::PlanError;
use crate::identity::Scheduler;
use crate::names;
use crate::pod::{Container, Pod};
use crate::profile::Profile;
use crate::profile::spec::Position;

/// Maximum number of containers of a pod, including init containers. Planning compares them with each other,
/// and each task container makes the response larger. Kubernetes has no limit; a node runs 110 pods by
/// default.
const MAX_CONTAINERS: usize = 256;

/// The task containers, in the order of the pod: those in the annotation of Bootlace, otherwise the one in
/// the annotation `kubectl.kubernetes.io/default-container`, otherwise those of the scheduler, otherwise the
/// first one. The scheduler precedes the second annotation if it sets that annotation on all of its pods.
/// Init containers are at the end: they are tasks only if the annotation of Bootlace names them and boot runs
/// before them.
pub(super) fn tasks<'p, 'a>(
    pod: &'p Pod<'a>,
    profile: &Profile,
    scheduler: Option<&Arc<Scheduler>>,
) -> Result<Vec<&'p Container<'a>>, PlanError> {
    check_count(pod)?;
    if let Some(list) = pod.annotations.get(names::ANNOTATION_CONTAINERS) {
        return named(pod, list, profile);
    }
    if !scheduler.is_some_and(|scheduler| scheduler.overrides_default_container())
        && let Some(name) = pod.annotations.get(names::ANNOTATION_DEFAULT_CONTAINER)
        && let Some(container) = pod.containers.iter().find(|container| container.name == name)
    {
        return Ok(vec![container]);
    }
    let tasks = scheduler.map_or_else(
        || pod.containers.first().into_iter().collect(),
        |scheduler| scheduler.task_containers(pod),
    );
    if tasks.is_empty() { Err(PlanError::NoContainers) } else { Ok(tasks) }
}

pub(super) fn check_count(pod: &Pod<'_>) -> Result<(), PlanError> {
    let count = pod.all_containers().count();
    if count > MAX_CONTAINERS {
        return Err(PlanError::TooManyContainers { count, limit: MAX_CONTAINERS });
    }
    Ok(())
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
    let available = |init: bool| {
        let init_containers = pod.init_containers.iter().filter(|_| init);
        pod.containers.iter().chain(init_containers).map(|container| container.name.to_owned()).collect()
    };
    for name in &names {
        if pod.containers.iter().any(|container| container.name == *name) {
            continue;
        }
        let name = (*name).to_owned();
        if !pod.init_containers.iter().any(|container| container.name == name) {
            return Err(PlanError::UnknownContainer { name, available: available(first) });
        }
        if !first {
            let (profile, available) = (profile.name.clone(), available(false));
            return Err(PlanError::InitContainer { name, profile, available });
        }
    }
    let all = pod.containers.iter().chain(&pod.init_containers);
    Ok(all.filter(|container| names.contains(&container.name)).collect())
}

/// The warning for a pod with several tasks of a scheduler of which only one is a task container. Schedulers
/// that run several tasks in a pod (the steps of a Tekton `TaskRun`) start each of them with the same program
/// in a volume, but no sidecars. There is no warning if an annotation names the task container.
pub(super) fn missing_tasks_warning(pod: &Pod<'_>, tasks: &[&Container<'_>]) -> Option<String> {
    let annotations = [names::ANNOTATION_CONTAINERS, names::ANNOTATION_DEFAULT_CONTAINER];
    let [task] = tasks else { return None };
    if annotations.iter().any(|annotation| pod.annotations.get(annotation).is_some()) {
        return None;
    }
    let program = program_in_volume(task)?;
    let same_program = |container: &&Container<'_>| program_in_volume(container) == Some(program);
    let all: Vec<_> = pod.containers.iter().filter(same_program).map(|container| container.name).collect();
    let others: Vec<_> =
        all.iter().filter(|name| **name != task.name).map(|name| format!("{name:?}")).collect();
    if others.is_empty() {
        return None;
    }
    Some(format!(
        "bootlace: only container {:?} gets the boot env and the assets, although {} {} started by {program} too: to boot all \
         of them, set annotation {} of the pod to {}",
        task.name,
        others.join(", "),
        if others.len() == 1 { "is" } else { "are" },
        names::ANNOTATION_CONTAINERS,
        all.join(","),
    ))
}

/// The program of a container, if it is in a volume that the container mounts.
fn program_in_volume<'a>(container: &Container<'a>) -> Option<&'a str> {
    let program = *container.command.as_ref()?.first()?;
    let is_below = |folder: &str| {
        let folder = folder.trim_end_matches('/');
        !folder.is_empty() && program.strip_prefix(folder).is_some_and(|rest| rest.starts_with('/'))
    };
    container.mounts.iter().flatten().any(|mount| is_below(mount.path)).then_some(program)
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::identity::Schedulers;
    use crate::pod::Json;

    fn warning(containers: &Value, annotations: &Value) -> Option<String> {
        let pod = json!({"metadata": {"annotations": annotations}, "spec": {"containers": containers}});
        let json = Json::from(&pod);
        let pod = Pod::read(&json).unwrap();
        let schedulers = Schedulers::built_in();
        missing_tasks_warning(&pod, &tasks(&pod, &Profile::default(), schedulers.detect(&pod)).unwrap())
    }

    fn container(name: &str, program: &str, mount: &str) -> Value {
        json!({"name": name, "command": [program, "x"], "volumeMounts": [{"name": "v", "mountPath": mount}]})
    }

    #[test]
    fn tasks_with_the_same_program_are_reported_if_only_one_is_booted() {
        let step = |name| container(name, "/tekton/bin/entrypoint", "/tekton/bin");
        let steps = json!([step("step-a"), step("step-b"), {"name": "sidecar-log", "command": ["log"]}, step("step-c")]);
        let warning_of = |annotations: &Value| warning(&steps, annotations);
        let message = warning_of(&json!(null)).unwrap();
        for part in [
            "only container \"step-a\" gets the boot env",
            "\"step-b\", \"step-c\" are started by /tekton/bin/entrypoint",
            "bootlace.dev/containers of the pod to step-a,step-b,step-c",
        ] {
            assert!(message.contains(part), "{part} is not in: {message}");
        }
        assert_eq!(warning_of(&json!({names::ANNOTATION_CONTAINERS: "step-a"})), None);
        assert_eq!(warning_of(&json!({names::ANNOTATION_DEFAULT_CONTAINER: "step-b"})), None);
    }

    #[test]
    fn pods_with_ordinary_sidecars_have_no_warning() {
        let (main, side) = (container("main", "/app/run", "/data"), container("side", "/app/run", "/data"));
        let own = |name, program| container(name, program, "/tools");
        for containers in [
            json!([main, side]),
            json!([own("main", "/tools/run"), own("log", "/tools/log")]),
            json!([own("main", "/tools/run"), container("log", "/tools/run", "/toolsmith")]),
            json!([{"name": "main", "command": ["sh", "-c", "x"]}, {"name": "side", "command": ["sh", "-c", "y"]}]),
            json!([{"name": "main", "image": "a"}, {"name": "proxy", "image": "b"}]),
            json!([container("main", "/run", "/"), container("side", "/run", "/")]),
            json!([own("main", "/tools/run")]),
        ] {
            assert_eq!(warning(&containers, &json!({})), None, "{containers}");
        }
    }
}
