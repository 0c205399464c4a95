//! The explanation of a pod that was injected before, from the pod itself. It contains everything that the
//! injected containers are configured with.

use std::collections::BTreeMap;

use serde_json::Value;

use super::explanation::{
    Explanation, InitImage, Mount, OtherContainer, Overrides, Sidecar, Task, TaskHook, launched_command,
    match_reason, scheduler,
};
use super::hook::{Hook, hook_names, is_launcher};
use crate::command_error::CommandError;
use bootlace_core::identity::Schedulers;
use bootlace_core::input::WaitSpec;
use bootlace_core::names;
use bootlace_core::output::SidecarConfig;
use bootlace_core::plan::{BootSpec, EnvDelivery, InjectedAnnotation};
use bootlace_core::pod::{Container, Json, LifecycleHandler, Pod, WrongType};
use bootlace_core::profile::links;
use bootlace_core::profile::spec::Layout;

impl Explanation {
    /// The explanation of an injected pod, without the changes of overlays, unresolved inputs and warnings.
    pub(super) fn of_pod(injected: &Value, schedulers: &Schedulers) -> anyhow::Result<Self> {
        let json = Json::from(injected);
        let pod = Pod::read(&json)?;
        let annotation = annotation(&pod)?;
        let boot = init_container(&pod, names::CONTAINER_BOOT)
            .ok_or_else(|| missing(format!("container {}", names::CONTAINER_BOOT)))?;
        let config = boot_config(boot)?;
        let awaits = match init_container(&pod, names::CONTAINER_WAIT) {
            Some(wait) => parse::<WaitSpec<'_>>(wait, names::ENV_WAIT)?.awaits.into_owned(),
            None => Vec::new(),
        };
        let sidecar = match init_container(&pod, names::CONTAINER_PIPE) {
            Some(sidecar) => {
                let config: SidecarConfig<'_> = parse(sidecar, names::ENV_PIPES)?;
                Some(Sidecar::new(&config, variable(sidecar, names::ENV_HOOKS)))
            }
            None => None,
        };
        let init_image = init_container(&pod, names::CONTAINER_INIT).map(|container| InitImage {
            image: container.image.to_owned(),
            command: launched_command(container.command.iter().flatten().copied()),
        });
        let tasks = annotation.containers.iter();
        let tasks = tasks.filter_map(|name| pod.all_containers().find(|container| container.name == name));
        let tasks = tasks.map(|container| task(container, &annotation, &config));
        Ok(Self {
            links: written_links(&pod, &annotation),
            scheduler: scheduler(&pod, schedulers),
            reason: match_reason(&pod, schedulers),
            awaits,
            waits_for_volumes: init_container(&pod, names::CONTAINER_VOLUME_WAIT).is_some(),
            init_image,
            boot_image: boot.image.to_owned(),
            volume_size: volume_size(injected).map(str::to_owned),
            sidecar,
            tasks: tasks.collect::<Result<_, _>>()?,
            others: others(&pod, &annotation),
            overlays: Vec::new(),
            unresolved: Vec::new(),
            warnings: Vec::new(),
            task: config.task,
            timeout_seconds: config.timeout_seconds,
            sources: config.sources.into_owned(),
            http_get: config.http_get,
            annotation,
        })
    }
}

/// The links that Bootlace has added. Others can have changed the annotations since.
fn written_links(pod: &Pod<'_>, injected: &InjectedAnnotation) -> BTreeMap<String, String> {
    let link = |name: &String| {
        let link = pod.annotations.get(&names::link_annotation(name))?;
        links::check_written(link).ok().map(|()| (name.clone(), link.to_owned()))
    };
    injected.links.iter().filter_map(link).collect()
}

fn annotation(pod: &Pod<'_>) -> Result<InjectedAnnotation, CommandError> {
    let part = || format!("annotation {}", names::ANNOTATION_INJECTED);
    let text = pod.annotations.get(names::ANNOTATION_INJECTED).ok_or_else(|| missing(part()))?;
    serde_json::from_str(text).map_err(|error| invalid(part(), &error))
}

fn boot_config(boot: &Container<'_>) -> Result<BootSpec<'static>, CommandError> {
    if variable(boot, names::ENV_BOOT_SPEC).is_none() {
        return Err(missing(variable_of(boot, names::ENV_BOOT_SPEC)));
    }
    BootSpec::from_env(|name| variable(boot, name).map(str::to_owned))
        .map_err(|error| invalid(variable_of(boot, names::ENV_BOOT_SPEC), &error))
}

/// Parses the configuration in a variable of an injected container.
fn parse<T: serde::de::DeserializeOwned>(container: &Container<'_>, name: &str) -> Result<T, CommandError> {
    let text = variable(container, name).ok_or_else(|| missing(variable_of(container, name)))?;
    serde_json::from_str(text).map_err(|error| invalid(variable_of(container, name), &error))
}

fn variable<'a>(container: &Container<'a>, name: &str) -> Option<&'a str> {
    container.variables().find(|variable| variable.name == name)?.text
}

/// A variable in messages.
fn variable_of(container: &Container<'_>, name: &str) -> String {
    format!("env {name} of container {}", container.name)
}

fn missing(part: String) -> CommandError {
    CommandError::InjectedPod { part, problem: "not found".to_owned() }
}

fn invalid(part: String, error: &dyn std::fmt::Display) -> CommandError {
    CommandError::InjectedPod { part, problem: error.to_string() }
}

fn init_container<'p, 'a>(pod: &'p Pod<'a>, name: &str) -> Option<&'p Container<'a>> {
    pod.init_containers.iter().find(|container| container.name == name)
}

/// A task container.
fn task(
    container: &Container<'_>,
    annotation: &InjectedAnnotation,
    config: &BootSpec<'_>,
) -> Result<Task, WrongType> {
    let hook = match &container.post_start {
        Some(LifecycleHandler::Exec(words)) => Hook::parse(words.iter().copied()),
        _ => None,
    };
    Ok(Task {
        list: container.list,
        name: container.name.to_owned(),
        mounts: Mount::of_container(container).collect(),
        delivery: delivery(container, hook.as_ref(), annotation, config.layout)?,
        hook: TaskHook::new(hook, container, container.post_start.is_some()),
        pre_launch: hook_names(container.command.iter().flatten().copied()),
        pre_kill: match &container.pre_stop {
            Some(LifecycleHandler::Exec(words)) => hook_names(words.iter().copied()),
            _ => Vec::new(),
        },
        overrides: Overrides::new(config, container.name),
    })
}

/// How the boot env is delivered to a task container. The annotation only contains the weakest delivery of
/// all containers.
fn delivery(
    container: &Container<'_>,
    hook: Option<&Hook>,
    annotation: &InjectedAnnotation,
    layout: Layout,
) -> Result<EnvDelivery, WrongType> {
    if matches!(container.command.as_deref(), Some([program, "exec" | "run", ..]) if is_launcher(program)) {
        return Ok(EnvDelivery::Launch);
    }
    if let Some(secret) = annotation.env_secret.as_deref() {
        let sources = container.env_from()?;
        if sources.iter().any(|source| source.field == "secretRef" && source.name == secret) {
            return Ok(EnvDelivery::Secret);
        }
    }
    Ok(match hook.and_then(|hook| hook.env.as_deref()) {
        Some("home") => EnvDelivery::Hook,
        Some("file") => EnvDelivery::File,
        Some("sourced") => EnvDelivery::Sourced,
        // A container without a hook. The mode `File` is that of all containers, and with this layout, an
        // image that is not launched sources the env.
        None if annotation.env_mode == EnvDelivery::File => EnvDelivery::File,
        None if layout == Layout::Optimus => EnvDelivery::Sourced,
        _ => EnvDelivery::None,
    })
}

/// The init containers that are not tasks, but mount files of boot.
fn others(pod: &Pod<'_>, annotation: &InjectedAnnotation) -> Vec<OtherContainer> {
    let is_other = |container: &&Container<'_>| {
        !names::is_own_container(container.name)
            && !annotation.containers.iter().any(|name| name == container.name)
            && container.mounts.iter().flatten().any(|mount| mount.volume == names::VOLUME)
    };
    let others = pod.init_containers.iter().filter(is_other);
    let other = |container: &Container<'_>| OtherContainer {
        name: container.name.to_owned(),
        mounts: Mount::of_container(container).collect(),
    };
    others.map(other).collect()
}

fn volume_size(pod: &Value) -> Option<&str> {
    let volumes = pod.pointer("/spec/volumes")?.as_array()?;
    let is_ours = |volume: &&Value| volume.get("name").and_then(Value::as_str) == Some(names::VOLUME);
    volumes.iter().find(is_ours)?.pointer("/emptyDir/sizeLimit")?.as_str()
}
