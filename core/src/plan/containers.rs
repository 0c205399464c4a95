//! Which of a pod's containers run the task.

use super::{PlanError, PreparedProfile};
use crate::names;
use crate::pod::{Container, Pod};
use crate::profile::Profile;
use crate::profile::spec::Position;

/// Containers of a pod at most, its init containers included. Planning compares them with each other, and each task
/// container adds to the answer. Kubernetes sets no limit; a node runs 110 pods by default.
const MAX_CONTAINERS: usize = 256;

/// The containers that run the task, in the pod's order: those that our annotation names, else the one that
/// Kubernetes' own annotation names, else those of the scheduler, else the first. The scheduler comes first if it sets that
/// annotation on all of its pods. Init containers stand at the end: they are tasks only where the annotation names them, and
/// boot comes before them.
pub(super) fn tasks<'p, 'a>(
    pod: &'p Pod<'a>,
    recipe: &PreparedProfile,
) -> Result<Vec<&'p Container<'a>>, PlanError> {
    let count = pod.all_containers().count();
    if count > MAX_CONTAINERS {
        return Err(PlanError::TooManyContainers { count, limit: MAX_CONTAINERS });
    }
    if let Some(list) = pod.annotations.get(names::ANNOTATION_CONTAINERS) {
        return named(pod, list, &recipe.profile);
    }
    let scheduler = recipe.schedulers.detect(pod);
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

/// The warning for a pod of which only some of the scheduler's tasks are booted. Schedulers that run several tasks in
/// one pod (the steps of a Tekton `TaskRun`) start each by one program of their own, which they bring in a volume; no
/// sidecar is started by that. A pod that says which container is the main one is not asked again.
pub(super) fn left_out(pod: &Pod<'_>, tasks: &[&Container<'_>]) -> Option<String> {
    let says = [names::ANNOTATION_CONTAINERS, names::ANNOTATION_DEFAULT_CONTAINER];
    let [task] = tasks else { return None };
    if says.iter().any(|annotation| pod.annotations.get(annotation).is_some()) {
        return None;
    }
    let program = program_of_a_volume(task)?;
    let of_scheduler = |container: &&Container<'_>| program_of_a_volume(container) == Some(program);
    let all: Vec<_> = pod.containers.iter().filter(of_scheduler).map(|container| container.name).collect();
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

/// What a container starts, where the program lies in a volume that it mounts.
fn program_of_a_volume<'a>(container: &Container<'a>) -> Option<&'a str> {
    let program = *container.command.as_ref()?.first()?;
    let is_below = |folder: &str| {
        let folder = folder.trim_end_matches('/');
        !folder.is_empty() && program.strip_prefix(folder).is_some_and(|rest| rest.starts_with('/'))
    };
    container.mounts.iter().flatten().any(|mount| is_below(mount.path)).then_some(program)
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use serde_json::{Value, json};

    use super::*;
    use crate::plan::InstallationSettings;
    use crate::pod::Json;

    fn warning(containers: &Value, annotations: &Value) -> Option<String> {
        let pod = json!({"metadata": {"annotations": annotations}, "spec": {"containers": containers}});
        let json = Json::from(&pod);
        let pod = Pod::read(&json).unwrap();
        let profile = Arc::new(Profile::default());
        let recipe = PreparedProfile::new(profile, &InstallationSettings::default()).unwrap();
        left_out(&pod, &tasks(&pod, &recipe).unwrap())
    }

    fn container(name: &str, program: &str, mount: &str) -> Value {
        json!({"name": name, "command": [program, "x"], "volumeMounts": [{"name": "v", "mountPath": mount}]})
    }

    #[test]
    fn tasks_that_one_program_starts_are_booted_together_or_warned_of() {
        let step = |name| container(name, "/tekton/bin/entrypoint", "/tekton/bin");
        let steps = json!([step("step-a"), step("step-b"), {"name": "sidecar-log", "command": ["log"]}, step("step-c")]);
        let warning_of = |annotations: &Value| warning(&steps, annotations);
        let said = warning_of(&json!(null)).unwrap();
        for part in [
            "only container \"step-a\" gets the boot env",
            "\"step-b\", \"step-c\" are started by /tekton/bin/entrypoint",
            "bootlace.dev/containers of the pod to step-a,step-b,step-c",
        ] {
            assert!(said.contains(part), "{part} is not in: {said}");
        }
        assert_eq!(warning_of(&json!({names::ANNOTATION_CONTAINERS: "step-a"})), None);
        assert_eq!(warning_of(&json!({names::ANNOTATION_DEFAULT_CONTAINER: "step-b"})), None);
    }

    #[test]
    fn ordinary_pods_with_sidecars_are_not_warned_of() {
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
