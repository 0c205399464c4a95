//! What a task container becomes: mounts, a launcher in front of its command, a postStart hook.

use std::collections::BTreeSet;

use bootlace_launch::{expansion, termination};
use k8s_openapi::api::core::v1 as core;
use serde_json::{Value, json};

use super::entrypoint::ContainerCommand;
use super::env_mode::RequestedMode;
use super::env_names::BootEnvNames;
use super::paths::{self, PodPaths, Volumes};
use super::pipes::{self, Outputs};
use super::references::{self, Text};
use super::{EnvDelivery, PlanError, PreparedProfile, Version, hook, prepared};
use crate::names;
use crate::pod::{Container, List, Pod};
use crate::profile::Profile;
use crate::profile::spec::{BootProfileSpec, EnvMode, Position};

/// Mounts that an init container gets that is no task.
#[derive(Debug, Clone, PartialEq)]
pub struct InitContainerMounts {
    /// Its place in `spec.initContainers`.
    pub index: usize,
    /// Whether it has `volumeMounts`.
    pub has_mounts: bool,
    /// The mounts.
    pub mounts: Vec<Value>,
}

/// What a task container becomes.
#[derive(Debug, Clone, PartialEq)]
pub struct TaskContainer {
    /// The list that it is in.
    pub list: List,
    /// Its place in that list.
    pub index: usize,
    /// Its name.
    pub name: String,
    /// The way that the boot env takes into it.
    pub way: EnvDelivery,
    /// Why it is that one.
    pub because: String,
    /// What its spec has already.
    pub has: ExistingFields,
    /// What becomes of its command.
    pub command: TaskCommand,
    /// Mounts that it alone gets.
    pub mounts: Vec<Value>,
    /// What goes before its `env`.
    pub env: Vec<Value>,
    /// The command of the postStart hook, where there is one. An init container that is no native sidecar cannot have any.
    pub hook: Option<Vec<String>>,
    /// What the pod's author should know.
    pub warnings: Vec<String>,
}

/// What a container's spec has already, so that it is added to and not made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[expect(clippy::struct_excessive_bools, reason = "each is about a field of its own")]
pub struct ExistingFields {
    /// `volumeMounts`.
    pub mounts: bool,
    /// `env`.
    pub env: bool,
    /// `envFrom`.
    pub env_from: bool,
    /// `lifecycle`.
    pub lifecycle: bool,
    /// `lifecycle.postStart`: a handler of the pod's own, which the hook takes over.
    pub handler: bool,
}

/// How the boot env gets into a container, and what becomes of its command.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum TaskCommand {
    /// These words go in front of it.
    Prefixed(Vec<String>),
    /// The spec names none; this is it, the image's own words included. `args` stay behind it.
    Explicit {
        /// The words.
        words: Vec<String>,
        /// How many of them are the image's.
        of_image: usize,
    },
    /// It stays as it is, be it the spec's or the image's.
    Unchanged,
}

impl TaskContainer {
    /// What of the spec the launcher has to resolve.
    pub(super) fn references<'a>(&self, container: &Container<'a>, given: &BootEnvNames) -> Vec<Text<'a>> {
        match &self.command {
            TaskCommand::Prefixed(_) => references::spec_texts(container, 0, given),
            TaskCommand::Explicit { of_image, .. } => references::spec_texts(container, *of_image, given),
            // The kubelet resolves what it hands over itself, and nobody can in the hook's way.
            TaskCommand::Unchanged => Vec::new(),
        }
    }
}

pub(super) fn plan(
    container: &Container<'_>,
    volumes: &Volumes<'_>,
    runs: ContainerCommand,
    wanted: RequestedMode,
    outputs: &Outputs,
    recipe: &PreparedProfile,
) -> Result<TaskContainer, PlanError> {
    let profile = &recipe.profile;
    let (way, because) = wanted.resolve(container, &runs, recipe)?;
    let handover = match way {
        EnvDelivery::Launch => pipes::flags(outputs, container.name, &profile.spec),
        _ => Vec::new(),
    };
    let hands_over = !handover.is_empty();
    let own: Vec<_> = own(&profile.spec).chain(hands_over.then_some(paths::HANDOVER)).collect();
    let checked = paths::check(container, &own, volumes, &profile.name);
    let mut warnings = checked.map_err(|conflict| conflict.refuse(container))?;
    let hook = if container.ends_before_tasks() {
        check_needs_no_hook(container, way, &because, &runs, recipe)?;
        None
    } else {
        hook::plan(container, way, &runs, || wanted.asks(recipe), recipe)?
    };
    warnings.extend(self::warnings(container, way, (&runs, wanted), hook.is_some(), recipe));
    let command = match (way, runs) {
        (EnvDelivery::Launch, ContainerCommand::Image { words, .. }) => {
            let of_image = words.len();
            // The kubelet expands what stands in `command`, and would not have expanded the image's own words.
            let words = launcher(container, handover).into_iter().chain(words);
            TaskCommand::Explicit { words: words.map(|word| expansion::escape(&word)).collect(), of_image }
        }
        (EnvDelivery::Launch, _) => {
            let words = launcher(container, handover);
            TaskCommand::Prefixed(words.iter().map(|word| expansion::escape(word)).collect())
        }
        _ => TaskCommand::Unchanged,
    };
    Ok(TaskContainer {
        list: container.list,
        index: container.index,
        name: container.name.to_owned(),
        way,
        because,
        has: ExistingFields {
            mounts: container.mounts.is_some(),
            env: container.has_env(),
            env_from: container.has_env_from(),
            lifecycle: container.has_lifecycle,
            handler: container.post_start.is_some(),
        },
        command,
        mounts: if hands_over { vec![pipes::mount(container.name)] } else { Vec::new() },
        env: if way == EnvDelivery::File {
            file_keys(container, &profile.spec.env.file.keys)
        } else {
            Vec::new()
        },
        hook,
        warnings,
    })
}

/// Kubernetes runs no hook in an init container but in a native sidecar. The launcher starts no task without its env, and
/// the kubelet none without the Secret or the file; what depends on a hook to bring the env, or to fail a container that is
/// without, cannot be had there.
fn check_needs_no_hook(
    container: &Container<'_>,
    way: EnvDelivery,
    because: &str,
    runs: &ContainerCommand,
    recipe: &PreparedProfile,
) -> Result<(), PlanError> {
    let container = || container.name.to_owned();
    match way {
        EnvDelivery::Launch | EnvDelivery::Secret | EnvDelivery::File | EnvDelivery::Sourced => Ok(()),
        EnvDelivery::None if recipe.given.is_empty() => Ok(()),
        EnvDelivery::Hook => Err(PlanError::NoHook { container: container(), because: because.to_owned() }),
        EnvDelivery::None => {
            Err(PlanError::InitCommandUnknown { container: container(), because: runs.why_unknown() })
        }
    }
}

fn warnings(
    container: &Container<'_>,
    way: EnvDelivery,
    (runs, wanted): (&ContainerCommand, RequestedMode),
    has_hook: bool,
    recipe: &PreparedProfile,
) -> Vec<String> {
    let name = container.name;
    let mut warnings = Vec::new();
    match way {
        EnvDelivery::File if recipe.kubernetes.is_none() => warnings.push(format!(
            "bootlace: container {name:?} gets the boot env from a file, which requires Kubernetes {} or later, and the version \
             of the cluster is unknown here",
            Version::FILE_KEY_REF
        )),
        EnvDelivery::Launch if wanted.by_exec && !recipe.given.is_empty() => warnings.push(format!(
            "bootlace: container {name:?} gets the boot env from the launcher, but its scheduler starts the task with exec, which \
             only inherits the env of the container: install the store and use env.mode Auto or Secret"
        )),
        EnvDelivery::Secret if wanted.mode == EnvMode::Auto && !wanted.by_exec => warnings.push(format!(
            "bootlace: container {name:?} has no command{}, so it gets the boot env from a Secret that is created for this pod: \
             set the image's entrypoint as `command` or in annotation {} to have the launcher load it instead",
            runs.why_unknown(),
            names::ANNOTATION_ENTRYPOINT
        )),
        EnvDelivery::Launch | EnvDelivery::Secret | EnvDelivery::File | EnvDelivery::Sourced => {}
        EnvDelivery::Hook => {
            let names = references::names(&references::spec_texts(container, 0, &recipe.given), &recipe.given);
            if !names.is_empty() {
                let names: Vec<_> = names.iter().map(|name| expansion::unresolved(name)).collect();
                warnings.push(format!(
                    "bootlace: container {name:?} refers to {}, but with env.mode Hook the boot env is only in $HOME/.env: references \
                     to variables that the pod does not set are not resolved",
                    names.join(", ")
                ));
            }
        }
        // Without a hook there is no boot env that could be missing.
        EnvDelivery::None if !has_hook => {}
        EnvDelivery::None => {
            let because = runs.why_unknown();
            warnings.push(format!(
                "bootlace: container {name:?} has no command{because}, so the launcher cannot load the boot env: set the image's \
                 entrypoint as `command`. Assets and the hook are injected, but if the profile provides env, the hook will \
                 fail the container."
            ));
        }
    }
    warnings
}

/// Variables that the kubelet reads from the file that boot writes for `container`. They stand before the pod's own, so
/// that those can refer to them, and win where they are set. What the pod sets anyway is there for that alone: of two
/// variables of a name the later counts, and it may be built on the earlier.
fn file_keys(container: &Container<'_>, keys: &[String]) -> Vec<Value> {
    let path = format!("{}/{}", names::DIR_ENV_FILE, container.name);
    let sure: BTreeSet<_> = container.sure_variables().map(|variable| variable.name).collect();
    let built_on = references::built_on(container);
    let is_read = |key: &&String| !sure.contains(key.as_str()) || built_on.contains(key.as_str());
    let variable = |key: &String| {
        // Optional: a source need not give each, and boot leaves out what the pod's `envFrom` gives.
        let from = json!({"volumeName": names::VOLUME, "path": path, "key": key, "optional": true});
        json!({"name": key, "valueFrom": {"fileKeyRef": from}})
    };
    keys.iter().filter(is_read).map(variable).collect()
}

/// The mounts of a task container.
pub(super) fn mounts(profile: &BootProfileSpec) -> Vec<core::VolumeMount> {
    own(profile).map(|own| mount(&own)).collect()
}

fn own(profile: &BootProfileSpec) -> impl Iterator<Item = PodPaths<'_>> {
    [paths::BOOTED, paths::assets(profile)].into_iter().chain(paths::data(profile))
}

fn mount(own: &PodPaths<'_>) -> core::VolumeMount {
    core::VolumeMount {
        name: own.volume.to_owned(),
        mount_path: own.path.as_ref().to_owned(),
        read_only: own.read_only.then_some(true),
        sub_path: own.sub_path.map(str::to_owned),
        ..core::VolumeMount::default()
    }
}

/// What the pod's own init containers get that are no tasks, where boot comes before them: the files that it fetched, and
/// nothing of the env. One that has something else in their place goes without.
pub(super) fn others(
    pod: &Pod<'_>,
    volumes: &Volumes<'_>,
    tasks: &[TaskContainer],
    profile: &Profile,
    warnings: &mut Vec<String>,
) -> Result<Vec<InitContainerMounts>, PlanError> {
    if profile.spec.boot.position == Position::Last {
        return Ok(Vec::new());
    }
    let assets = [paths::assets(&profile.spec)];
    let value = prepared::json(&assets.each_ref().map(mount))?;
    let is_task = |index| tasks.iter().any(|task| task.list == List::Init && task.index == index);
    let mut others = Vec::new();
    for container in pod.init_containers.iter().filter(|container| !is_task(container.index)) {
        match paths::check(container, &assets, volumes, &profile.name) {
            Ok(more) => {
                warnings.extend(more);
                let mounts = value.as_array().cloned().unwrap_or_default();
                others.push(InitContainerMounts {
                    index: container.index,
                    has_mounts: container.mounts.is_some(),
                    mounts,
                });
            }
            Err(conflict) => warnings.push(format!(
                "bootlace: init container {:?} {}: it does not get the fetched files",
                container.name, conflict.what
            )),
        }
    }
    Ok(others)
}

/// It hands outputs over where it is told how.
fn launcher(container: &Container<'_>, handover: Vec<String>) -> Vec<String> {
    let mut words = role_command(if handover.is_empty() { "exec" } else { "run" }, container);
    words.extend(handover);
    words.push("--".to_owned());
    words
}

/// The start of every call of the launcher: `launch exec --container=base`.
pub(super) fn role_command(role: &str, container: &Container<'_>) -> Vec<String> {
    let mut words = vec![
        format!("{}/{}", names::MOUNT, names::FILE_LAUNCHER),
        role.to_owned(),
        format!("--container={}", container.name),
    ];
    if let Some(path) = container.termination_message_path.filter(|path| *path != termination::LOG) {
        words.push(format!("--termination-log={path}"));
    }
    words
}
