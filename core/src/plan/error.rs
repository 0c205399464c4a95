//! Why a pod and a profile cannot be brought together.

use super::{InitImageError, PipesError, Version};
use crate::names;
use crate::pod::WrongType;
use crate::profile::spec::EnvMode;
use crate::profile::templates::{FieldError, InvalidTemplate};
use crate::quantity::Quantity;
use crate::template::RenderError;

/// Why a pod cannot be booted as asked. Each message names the field and says what to change.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PlanError {
    /// The pod has no containers.
    #[error("spec.containers is empty: a task needs a container")]
    NoContainers,
    /// The pod has more containers than planning is bounded for.
    #[error("the pod has {count} containers, and the limit is {limit}: split it into several pods")]
    TooManyContainers {
        /// How many it has.
        count: usize,
        /// How many it may have.
        limit: usize,
    },
    /// The containers annotation names one that is not there.
    #[error(
        "the annotation {} names {name:?}, but the pod's containers are {}: name one of these",
        names::ANNOTATION_CONTAINERS,
        known.join(", ")
    )]
    UnknownContainer {
        /// What the annotation names.
        name: String,
        /// What there is.
        known: Vec<String>,
    },
    /// The containers annotation names an init container, which comes before boot.
    #[error(
        "the annotation {} names the init container {name:?}, and BootProfile {profile:?} boots after the pod's init \
         containers: set its boot.position to First, or name only containers that come after boot ({})",
        names::ANNOTATION_CONTAINERS,
        known.join(", ")
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
        "init container {container:?} cannot get the boot env by a hook, because Kubernetes runs none in an init container, \
         and {because}: set another env.mode, or remove the container from the annotation {}",
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
        "init container {container:?} has no command{because}, so the boot env cannot be loaded into it: add the image's \
         entrypoint as `command` to the container, as the pod's annotation {} or in env.images of the BootProfile, or remove \
         the container from the annotation {}",
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
        "the annotation {} is empty: name the task's containers, separated by commas, or remove it",
        names::ANNOTATION_CONTAINERS
    )]
    NoContainerNamed,
    /// A name that Bootlace uses is taken.
    #[error("{field} is called {name:?}, which is Bootlace's own name: rename it")]
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
        "container {container:?} mounts {volume:?} at {path}, which is the name of a volume of Bootlace's own: remove the \
         mount. A container that is a task sees what boot fetched without one: name it in the annotation {}",
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
    #[error(
        "the pod asks for a node of the architecture {asked}, and Bootlace's image is built for {} only: set boot.image of \
         BootProfile {profile:?} to an image of Bootlace that is built for {asked}, or let the pod run on {}",
        names::IMAGE_ARCHITECTURES.join(" and "),
        names::IMAGE_ARCHITECTURES.join(" or ")
    )]
    Architecture {
        /// What the pod asks for.
        asked: String,
        /// The profile.
        profile: String,
    },
    /// Somebody asks for the launcher, and a container's command is not known.
    #[error(
        "container {container:?} has no command{because}, and {asks}: add the image's entrypoint as `command` to the \
         container, as the pod's annotation {} or in env.images of the BootProfile, or set env.mode to Auto",
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
        "the annotation {} {what}: write a JSON array of strings such as [\"python\", \"-m\", \"job\"], or an \
         object of such arrays by container",
        names::ANNOTATION_ENTRYPOINT
    )]
    Entrypoint {
        /// What is wrong with it.
        what: String,
    },
    /// The env mode annotation names no mode.
    #[error(
        "the annotation {} is {says:?}, which is no env mode: write one of {}, or remove it",
        names::ANNOTATION_ENV_MODE,
        EnvMode::ALL.map(EnvMode::as_str).join(", ")
    )]
    EnvMode {
        /// What it says.
        says: String,
    },
    /// The cluster does not know `fileKeyRef`.
    #[error(
        "{asks}, which takes Kubernetes {} or later, and the API server is {version}: set another env.mode",
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
        "{asks}, and BootProfile {profile:?} names no variables to hand over: list them under env.file.keys, or set \
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
        "{asks}, and no store is installed to create the Secret: install the chart with store.enabled, or set the mode \
         to Auto"
    )]
    NoStore {
        /// Who asks for it.
        asks: String,
    },
    /// A Secret would be named after a review, and there is none.
    #[error(
        "the pod would take its env from a Secret ({because}), whose name is made from the API server's own request, and \
         there is none here: create the pod on a cluster, or {remedy}"
    )]
    NoReview {
        /// Why it takes its env from a Secret.
        because: String,
        /// How it need not.
        remedy: &'static str,
    },
    /// What a pod that came injected is told cannot be read.
    #[error(
        "it came injected already, and {env} of its container {container} cannot be read: create the pod without what \
         Bootlace injected, and it is injected again"
    )]
    InjectedUnreadable {
        /// The container.
        container: &'static str,
        /// The variable.
        env: &'static str,
    },
    /// What a pod that came injected is told is not what it would be told now.
    #[error(
        "it came injected already, and {what} is {has:?}, where {planned:?} would be planned for it now: create the pod \
         without what Bootlace injected, and it is injected again"
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
        "container {container:?} has a postStart handler {handler}, which Bootlace's hook cannot run after its own: \
         use exec, sleep or httpGet"
    )]
    Handler {
        /// The container.
        container: String,
        /// The handler's kind.
        handler: &'static str,
    },
    /// The env mode needs the hook, and the profile allows none.
    #[error(
        "{asks}, which needs the postStart hook, and BootProfile {profile:?} has hook.when Never: set hook.when to Auto \
         there, or another env mode"
    )]
    NeedsHook {
        /// Who asks for the mode.
        asks: String,
        /// The profile.
        profile: String,
    },
    /// The boot env cannot be loaded, and without the hook the task would run without it.
    #[error(
        "container {container:?} has no command{because}, so the boot env cannot be loaded into it, and with hook.when \
         Never of BootProfile {profile:?} it would run without: add the image's entrypoint as `command` to the \
         container, as the pod's annotation {} or in env.images of the BootProfile",
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
        "what boot must be told takes {size} bytes, and {limit} is the limit: move inline sources of BootProfile \
         {profile:?} to a ConfigMap"
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
        "spec.resources.limits.memory is {limit}, and {container} needs {need} of memory, whatever BootProfile {profile:?} \
         fetches: raise it to {need} or more"
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
    #[error("what boot must be told cannot be written: {0}")]
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
