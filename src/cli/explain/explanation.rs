//! What `explain` shows of an injected pod, whether it is known from the plan or from the pod itself.

use std::collections::BTreeMap;

use super::hook::Hook;
use super::steps::OverlaySummary;
use bootlace_core::abort::HooksConfig;
use bootlace_core::identity::{Identity, Schedulers};
use bootlace_core::input::AwaitedOutput;
use bootlace_core::names;
use bootlace_core::output::{DeclaredOutput, SidecarConfig};
use bootlace_core::plan::boot_spec::BootSource;
use bootlace_core::plan::{BootSpec, EnvDelivery, InjectedAnnotation};
use bootlace_core::pod::{Container, List, Pod};
use bootlace_core::profile::hooks::RequestHook;
use bootlace_core::selection::{MatchReason, Selection, SkipReason, select};

/// An injected pod.
#[derive(Debug, PartialEq)]
pub(super) struct Explanation {
    /// Title of the scheduler, if it is known.
    pub(super) scheduler: Option<String>,
    pub(super) task: Identity,
    /// Why the pod is a task.
    pub(super) reason: MatchReason,
    /// The annotation that Bootlace adds to the pod.
    pub(super) annotation: InjectedAnnotation,
    /// The links of the profile, by name.
    pub(super) links: BTreeMap<String, String>,
    /// The outputs of earlier tasks that the pod waits for.
    pub(super) awaits: Vec<AwaitedOutput>,
    /// Whether it also waits for its volumes.
    pub(super) waits_for_volumes: bool,
    /// The container of the boot image that the pod selects.
    pub(super) init_image: Option<InitImage>,
    /// Image of the boot container.
    pub(super) boot_image: String,
    pub(super) timeout_seconds: u32,
    pub(super) sources: Vec<BootSource>,
    /// Size limit of the volume.
    pub(super) volume_size: Option<String>,
    /// Whether the volume contains the launcher with TLS.
    pub(super) http_get: bool,
    pub(super) sidecar: Option<Sidecar>,
    pub(super) tasks: Vec<Task>,
    /// The init containers that are not tasks, but mount files of boot.
    pub(super) others: Vec<OtherContainer>,
    /// The overlays that are applied, if the pod is not injected yet.
    pub(super) overlays: Vec<OverlaySummary>,
    /// Descriptions of inputs that cannot be resolved here.
    pub(super) unresolved: Vec<String>,
    pub(super) warnings: Vec<String>,
}

/// The container of a boot image that a pod selects.
#[derive(Debug, PartialEq)]
pub(super) struct InitImage {
    pub(super) image: String,
    /// The command that the launcher starts.
    pub(super) command: Vec<String>,
}

/// The sidecar that stores the outputs of the task, and runs hooks.
#[derive(Debug, PartialEq)]
pub(super) struct Sidecar {
    pub(super) outputs: Vec<DeclaredOutput>,
    pub(super) time_to_live_seconds: u64,
    /// Descriptions of the hooks.
    pub(super) hooks: Vec<String>,
}

impl Sidecar {
    /// The sidecar with this configuration. `hooks` is the value of `BOOTLACE_HOOKS`.
    pub(super) fn new(config: &SidecarConfig<'_>, hooks: Option<&str>) -> Self {
        // Only the webhook writes it. If another version wrote it, the hooks are not shown.
        let hooks: HooksConfig<'_> =
            hooks.and_then(|text| serde_json::from_str(text).ok()).unwrap_or_default();
        let lists = [
            (&hooks.post_kill, "postKill", "after the task has ended"),
            (&hooks.abort, "abort", "if the task is ended by others"),
        ];
        let describe = |hook: &RequestHook, list: &str, when: &str| {
            let http = hook.http.as_ref()?;
            let (name, method, url) = (&hook.name, http.method.as_str(), &http.url);
            Some(format!("{list} hook {name}: {method} {url}, {when}"))
        };
        let hooks = lists
            .iter()
            .flat_map(|(hooks, list, when)| hooks.iter().filter_map(move |hook| describe(hook, list, when)));
        Self {
            outputs: config.outputs.clone(),
            time_to_live_seconds: config.time_to_live_seconds,
            hooks: hooks.collect(),
        }
    }
}

/// A task container.
#[derive(Debug, PartialEq)]
pub(super) struct Task {
    pub(super) list: List,
    pub(super) name: String,
    pub(super) mounts: Vec<Mount>,
    pub(super) delivery: EnvDelivery,
    pub(super) hook: TaskHook,
    /// Names of the `preLaunch` hooks.
    pub(super) pre_launch: Vec<String>,
    /// Names of the `preKill` hooks.
    pub(super) pre_kill: Vec<String>,
    pub(super) overrides: Overrides,
}

/// The postStart hook of a task container.
#[derive(Debug, PartialEq)]
pub(super) enum TaskHook {
    Hook(Hook),
    /// It has no hook.
    None {
        /// Whether the pod has a postStart handler, which is unchanged.
        has_handler: bool,
    },
    /// It is an init container, for which Kubernetes runs no hooks.
    NotSupported,
}

impl TaskHook {
    pub(super) fn new(hook: Option<Hook>, container: &Container<'_>, has_handler: bool) -> Self {
        match hook {
            Some(hook) => Self::Hook(hook),
            None if container.ends_before_tasks() => Self::NotSupported,
            None => Self::None { has_handler },
        }
    }
}

/// The variables in which the spec of a task container and the boot env meet.
#[derive(Debug, PartialEq)]
pub(super) struct Overrides {
    /// The variables of the pod that override the boot env.
    pub(super) kept: Vec<String>,
    /// Whether variables of `envFrom` do, too.
    pub(super) env_from: bool,
    /// How many texts of the spec reference variables of boot.
    pub(super) references: usize,
}

impl Overrides {
    pub(super) fn new(config: &BootSpec<'_>, container: &str) -> Self {
        let kept = config.keep.get(container).into_iter().flatten();
        Self {
            kept: kept.map(|name| name.clone().into_owned()).collect(),
            env_from: config.env_from_prefixes.contains_key(container),
            references: config.references.get(container).map_or(0, Vec::len),
        }
    }
}

/// An init container that is not a task, but mounts files of boot.
#[derive(Debug, PartialEq)]
pub(super) struct OtherContainer {
    pub(super) name: String,
    pub(super) mounts: Vec<Mount>,
}

/// A mount of Bootlace.
#[derive(Debug, PartialEq)]
pub(super) struct Mount {
    pub(super) content: MountContent,
    pub(super) path: String,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum MountContent {
    Assets,
    BootVolume,
    /// A writable directory around the assets.
    Writable,
    /// The volume for the outputs of the task.
    Outputs,
    /// An output of an earlier task.
    Input,
}

impl Mount {
    /// `None` if the volume is not from Bootlace.
    pub(super) fn new(volume: &str, has_sub_path: bool, path: &str) -> Option<Self> {
        let content = match volume {
            names::VOLUME if has_sub_path => MountContent::Assets,
            names::VOLUME => MountContent::BootVolume,
            names::VOLUME_DATA => MountContent::Writable,
            names::VOLUME_RUN => MountContent::Outputs,
            name if name.starts_with(names::VOLUME_PIPE_PREFIX) => MountContent::Input,
            _ => return None,
        };
        Some(Self { content, path: path.to_owned() })
    }

    /// The mounts in the spec of a container.
    pub(super) fn of_container(container: &Container<'_>) -> impl Iterator<Item = Self> {
        let mounts = container.mounts.iter().flatten();
        mounts.filter_map(|mount| Self::new(mount.volume, mount.sub_path.is_some(), mount.path))
    }
}

/// The title of the scheduler that created the pod, if it is known.
pub(super) fn scheduler(pod: &Pod<'_>, schedulers: &Schedulers) -> Option<String> {
    schedulers.detect(pod).map(|scheduler| scheduler.title().to_string())
}

/// The reason why the pod is a task, apart from its injection.
pub(super) fn match_reason(pod: &Pod<'_>, schedulers: &Schedulers) -> MatchReason {
    let mut before_injection = pod.clone();
    before_injection.init_containers = Vec::new();
    match select(&before_injection, None, schedulers) {
        Selection::Task { reason, .. } => reason,
        // It has no init containers here.
        Selection::Overtaken(_)
        | Selection::Skip(
            SkipReason::OptedOut
            | SkipReason::NotATask
            | SkipReason::AlreadyInjected
            | SkipReason::MirrorPod
            | SkipReason::Windows,
        ) => MatchReason::Label,
    }
}

/// The words after `--` in the command of the launcher.
pub(super) fn launched_command<'w>(words: impl IntoIterator<Item = &'w str>) -> Vec<String> {
    words.into_iter().skip_while(|word| *word != "--").skip(1).map(str::to_owned).collect()
}
