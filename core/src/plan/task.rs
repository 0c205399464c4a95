//! The changes to a task container: mounts, the launcher before its command, the postStart hook.

use std::collections::BTreeSet;

use bootlace_launch::expansion;
use serde_json::{Value, json};

use super::entrypoint::ContainerCommand;
use super::env_mode::RequestedMode;
use super::env_names::BootEnvNames;
use super::mount_conflicts::{self, Volumes};
use super::pipes::{self, Outputs};
use super::references::{self, Text};
use super::task_mounts::{self, AddedMount};
use super::{
    EnvDelivery, PlanError, PreparedProfile, Version, container_parts, hook, hooks, launcher, prestop,
    progress,
};
use crate::names;
use crate::pod::{Container, List, Pod};
use crate::profile::Profile;
use crate::profile::env::EnvMode;
use crate::profile::spec::Position;

/// The mounts of an init container that is not a task.
#[derive(Debug, Clone, PartialEq)]
pub struct InitContainerMounts {
    /// Its index in `spec.initContainers`.
    pub index: usize,
    /// Whether `volumeMounts` is present.
    pub has_mounts: bool,
    /// The mounts to add.
    pub mounts: Vec<Value>,
}

/// The changes to a task container.
#[derive(Debug, Clone, PartialEq)]
pub struct TaskContainer {
    /// The list that contains it.
    pub list: List,
    /// Its index in that list.
    pub index: usize,
    /// Its name.
    pub name: String,
    /// How the boot env is delivered to it.
    pub delivery: EnvDelivery,
    /// Reason for `delivery`.
    pub reason: String,
    /// The fields that are already present.
    pub existing: ExistingFields,
    /// The change to its command.
    pub command: TaskCommand,
    /// Mounts that are specific to it.
    pub mounts: Vec<Value>,
    /// Entries for the start of `env`.
    pub env: Vec<Value>,
    /// The command of the postStart hook, if it gets one. Init containers cannot have one, except native
    /// sidecars.
    pub hook: Option<Vec<String>>,
    /// The command of the preStop handler, if it gets one. Like for [`Self::hook`].
    pub prestop: Option<Vec<String>>,
    /// Warnings for the author of the pod.
    pub warnings: Vec<String>,
}

/// Fields that are present in the spec of a container, so that entries are added to them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[expect(clippy::struct_excessive_bools, reason = "each is about a different field")]
pub struct ExistingFields {
    /// `volumeMounts`.
    pub mounts: bool,
    /// `env`.
    pub env: bool,
    /// `envFrom`.
    pub env_from: bool,
    /// `lifecycle`.
    pub lifecycle: bool,
    /// `lifecycle.postStart`: a handler of the pod, which the hook runs because it replaces it.
    pub handler: bool,
    /// `lifecycle.preStop`: likewise.
    pub stop_handler: bool,
}

/// The change to the command of a container.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum TaskCommand {
    /// These words are added before it.
    Prefixed(Vec<String>),
    /// The spec has none, and gets this one, which includes the words of the image. `args` follow it.
    Explicit {
        /// The words.
        words: Vec<String>,
        /// How many of them are from the image.
        image_words: usize,
    },
    /// No change to the command of the spec or the image.
    Unchanged,
}

impl TaskContainer {
    /// The texts of the spec that the launcher resolves.
    pub(super) fn references<'a>(
        &self,
        container: &Container<'a>,
        env_names: &BootEnvNames,
    ) -> Vec<Text<'a>> {
        match &self.command {
            TaskCommand::Prefixed(_) => references::spec_texts(container, 0, env_names),
            TaskCommand::Explicit { image_words, .. } => {
                references::spec_texts(container, *image_words, env_names)
            }
            // The kubelet resolves references to variables that it sets. With the hook, they cannot be
            // resolved.
            TaskCommand::Unchanged => Vec::new(),
        }
    }
}

/// The properties of the pod that the changes to each of its task containers depend on.
#[derive(Clone, Copy)]
pub(super) struct TaskPod<'p, 'a> {
    pub(super) volumes: &'p Volumes<'a>,
    pub(super) outputs: &'p Outputs,
    /// The grace period in seconds.
    pub(super) grace: u32,
}

pub(super) fn plan(
    container: &Container<'_>,
    pod: TaskPod<'_, '_>,
    command: ContainerCommand,
    mode: RequestedMode,
    prepared: &PreparedProfile,
) -> Result<TaskContainer, PlanError> {
    let profile = &prepared.profile;
    let (delivery, reason) = mode.resolve(container, &command, prepared)?;
    hooks::check_launched(container, delivery, &reason, profile)?;
    let handover = match delivery {
        EnvDelivery::Launch => pipes::flags(pod.outputs, container, &profile.spec),
        _ => Vec::new(),
    };
    let has_handover = !handover.is_empty();
    let reports = progress::reports(container, prepared);
    let added = [has_handover.then_some(task_mounts::HANDOVER), reports.then_some(progress::MOUNT)];
    let added: Vec<_> = task_mounts::task_mounts(&profile.spec).chain(added.into_iter().flatten()).collect();
    let checked = mount_conflicts::check(container, &added, pod.volumes, &profile.name);
    let mut warnings = checked.map_err(|conflict| conflict.into_error(container))?;
    let hook = if container.ends_before_tasks() {
        check_needs_no_hook(container, delivery, &reason, &command, prepared)?;
        None
    } else {
        hook::plan(container, delivery, &command, || mode.describe(prepared), prepared)?
    };
    warnings.extend(self::warnings(container, delivery, (&command, mode), hook.is_some(), prepared));
    let prestop = prestop::plan(container, &profile.spec.hooks.pre_kill, pod.grace)?;
    warnings.extend(prestop.as_ref().and_then(|prestop| prestop.warning.clone()));
    warnings.extend(hooks::warning(container, &profile.spec.hooks));
    let command = launched_command(container, delivery, command, handover, profile);
    Ok(TaskContainer {
        list: container.list,
        index: container.index,
        name: container.name.to_owned(),
        delivery,
        reason,
        existing: ExistingFields {
            mounts: container.mounts.is_some(),
            env: container.has_env(),
            env_from: container.has_env_from(),
            lifecycle: container.has_lifecycle,
            handler: container.post_start.is_some(),
            stop_handler: container.pre_stop.is_some(),
        },
        command,
        mounts: [has_handover.then(|| pipes::mount(container.name)), reports.then(progress::mount)]
            .into_iter()
            .flatten()
            .collect(),
        env: env(container, delivery, reports, prepared),
        hook,
        prestop: prestop.map(|prestop| prestop.command),
        warnings,
    })
}

/// The change to the command of a container, for a task that the launcher starts.
fn launched_command(
    container: &Container<'_>,
    delivery: EnvDelivery,
    command: ContainerCommand,
    handover: Vec<String>,
    profile: &Profile,
) -> TaskCommand {
    if delivery != EnvDelivery::Launch {
        return TaskCommand::Unchanged;
    }
    let launcher = launcher::command(container, handover, &profile.spec.hooks.pre_launch);
    match command {
        ContainerCommand::Image { words, .. } => {
            let image_words = words.len();
            // The kubelet expands references in `command`, but not in the command of the image.
            let words = launcher.into_iter().chain(words);
            TaskCommand::Explicit { words: words.map(|word| expansion::escape(&word)).collect(), image_words }
        }
        _ => TaskCommand::Prefixed(launcher.iter().map(|word| expansion::escape(word)).collect()),
    }
}

/// The entries that are added to `env` of the container.
fn env(
    container: &Container<'_>,
    delivery: EnvDelivery,
    reports: bool,
    prepared: &PreparedProfile,
) -> Vec<Value> {
    let mut env = Vec::new();
    if delivery == EnvDelivery::File {
        env = file_keys(container, &prepared.profile.spec.env.file.keys);
    }
    env.extend(reports.then(|| progress::variable(container)));
    env
}

/// Kubernetes runs no hooks in init containers, except native sidecars. The launcher starts no task without
/// the boot env, and the kubelet starts none without the Secret or the file. A delivery that needs a hook,
/// which writes the env or fails a container without it, is therefore not possible.
fn check_needs_no_hook(
    container: &Container<'_>,
    delivery: EnvDelivery,
    reason: &str,
    command: &ContainerCommand,
    prepared: &PreparedProfile,
) -> Result<(), PlanError> {
    let name = || container.name.to_owned();
    match delivery {
        EnvDelivery::Launch | EnvDelivery::Secret | EnvDelivery::File | EnvDelivery::Sourced => Ok(()),
        EnvDelivery::None if prepared.env_names.is_empty() => Ok(()),
        EnvDelivery::Hook => Err(PlanError::NoHook { container: name(), reason: reason.to_owned() }),
        EnvDelivery::None => {
            Err(command
                .required(container, |reason| PlanError::InitCommandUnknown { container: name(), reason }))
        }
    }
}

fn warnings(
    container: &Container<'_>,
    delivery: EnvDelivery,
    (command, mode): (&ContainerCommand, RequestedMode),
    has_hook: bool,
    prepared: &PreparedProfile,
) -> Vec<String> {
    let name = container.name;
    let mut warnings = Vec::new();
    match delivery {
        EnvDelivery::File if prepared.kubernetes.is_none() => warnings.push(format!(
            "bootlace: container {name:?} gets the boot env from a file, which requires Kubernetes {} or later, and the version \
             of the cluster is unknown here",
            Version::FILE_KEY_REF
        )),
        EnvDelivery::Launch if mode.by_exec && !prepared.env_names.is_empty() => warnings.push(format!(
            "bootlace: container {name:?} gets the boot env from the launcher, but its scheduler starts the task with exec, which \
             only inherits the env of the container: install the store and use env.mode Auto or Secret"
        )),
        EnvDelivery::Secret if mode.mode == EnvMode::Auto && !mode.by_exec => warnings.push(format!(
            "bootlace: container {name:?} has no command{}, so it gets the boot env from a Secret that is created for this pod: \
             set the image's entrypoint as `command` or in annotation {} to have the launcher load it instead",
            command.why_unknown(),
            names::ANNOTATION_ENTRYPOINT
        )),
        EnvDelivery::Launch | EnvDelivery::Secret | EnvDelivery::File | EnvDelivery::Sourced => {}
        EnvDelivery::Hook => {
            let names = references::names(&references::spec_texts(container, 0, &prepared.env_names), &prepared.env_names);
            if !names.is_empty() {
                let names: Vec<_> = names.iter().map(|name| expansion::unresolved(name)).collect();
                warnings.push(format!(
                    "bootlace: container {name:?} refers to {}, but with env.mode Hook the boot env is only in $HOME/.env: references \
                     to variables that the pod does not set are not resolved",
                    names.join(", ")
                ));
            }
        }
        // Without a hook, the profile provides no env.
        EnvDelivery::None if !has_hook => {}
        EnvDelivery::None => {
            let reason = command.why_unknown();
            warnings.push(format!(
                "bootlace: container {name:?} has no command{reason}, so the launcher cannot load the boot env: set the image's \
                 entrypoint as `command`. Assets and the hook are injected, but if the profile provides env, the hook will \
                 fail the container."
            ));
        }
    }
    warnings
}

/// Variables that the kubelet reads from the file that boot writes for `container`. They are before the
/// variables of the pod, which can reference them and win. A variable that the pod also sets is only included
/// if the pod references it before it sets it: the last of several variables with the same name counts, and
/// it can reference an earlier one.
fn file_keys(container: &Container<'_>, keys: &[String]) -> Vec<Value> {
    let path = format!("{}/{}", names::DIR_ENV_FILE, container.name);
    let always_set: BTreeSet<_> = container.sure_variables().map(|variable| variable.name).collect();
    let referenced = references::referenced_before_set(container);
    let is_needed = |key: &&String| !always_set.contains(key.as_str()) || referenced.contains(key.as_str());
    let variable = |key: &String| {
        // Optional: a source may not provide it, and boot omits variables that `envFrom` of the pod provides.
        let from = json!({"volumeName": names::VOLUME, "path": path, "key": key, "optional": true});
        json!({"name": key, "valueFrom": {"fileKeyRef": from}})
    };
    keys.iter().filter(is_needed).map(variable).collect()
}

/// The mounts of the init containers of the pod that are not tasks, if boot runs before them: the fetched
/// files, but not the boot env. If another mount conflicts, the init container does not get the files.
pub(super) fn init_mounts(
    pod: &Pod<'_>,
    volumes: &Volumes<'_>,
    tasks: &[TaskContainer],
    profile: &Profile,
    warnings: &mut Vec<String>,
) -> Result<Vec<InitContainerMounts>, PlanError> {
    if profile.spec.boot.position == Position::Last {
        return Ok(Vec::new());
    }
    let assets = [task_mounts::assets(&profile.spec)];
    let value = container_parts::json(&assets.each_ref().map(AddedMount::to_volume_mount))?;
    let is_task = |index| tasks.iter().any(|task| task.list == List::Init && task.index == index);
    let mut init_mounts = Vec::new();
    for container in pod.init_containers.iter().filter(|container| !is_task(container.index)) {
        match mount_conflicts::check(container, &assets, volumes, &profile.name) {
            Ok(found) => {
                warnings.extend(found);
                let mounts = value.as_array().cloned().unwrap_or_default();
                init_mounts.push(InitContainerMounts {
                    index: container.index,
                    has_mounts: container.mounts.is_some(),
                    mounts,
                });
            }
            Err(conflict) => warnings.push(format!(
                "bootlace: init container {:?} {}: it does not get the fetched files",
                container.name, conflict.problem
            )),
        }
    }
    Ok(init_mounts)
}
