//! The postStart hook of a task container: whether there is one, and what it is told.

use super::entrypoint::ContainerCommand;
use super::{EnvDelivery, PlanError, PreparedProfile, task};
use crate::pod::{Container, HttpGet, PostStart};
use crate::profile::hook::{Hook, HookWhen, UnreadableProcess};

/// The hook's command, where `container` gets a hook. `asks` says who chose the env mode.
pub(super) fn plan(
    container: &Container<'_>,
    way: EnvDelivery,
    runs: &ContainerCommand,
    asks: impl FnOnce() -> String,
    recipe: &PreparedProfile,
) -> Result<Option<Vec<String>>, PlanError> {
    let hook = &recipe.profile.spec.hook;
    let has_hook = match hook.when {
        HookWhen::Always => true,
        HookWhen::Auto => {
            container.post_start.is_some() || !hook.commands.is_empty() || has_to_prove(way, recipe)
        }
        HookWhen::Never => {
            check_goes_without(container, way, runs, asks, recipe)?;
            false
        }
    };
    has_hook.then(|| command(container, way, hook)).transpose()
}

/// Whether the hook writes the env, or would notice that it did not arrive.
fn has_to_prove(way: EnvDelivery, recipe: &PreparedProfile) -> bool {
    match way {
        EnvDelivery::Hook => true,
        // The launcher starts no task without it, and what an image sources later nobody can prove.
        EnvDelivery::Launch | EnvDelivery::Sourced => false,
        EnvDelivery::Secret | EnvDelivery::File | EnvDelivery::None => !recipe.given.is_empty(),
    }
}

/// Whether a task without a hook has its env, or does not start.
fn check_goes_without(
    container: &Container<'_>,
    way: EnvDelivery,
    runs: &ContainerCommand,
    asks: impl FnOnce() -> String,
    recipe: &PreparedProfile,
) -> Result<(), PlanError> {
    let profile = || recipe.profile.name.clone();
    match way {
        EnvDelivery::Hook | EnvDelivery::File => {
            Err(PlanError::NeedsHook { asks: asks(), profile: profile() })
        }
        EnvDelivery::None if !recipe.given.is_empty() => Err(PlanError::Unnoticed {
            container: container.name.to_owned(),
            because: runs.why_unknown(),
            profile: profile(),
        }),
        EnvDelivery::Launch | EnvDelivery::Secret | EnvDelivery::Sourced | EnvDelivery::None => Ok(()),
    }
}

/// The hook's command: the proof, the profile's own commands, then the pod's own handler, which the hook takes over.
fn command(container: &Container<'_>, way: EnvDelivery, says: &Hook) -> Result<Vec<String>, PlanError> {
    let mut words = task::role_command("hook", container);
    match way {
        // By a Secret the kubelet gives it to the hook as well as to the task, so there is nothing else to prove.
        EnvDelivery::Launch | EnvDelivery::Secret => {}
        EnvDelivery::None => words.push("--env=none".to_owned()),
        EnvDelivery::File => words.push("--env=file".to_owned()),
        EnvDelivery::Sourced => words.push("--env=sourced".to_owned()),
        EnvDelivery::Hook => words.push("--env=home".to_owned()),
    }
    if says.unreadable == UnreadableProcess::Warn {
        words.push("--unreadable=warn".to_owned());
    }
    for command in &says.commands {
        let Some((program, arguments)) = command.split_first() else { continue };
        words.push(format!("--command={program}"));
        words.extend(arguments.iter().map(|argument| format!("--argument={argument}")));
    }
    // A sleep that the pod asks for comes on top: it would not fit otherwise, and fail at once.
    let sleep = match &container.post_start {
        Some(PostStart::Sleep(seconds)) => u32::try_from(*seconds).unwrap_or_default(),
        _ => 0,
    };
    words.push(format!("--timeout={}", says.timeout_seconds.saturating_add(sleep)));
    match &container.post_start {
        None => {}
        Some(PostStart::Exec(command)) => {
            words.push("--".to_owned());
            words.extend(command.iter().map(|&word| word.to_owned()));
        }
        Some(PostStart::Sleep(seconds)) => words.push(format!("--sleep={seconds}")),
        Some(PostStart::HttpGet(get)) => words.extend(http(get)),
        Some(PostStart::Other(handler)) => {
            return Err(PlanError::Handler { container: container.name.to_owned(), handler });
        }
    }
    Ok(words)
}

/// Without a host the kubelet calls the pod's own address, and so does the launcher.
fn http(get: &HttpGet<'_>) -> Vec<String> {
    // An IPv6 address stands in brackets, as where the kubelet joins host and port (net.JoinHostPort).
    let host = match get.host.unwrap_or_default() {
        address if address.contains(':') && !address.starts_with('[') => format!("[{address}]"),
        host => host.to_owned(),
    };
    let slash = if get.path.starts_with('/') { "" } else { "/" };
    let scheme = if get.https { "https" } else { "http" };
    let url = format!("--http={scheme}://{host}:{}{slash}{}", get.port, get.path);
    let headers = get.headers.iter().map(|(name, value)| format!("--header={name}:{value}"));
    [url].into_iter().chain(headers).collect()
}
