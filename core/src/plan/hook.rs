//! The postStart hook of a task container: whether it has one, and its command.

use super::entrypoint::ContainerCommand;
use super::{EnvDelivery, PlanError, PreparedProfile, launcher};
use crate::pod::{Container, LifecycleHandler};
use crate::profile::BootProfileSpec;
use crate::profile::hook::{HookWhen, UnreadableProcess};

/// The command of the hook, if `container` gets a hook. `mode` describes the env mode for messages.
pub(super) fn plan(
    container: &Container<'_>,
    delivery: EnvDelivery,
    command: &ContainerCommand,
    mode: impl FnOnce() -> String,
    prepared: &PreparedProfile,
) -> Result<Option<Vec<String>>, PlanError> {
    let hook = &prepared.profile.spec.hook;
    let has_hook = match hook.when {
        HookWhen::Always => true,
        HookWhen::Auto => {
            container.post_start.is_some()
                || !prepared.profile.spec.hooks.post_launch.is_empty()
                || needs_verification(delivery, prepared)
        }
        HookWhen::Never => {
            check_without_hook(container, delivery, command, mode, prepared)?;
            false
        }
    };
    has_hook.then(|| hook_command(container, delivery, &prepared.profile.spec)).transpose()
}

/// Whether the hook writes the boot env, or detects that the task does not have it.
fn needs_verification(delivery: EnvDelivery, prepared: &PreparedProfile) -> bool {
    match delivery {
        EnvDelivery::Hook => true,
        // The launcher starts no task without it. An env that the image sources later cannot be verified.
        EnvDelivery::Launch | EnvDelivery::Sourced => false,
        EnvDelivery::Secret | EnvDelivery::File | EnvDelivery::None => !prepared.env_names.is_empty(),
    }
}

/// Checks that a task without a hook has the boot env, or does not start.
fn check_without_hook(
    container: &Container<'_>,
    delivery: EnvDelivery,
    command: &ContainerCommand,
    mode: impl FnOnce() -> String,
    prepared: &PreparedProfile,
) -> Result<(), PlanError> {
    let profile = || prepared.profile.name.clone();
    match delivery {
        EnvDelivery::Hook | EnvDelivery::File => {
            Err(PlanError::NeedsHook { mode: mode(), profile: profile() })
        }
        EnvDelivery::None if !prepared.env_names.is_empty() => Err(command.required(container, |reason| {
            let container = container.name.to_owned();
            PlanError::CommandUnknownWithoutHook { container, reason, profile: profile() }
        })),
        EnvDelivery::Launch | EnvDelivery::Secret | EnvDelivery::Sourced | EnvDelivery::None => Ok(()),
    }
}

/// The command of the hook: the verification, the `postLaunch` hooks, and the handler of the pod, which the
/// hook runs because it replaces it.
fn hook_command(
    container: &Container<'_>,
    delivery: EnvDelivery,
    profile: &BootProfileSpec,
) -> Result<Vec<String>, PlanError> {
    let hook = &profile.hook;
    let mut words = launcher::role_command("hook", container);
    match delivery {
        // With a Secret, the kubelet sets the env of the hook and of the task, so nothing else must be
        // verified.
        EnvDelivery::Launch | EnvDelivery::Secret => {}
        EnvDelivery::None => words.push("--env=none".to_owned()),
        EnvDelivery::File => words.push("--env=file".to_owned()),
        EnvDelivery::Sourced => words.push("--env=sourced".to_owned()),
        EnvDelivery::Hook => words.push("--env=home".to_owned()),
    }
    if hook.unreadable == UnreadableProcess::Warn {
        words.push("--unreadable=warn".to_owned());
    }
    words.extend(launcher::hooks(&profile.hooks.post_launch));
    // The seconds of a `sleep` handler are added: otherwise they could exceed the timeout.
    let sleep = container.post_start.as_ref().map_or(0, LifecycleHandler::sleep_seconds);
    words.push(format!("--timeout={}", hook.timeout_seconds.saturating_add(sleep)));
    words.extend(launcher::handler(container, "postStart", container.post_start.as_ref())?);
    Ok(words)
}
