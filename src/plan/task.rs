//! What a task container becomes: mounts, a launcher in front of its command, a postStart hook.

use k8s_openapi::api::core::v1 as core;

use super::{EnvWay, PlanError, Recipe};
use crate::names;
use crate::pod::{Container, HttpGet, PostStart};
use crate::profile::Profile;
use crate::profile::spec::{BootProfileSpec, EnvMode, Layout};

/// What a task container becomes.
#[derive(Debug, Clone, PartialEq)]
pub struct Task {
    /// Its place in `spec.containers`.
    pub index: usize,
    /// Its name.
    pub name: String,
    /// Whether `volumeMounts` is there already.
    pub has_mounts: bool,
    /// How the boot env gets into it.
    pub command: Command,
    /// The command of the postStart hook.
    pub hook: Vec<String>,
    /// Whether `lifecycle` is there already.
    pub has_lifecycle: bool,
    /// Whether the hook takes over a postStart handler of the pod's own.
    pub replaces_handler: bool,
}

/// How the boot env gets into a container, and what becomes of its command.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Command {
    /// These words go in front of it.
    Launched(Vec<String>),
    /// It stays as it is: the kubelet puts the boot env into the container, from a Secret.
    Secret {
        /// Whether `envFrom` is there already.
        has_env_from: bool,
    },
    /// The spec does not name it: it stays with the image, which sources the boot env itself.
    Sourcing,
    /// The spec does not name it: it stays with the image, and the boot env cannot be loaded.
    Unknown,
}

/// Where the kubelet takes a container's termination message from, unless the container says otherwise.
const TERMINATION_LOG: &str = "/dev/termination-log";

impl Task {
    /// The way that the boot env takes into it.
    pub(super) fn env_way(&self) -> EnvWay {
        match self.command {
            Command::Launched(_) => EnvWay::Launch,
            Command::Secret { .. } => EnvWay::Secret,
            Command::Sourcing => EnvWay::Sourced,
            Command::Unknown => EnvWay::None,
        }
    }

    /// What the pod's author should know.
    pub(super) fn warning(&self) -> Option<String> {
        let name = &self.name;
        (self.command == Command::Unknown).then(|| format!(
            "bootlace: container {name:?} has no command, so the boot env cannot be loaded into it: add the image's \
             entrypoint as `command`. Assets and hook are injected; where there is boot env, the hook will fail it."
        ))
    }
}

pub(super) fn plan(container: &Container<'_>, recipe: &Recipe) -> Result<Task, PlanError> {
    let profile = &recipe.profile;
    check_paths_are_free(container, profile)?;
    let command = command(container, recipe)?;
    Ok(Task {
        index: container.index,
        name: container.name.to_owned(),
        has_mounts: container.mounts.is_some(),
        hook: hook(container, profile.spec.hook.timeout_seconds, &command)?,
        command,
        has_lifecycle: container.has_lifecycle,
        replaces_handler: container.post_start.is_some(),
    })
}

fn command(container: &Container<'_>, recipe: &Recipe) -> Result<Command, PlanError> {
    let profile = || recipe.profile.name.clone();
    let secret = Command::Secret { has_env_from: container.has_env_from };
    match (recipe.profile.spec.env.mode, &container.command) {
        // Its images do that themselves, whoever else is there.
        (EnvMode::Auto, None) if recipe.profile.spec.assets.layout == Layout::Optimus => {
            Ok(Command::Sourcing)
        }
        (EnvMode::Secret, _) | (EnvMode::Auto, None) if recipe.store.is_some() => Ok(secret),
        (EnvMode::Secret, _) => Err(PlanError::NoStore { profile: profile() }),
        (EnvMode::Auto | EnvMode::Launch, Some(_)) => Ok(Command::Launched(launcher(container))),
        (EnvMode::Launch, None) => {
            Err(PlanError::CommandUnknown { container: container.name.to_owned(), profile: profile() })
        }
        (EnvMode::Auto, None) => Ok(Command::Unknown),
    }
}

/// The mounts of a task container.
pub(super) fn mounts(profile: &BootProfileSpec) -> Vec<core::VolumeMount> {
    let mount = |path: &str, sub_path: Option<&str>| core::VolumeMount {
        name: names::VOLUME.to_owned(),
        mount_path: path.to_owned(),
        read_only: Some(true),
        sub_path: sub_path.map(str::to_owned),
        ..core::VolumeMount::default()
    };
    let ours = [
        mount(names::MOUNT, None),
        // By subPath, so that a task sees its files only, at the path that its image expects.
        mount(&profile.assets.files(), Some(names::DIR_ASSETS)),
    ];
    let data = profile.assets.writable().map(|path| core::VolumeMount {
        name: names::VOLUME_DATA.to_owned(),
        mount_path: path.to_owned(),
        ..core::VolumeMount::default()
    });
    ours.into_iter().chain(data).collect()
}

fn check_paths_are_free(container: &Container<'_>, profile: &Profile) -> Result<(), PlanError> {
    let same = |a: &str, b: &str| a.trim_end_matches('/') == b.trim_end_matches('/');
    let assets = &profile.spec.assets;
    let ours = [names::MOUNT, &assets.files(), assets.mount_path()];
    match container.mounts.iter().flatten().find(|mount| ours.iter().any(|path| same(path, mount.path))) {
        None => Ok(()),
        Some(mount) => Err(PlanError::PathTaken {
            container: container.name.to_owned(),
            volume: mount.volume.to_owned(),
            path: mount.path.to_owned(),
            profile: profile.name.clone(),
        }),
    }
}

fn launcher(container: &Container<'_>) -> Vec<String> {
    let mut words = call("exec", container);
    words.push("--".to_owned());
    words
}

/// The start of every call of the launcher: `launch exec --container=base`.
fn call(role: &str, container: &Container<'_>) -> Vec<String> {
    let mut words = vec![
        format!("{}/{}", names::MOUNT, names::FILE_LAUNCHER),
        role.to_owned(),
        format!("--container={}", container.name),
    ];
    if let Some(path) = container.termination_message_path.filter(|path| *path != TERMINATION_LOG) {
        words.push(format!("--termination-log={path}"));
    }
    words
}

/// The hook's command: the proof, where there can be one, then the pod's own handler, which the hook takes over.
fn hook(
    container: &Container<'_>,
    timeout_seconds: u32,
    command: &Command,
) -> Result<Vec<String>, PlanError> {
    let mut words = call("hook", container);
    if *command == Command::Sourcing {
        words.push("--env=sourced".to_owned());
    }
    // A sleep that the pod asks for comes on top: it would not fit otherwise, and fail at once.
    let sleep = match &container.post_start {
        Some(PostStart::Sleep(seconds)) => u32::try_from(*seconds).unwrap_or_default(),
        _ => 0,
    };
    words.push(format!("--timeout={}", timeout_seconds.saturating_add(sleep)));
    match &container.post_start {
        None => {}
        Some(PostStart::Exec(command)) => {
            words.push("--".to_owned());
            words.extend(command.iter().map(|&word| word.to_owned()));
        }
        Some(PostStart::Sleep(seconds)) => words.push(format!("--sleep={seconds}")),
        Some(PostStart::HttpGet(get)) if !get.https => words.extend(http(get)),
        Some(PostStart::HttpGet(_)) => return Err(refused(container, "httpGet with scheme HTTPS")),
        Some(PostStart::Other(kind)) => return Err(refused(container, kind)),
    }
    Ok(words)
}

fn refused(container: &Container<'_>, handler: &'static str) -> PlanError {
    PlanError::Handler { container: container.name.to_owned(), handler }
}

/// Without a host the kubelet calls the pod's own address, and so does the launcher.
fn http(get: &HttpGet<'_>) -> Vec<String> {
    let host = get.host.unwrap_or_default();
    let slash = if get.path.starts_with('/') { "" } else { "/" };
    let url = format!("--http=http://{host}:{}{slash}{}", get.port, get.path);
    let headers = get.headers.iter().map(|(name, value)| format!("--header={name}:{value}"));
    [url].into_iter().chain(headers).collect()
}
