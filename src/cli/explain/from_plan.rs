//! The explanation of a pod that is not injected yet, from its plan.

use serde_json::Value;

use super::explanation::{
    Explanation, InitImage, Mount, OtherContainer, Overrides, Sidecar, Task, TaskHook, launched_command,
    match_reason, scheduler,
};
use super::hook::{Hook, hook_names};
use bootlace_core::identity::Schedulers;
use bootlace_core::names;
use bootlace_core::plan::{Plan, TaskCommand, TaskContainer};
use bootlace_core::pod::{Container, List, Pod};

impl Explanation {
    /// The explanation of `pod`, which `plan` injects, without unresolved inputs and warnings.
    pub(super) fn of_plan(plan: &Plan<'_>, pod: &Pod<'_>, schedulers: &Schedulers) -> Self {
        let config = &plan.config;
        let init_image = named(&plan.boot, names::CONTAINER_INIT).map(|container| {
            let words = container.get("command").and_then(Value::as_array).into_iter().flatten();
            let command = launched_command(words.filter_map(Value::as_str));
            InitImage { image: text(container, "image").to_owned(), command }
        });
        let boot_image = named(&plan.boot, names::CONTAINER_BOOT).map(|boot| text(boot, "image"));
        let volume = plan.volumes.iter().find(|volume| text(volume, "name") == names::VOLUME);
        let volume_size = volume.and_then(|volume| volume.pointer("/emptyDir/sizeLimit")?.as_str());
        let containers = |task: &TaskContainer| match task.list {
            List::Init => pod.init_containers.get(task.index),
            List::App => pod.containers.get(task.index),
        };
        let tasks = plan.tasks.iter().filter_map(|planned| Some(task(planned, containers(planned)?, plan)));
        let others = plan.init_mounts.iter().filter_map(|added| {
            let container = pod.init_containers.get(added.index)?;
            let mounts = Mount::of_container(container).chain(added.mounts.iter().filter_map(mount));
            Some(OtherContainer { name: container.name.to_owned(), mounts: mounts.collect() })
        });
        Self {
            scheduler: scheduler(pod, schedulers),
            task: config.task.clone(),
            reason: match_reason(pod, schedulers),
            annotation: plan.injected.clone(),
            links: plan.links.clone(),
            awaits: plan.awaits.to_vec(),
            waits_for_volumes: named(&plan.wait, names::CONTAINER_VOLUME_WAIT).is_some(),
            init_image,
            boot_image: boot_image.unwrap_or_default().to_owned(),
            timeout_seconds: config.timeout_seconds,
            sources: config.sources.to_vec(),
            volume_size: volume_size.map(str::to_owned),
            http_get: config.http_get,
            sidecar: plan.sidecar.as_ref().map(|config| {
                let container = named(&plan.boot, names::CONTAINER_PIPE);
                Sidecar::new(config, container.and_then(|container| variable(container, names::ENV_HOOKS)))
            }),
            tasks: tasks.collect(),
            others: others.collect(),
            overlays: Vec::new(),
            unresolved: Vec::new(),
            warnings: Vec::new(),
        }
    }
}

fn task(planned: &TaskContainer, container: &Container<'_>, plan: &Plan<'_>) -> Task {
    let added = plan.mounts.iter().map(|mount| &**mount).chain(&planned.mounts);
    let hook = planned.hook.as_ref().and_then(|words| Hook::parse(words.iter().map(String::as_str)));
    Task {
        list: planned.list,
        name: planned.name.clone(),
        mounts: Mount::of_container(container).chain(added.filter_map(mount)).collect(),
        delivery: planned.delivery,
        hook: TaskHook::new(hook, container, planned.existing.handler),
        pre_launch: match &planned.command {
            TaskCommand::Prefixed(words) | TaskCommand::Explicit { words, .. } => {
                hook_names(words.iter().map(String::as_str))
            }
            TaskCommand::Unchanged => Vec::new(),
        },
        pre_kill: hook_names(planned.prestop.iter().flatten().map(String::as_str)),
        overrides: Overrides::new(&plan.config, &planned.name),
    }
}

/// A mount that the plan adds.
fn mount(mount: &Value) -> Option<Mount> {
    Mount::new(text(mount, "name"), mount.get("subPath").is_some(), text(mount, "mountPath"))
}

fn named<'v>(containers: &'v [Value], name: &str) -> Option<&'v Value> {
    containers.iter().find(|container| text(container, "name") == name)
}

fn variable<'v>(container: &'v Value, name: &str) -> Option<&'v str> {
    let env = container.get("env")?.as_array()?;
    env.iter().find(|variable| text(variable, "name") == name)?.get("value")?.as_str()
}

fn text<'v>(object: &'v Value, field: &str) -> &'v str {
    object.get(field).and_then(Value::as_str).unwrap_or_default()
}
