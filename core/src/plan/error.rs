//! Why a pod and a profile cannot be brought together.

use super::{InitImageError, PipesError, Version};
use crate::names;
use crate::pod::WrongType;
use crate::profile::spec::EnvMode;
use crate::profile::templates::{FieldError, InvalidTemplate};
use crate::quantity::Quantity;
use crate::quote::quoted;
use crate::template::RenderError;

/// Why a pod cannot be booted as asked. Each message names the field and says what to change.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PlanError {
    /// The pod has no containers.
    #[error("spec.containers is empty: add a container")]
    NoContainers,
    /// The pod has more containers than planning is bounded for.
    #[error("the pod has {count} containers, the limit is {limit}: split it into several pods")]
    TooManyContainers {
        /// How many it has.
        count: usize,
        /// How many it may have.
        limit: usize,
    },
    /// The containers annotation names one that is not there.
    #[error(
        "annotation {} names container {name:?}, which does not exist in the pod: use one of {}",
        names::ANNOTATION_CONTAINERS,
        quoted(known)
    )]
    UnknownContainer {
        /// What the annotation names.
        name: String,
        /// What there is.
        known: Vec<String>,
    },
    /// The containers annotation names an init container, which comes before boot.
    #[error(
        "annotation {} names init container {name:?}, which runs before boot because boot.position of BootProfile \
         {profile:?} is Last: set boot.position to First, or name only containers that start after boot ({})",
        names::ANNOTATION_CONTAINERS,
        quoted(known)
    )]
    InitContainer {
        /// What the annotation names.
        name: String,
        /// The profile.
        profile: String,
        /// The pod's containers.
        known: Vec<String>,
    },
    /// An init container is to get the boot env by a hook, which it cannot have.
    #[error(
        "init container {container:?} cannot get the boot env from a hook, because {because} and Kubernetes runs no lifecycle \
         hooks in init containers: set another env.mode, or remove the container from annotation {}",
        names::ANNOTATION_CONTAINERS
    )]
    NoHook {
        /// The container.
        container: String,
        /// Who asks for it.
        because: String,
    },
    /// An init container would run without the boot env, and no hook can fail it for that.
    #[error(
        "init container {container:?} has no command{because}, so the launcher cannot load the boot env: set the image's \
         entrypoint as `command` of the container, in annotation {} or in env.images of the BootProfile, or remove the \
         container from annotation {}",
        names::ANNOTATION_ENTRYPOINT,
        names::ANNOTATION_CONTAINERS
    )]
    InitCommandUnknown {
        /// The container.
        container: String,
        /// Why the registry does not tell, in parentheses; empty where it was not asked.
        because: String,
    },
    /// The containers annotation names none.
    #[error(
        "annotation {} is empty: name the task containers, separated by commas, or remove the annotation",
        names::ANNOTATION_CONTAINERS
    )]
    NoContainerNamed,
    /// A name that Bootlace uses is taken.
    #[error("{field} {name:?} has a name that is reserved for Bootlace: rename it")]
    NameTaken {
        /// The container or volume.
        field: &'static str,
        /// Its name.
        name: String,
    },
    /// A mount of Bootlace's and another one cannot be made in one container.
    #[error("container {container:?} {what}: {remedy}")]
    Mounts {
        /// The container.
        container: String,
        /// Both mounts, and what is wrong with them.
        what: String,
        /// What to change.
        remedy: String,
    },
    /// The pod mounts a volume of Bootlace's.
    #[error(
        "container {container:?} mounts volume {volume:?} at {path}, which is reserved for Bootlace: remove the mount; to give \
         the container the fetched files, name it in annotation {}",
        names::ANNOTATION_CONTAINERS
    )]
    VolumeOfOurs {
        /// The container.
        container: String,
        /// The volume.
        volume: String,
        /// The path.
        path: String,
    },
    /// The pod's node has another architecture than Bootlace's image.
    #[error("the node selector or affinity of the pod requires architecture {asked}, which the Bootlace image does not support: \
         set boot.image of BootProfile {profile:?} to a Bootlace image for {asked}, or allow nodes with {}",
        names::IMAGE_ARCHITECTURES.join(" or "))]
    Architecture {
        /// What the pod asks for.
        asked: String,
        /// The profile.
        profile: String,
    },
    /// Somebody asks for the launcher, and a container's command is not known.
    #[error(
        "container {container:?} has no command{because}, and {asks}, which needs one: set the image's entrypoint as \
         `command` of the container, in annotation {} or in env.images of the BootProfile, or set env.mode to Auto",
        names::ANNOTATION_ENTRYPOINT
    )]
    CommandUnknown {
        /// The container.
        container: String,
        /// Why the registry does not tell, in parentheses; empty where it was not asked.
        because: String,
        /// Who asks for the launcher.
        asks: String,
    },
    /// The entrypoint annotation cannot be meant so.
    #[error(
        "annotation {} {what}: set a JSON array of strings such as [\"python\", \"-m\", \"job\"], or a JSON object with \
         such an array for each container",
        names::ANNOTATION_ENTRYPOINT
    )]
    Entrypoint {
        /// What is wrong with it.
        what: String,
    },
    /// The env mode annotation names no mode.
    #[error("annotation {} is {says:?}, which is not an env mode: set one of {}, or remove the annotation",
        names::ANNOTATION_ENV_MODE,
        EnvMode::ALL.map(EnvMode::as_str).join(", "))]
    EnvMode {
        /// What it says.
        says: String,
    },
    /// The cluster does not know `fileKeyRef`.
    #[error(
        "{asks}, which requires Kubernetes {} or later, but the API server has version {version}: set another env.mode",
        Version::FILE_KEY_REF
    )]
    TooOldForFile {
        /// Who asks for the mode.
        asks: String,
        /// The API server's version.
        version: Version,
    },
    /// No variables are named for `fileKeyRef`.
    #[error(
        "{asks}, but env.file.keys of BootProfile {profile:?} is empty: list the names of the variables there, or set \
         another env.mode"
    )]
    NoFileKeys {
        /// Who asks for the mode.
        asks: String,
        /// The profile.
        profile: String,
    },
    /// A Secret is asked for, and there is no store to create it.
    #[error(
        "{asks}, but the Bootlace store is not installed: install the chart with store.enabled=true, or set env.mode to \
         Auto"
    )]
    NoStore {
        /// Who asks for it.
        asks: String,
    },
    /// A Secret would be named after a review, and there is none.
    #[error(
        "the boot env would be delivered in a Secret because {because}, but the Secret is named after the admission request \
         and there is none here: create the pod on a cluster, or {remedy}"
    )]
    NoReview {
        /// Why it takes its env from a Secret.
        because: String,
        /// How it need not.
        remedy: &'static str,
    },
    /// What a pod that came injected is told cannot be read.
    #[error(
        "container {container:?} of the pod, which is already injected, has an invalid {env}: create the pod from its \
         original manifest, without the injected containers"
    )]
    InjectedUnreadable {
        /// The container.
        container: &'static str,
        /// The variable.
        env: &'static str,
    },
    /// What a pod that came injected is told is not what it would be told now.
    #[error(
        "the pod is already injected, but {what} is {has:?} instead of {planned:?}: create the pod from its original \
         manifest, without the injected containers"
    )]
    InjectedOtherwise {
        /// What differs.
        what: &'static str,
        /// What it is in the pod.
        has: String,
        /// What it would be.
        planned: String,
    },
    /// A field that is read only where it is needed has another type than the API gives it.
    #[error(transparent)]
    WrongType(#[from] WrongType),
    /// A postStart handler that the hook cannot take over.
    #[error(
        "container {container:?} has a postStart handler of type {handler}, which the Bootlace hook cannot run: use exec, \
         sleep or httpGet"
    )]
    Handler {
        /// The container.
        container: String,
        /// The handler's kind.
        handler: &'static str,
    },
    /// The env mode needs the hook, and the profile allows none.
    #[error(
        "{asks}, which needs the postStart hook, but hook.when of BootProfile {profile:?} is Never: set hook.when to Auto, or \
         set another env.mode"
    )]
    NeedsHook {
        /// Who asks for the mode.
        asks: String,
        /// The profile.
        profile: String,
    },
    /// The boot env cannot be loaded, and without the hook the task would run without it.
    #[error(
        "container {container:?} has no command{because}, so the launcher cannot load the boot env, and without the hook \
         (hook.when of BootProfile {profile:?} is Never) the task would run without it: set the image's entrypoint as \
         `command` of the container, in annotation {} or in env.images of the BootProfile, or set hook.when to Auto",
        names::ANNOTATION_ENTRYPOINT
    )]
    Unnoticed {
        /// The container.
        container: String,
        /// Why the registry does not tell, in parentheses; empty where it was not asked.
        because: String,
        /// The profile.
        profile: String,
    },
    /// The pod names a boot image of its own that it may not have.
    #[error(transparent)]
    InitImage(#[from] InitImageError),
    /// What the pod declares cannot be handed over.
    #[error(transparent)]
    Pipes(#[from] PipesError),
    /// What boot must be told does not fit into one env variable.
    #[error(
        "the boot configuration has {size} bytes, the limit is {limit}: move inline sources of BootProfile {profile:?} to a \
         ConfigMap"
    )]
    SpecTooLarge {
        /// Its size in bytes.
        size: usize,
        /// The limit in bytes.
        limit: usize,
        /// The profile.
        profile: String,
    },
    /// The pod's own memory limit is below what booting takes.
    #[error(
        "spec.resources.limits.memory is {limit}, but container {container:?} of BootProfile {profile:?} needs {need}: set it \
         to {need} or more"
    )]
    PodMemory {
        /// The injected container.
        container: &'static str,
        /// The pod's limit.
        limit: Quantity,
        /// What the container needs.
        need: Quantity,
        /// The profile.
        profile: String,
    },
    /// A template cannot be filled in for the pod.
    #[error("BootProfile {profile:?}, {error}")]
    Template {
        /// The profile.
        profile: String,
        /// Where, and why.
        error: InvalidTemplate,
    },
    /// A template could work for no pod.
    #[error(transparent)]
    Unreadable(#[from] InvalidTemplate),
    /// What boot must be told cannot be written as JSON.
    #[error("internal error: failed to serialize the boot configuration ({0}); please report this bug")]
    Unwritable(String),
}

impl PlanError {
    /// The variable that a template asks for and the pod does not tell, where that is what is wrong.
    #[must_use]
    pub fn undefined(&self) -> Option<&str> {
        match self {
            Self::Template {
                error:
                    InvalidTemplate { error: FieldError::Render(RenderError::Undefined { variable, .. }), .. },
                ..
            } => Some(variable),
            _ => None,
        }
    }

    /// Whether the pod asks for what its profile does not allow, rather than for what cannot be.
    #[must_use]
    pub fn is_forbidden(&self) -> bool {
        matches!(self, Self::InitImage(error) if error.is_forbidden())
    }
}
