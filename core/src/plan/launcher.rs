//! The commands of the launcher in a task container.

use bootlace_launch::termination;

use super::PlanError;
use crate::names;
use crate::pod::{Container, HttpGet, LifecycleHandler};
use crate::profile::hooks::{CommandHook, OnFailure};

/// The command of the launcher, which runs the `preLaunch` hooks, and supervises the task if `handover`
/// contains flags for that.
pub(super) fn command(
    container: &Container<'_>,
    handover: Vec<String>,
    pre_launch: &[CommandHook],
) -> Vec<String> {
    let mut words = role_command(if handover.is_empty() { "exec" } else { "run" }, container);
    words.extend(handover);
    words.extend(hooks(pre_launch));
    words.push("--".to_owned());
    words
}

/// The first words of all commands of the launcher: `launch exec --container=base`.
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

/// The flags of hooks.
pub(super) fn hooks(hooks: &[CommandHook]) -> impl Iterator<Item = String> {
    hooks.iter().flat_map(|hook| {
        let on_failure = match hook.on_failure {
            OnFailure::Fail => "fail",
            OnFailure::Ignore => "ignore",
        };
        let flag = format!("--hook={}:{}:{on_failure}", hook.name, hook.timeout_seconds);
        let arguments = hook.exec.iter().map(|word| format!("--argument={word}"));
        [flag].into_iter().chain(arguments)
    })
}

/// The words of the handler in `field` of a container, which are the last of a command of the launcher.
///
/// # Errors
/// The launcher cannot run this kind of handler.
pub(super) fn handler(
    container: &Container<'_>,
    field: &'static str,
    handler: Option<&LifecycleHandler<'_>>,
) -> Result<Vec<String>, PlanError> {
    match handler {
        None => Ok(Vec::new()),
        Some(LifecycleHandler::Exec(command)) => {
            Ok(["--"].iter().chain(command).map(|&word| word.to_owned()).collect())
        }
        Some(LifecycleHandler::Sleep(seconds)) => Ok(vec![format!("--sleep={seconds}")]),
        Some(LifecycleHandler::HttpGet(get)) => Ok(http_flags(get).collect()),
        Some(LifecycleHandler::Other(handler)) => {
            Err(PlanError::Handler { container: container.name.to_owned(), field, handler })
        }
    }
}

/// Without a host, the launcher sends the request to the address of the pod, as the kubelet does.
fn http_flags(get: &HttpGet<'_>) -> impl Iterator<Item = String> {
    // An IPv6 address is put in brackets, as in the kubelet, which joins host and port (net.JoinHostPort).
    let host = match get.host.unwrap_or_default() {
        address if address.contains(':') && !address.starts_with('[') => format!("[{address}]"),
        host => host.to_owned(),
    };
    let slash = if get.path.starts_with('/') { "" } else { "/" };
    let scheme = if get.https { "https" } else { "http" };
    let url = format!("--http={scheme}://{host}:{}{slash}{}", get.port, get.path);
    let headers = get.headers.iter().map(|(name, value)| format!("--header={name}:{value}"));
    [url].into_iter().chain(headers)
}
