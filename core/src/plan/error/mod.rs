//! Why a profile cannot be applied to a pod.

mod hooks;
mod init_image;

pub use hooks::HooksError;
pub use init_image::InitImageError;

use super::{PipesError, Version};
use crate::names;
use crate::overlay::InvalidOverlay;
use crate::pod::WrongType;
use crate::profile::env::EnvMode;
use crate::profile::task_info::{InvalidTaskInfo, TaskInfoProblem};
use crate::profile::templates::{FieldError, InvalidTemplate};
use crate::quantity::Quantity;
use crate::quote::quoted;
use crate::template::RenderError;

/// Why a profile cannot be applied to a pod. Each message contains the field and the remedy.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PlanError {
    /// The pod has no containers.
    #[error("spec.containers is empty: add a container")]
    NoContainers,
    /// The pod has too many containers.
    #[error("the pod has {count} containers, the limit is {limit}: split it into several pods")]
    TooManyContainers {
        /// Number of containers.
        count: usize,
        /// Maximum number.
        limit: usize,
    },
    /// The containers annotation names a container that does not exist.
    #[error(
        "annotation {} names container {name:?}, which does not exist in the pod: use one of {}",
        names::ANNOTATION_CONTAINERS,
        quoted(available)
    )]
    UnknownContainer {
        /// Name in the annotation.
        name: String,
        /// Names of the containers of the pod.
        available: Vec<String>,
    },
    /// The containers annotation names an init container that runs before boot.
    #[error(
        "annotation {} names init container {name:?}, which runs before boot because boot.position of BootProfile \
         {profile:?} is Last: set boot.position to First, or name only containers that start after boot ({})",
        names::ANNOTATION_CONTAINERS,
        quoted(available)
    )]
    InitContainer {
        /// Name in the annotation.
        name: String,
        /// The profile.
        profile: String,
        /// Names of the containers that run after boot.
        available: Vec<String>,
    },
    /// An init container cannot have a hook, which would deliver the boot env.
    #[error(
        "init container {container:?} cannot get the boot env from a hook, because {reason} and Kubernetes runs no lifecycle \
         hooks in init containers: set another env.mode, or remove the container from annotation {}",
        names::ANNOTATION_CONTAINERS
    )]
    NoHook {
        /// The container.
        container: String,
        /// The env mode and its source.
        reason: String,
    },
    /// An init container would run without the boot env, and it cannot have a hook that fails it.
    #[error(
        "init container {container:?} has no command{reason}, so the launcher cannot load the boot env: set the image's \
         entrypoint as `command` of the container, in annotation {} or in env.images of the BootProfile, or remove the \
         container from annotation {}",
        names::ANNOTATION_ENTRYPOINT,
        names::ANNOTATION_CONTAINERS
    )]
    InitCommandUnknown {
        /// The container.
        container: String,
        /// Why the lookup in the registry failed, in parentheses; empty if there was none.
        reason: String,
    },
    /// The containers annotation is empty.
    #[error(
        "annotation {} is empty: name the task containers, separated by commas, or remove the annotation",
        names::ANNOTATION_CONTAINERS
    )]
    NoContainerNamed,
    /// The pod uses a reserved name.
    #[error("{field} {name:?} has a name that is reserved for Bootlace: rename it")]
    NameTaken {
        /// Kind of the object: a container or volume.
        field: &'static str,
        /// Its name.
        name: String,
    },
    /// A mount of Bootlace conflicts with another mount of the container.
    #[error("container {container:?} {problem}: {remedy}")]
    Mounts {
        /// The container.
        container: String,
        /// The two mounts and the conflict.
        problem: String,
        /// How to resolve it.
        remedy: String,
    },
    /// The pod mounts a volume of Bootlace.
    #[error(
        "container {container:?} mounts volume {volume:?} at {path}, which is reserved for Bootlace: remove the mount; to give \
         the container the fetched files, name it in annotation {}",
        names::ANNOTATION_CONTAINERS
    )]
    ReservedVolume {
        /// The container.
        container: String,
        /// The volume.
        volume: String,
        /// The path.
        path: String,
    },
    /// The Bootlace image does not support the architecture of the node.
    #[error("the node selector or affinity of the pod requires architecture {required}, which the Bootlace image does not support: \
         set boot.image of BootProfile {profile:?} to a Bootlace image for {required}, or allow nodes with {}",
        names::IMAGE_ARCHITECTURES.join(" or "))]
    Architecture {
        /// Architectures that the pod allows.
        required: String,
        /// The profile.
        profile: String,
    },
    /// The env mode requires the launcher, but the command of a container is unknown.
    #[error(
        "container {container:?} has no command{reason}, and {mode}, which needs one: set the image's entrypoint as \
         `command` of the container, in annotation {} or in env.images of the BootProfile, or set env.mode to Auto",
        names::ANNOTATION_ENTRYPOINT
    )]
    CommandUnknown {
        /// The container.
        container: String,
        /// Why the lookup in the registry failed, in parentheses; empty if there was none.
        reason: String,
        /// The env mode and its source.
        mode: String,
    },
    /// The entrypoint annotation is invalid.
    #[error(
        "annotation {} {problem}: set a JSON array of strings such as [\"python\", \"-m\", \"job\"], or a JSON object with \
         such an array for each container",
        names::ANNOTATION_ENTRYPOINT
    )]
    Entrypoint {
        /// What is wrong with it.
        problem: String,
    },
    /// The env mode annotation is invalid.
    #[error("annotation {} is {value:?}, which is not an env mode: set one of {}, or remove the annotation",
        names::ANNOTATION_ENV_MODE,
        EnvMode::ALL.map(EnvMode::as_str).join(", "))]
    EnvMode {
        /// Its value.
        value: String,
    },
    /// The cluster does not support `fileKeyRef`.
    #[error(
        "{mode}, which requires Kubernetes {} or later, but the API server has version {version}: set another env.mode",
        Version::FILE_KEY_REF
    )]
    TooOldForFile {
        /// The env mode and its source.
        mode: String,
        /// Version of the API server.
        version: Version,
    },
    /// The cluster does not support image volumes.
    #[error(
        "source {name:?} of BootProfile {profile:?} is an image volume, which requires Kubernetes {} or later, but the API server \
         has version {version}: use a source of kind oci",
        Version::IMAGE_VOLUME
    )]
    TooOldForImageVolume {
        /// Name of the source.
        name: String,
        /// The profile.
        profile: String,
        /// Version of the API server.
        version: Version,
    },
    /// The profile names no variables for `fileKeyRef`.
    #[error(
        "{mode}, but env.file.keys of BootProfile {profile:?} is empty: list the names of the variables there, or set \
         another env.mode"
    )]
    NoFileKeys {
        /// The env mode and its source.
        mode: String,
        /// The profile.
        profile: String,
    },
    /// The env mode requires the store, which is not installed.
    #[error(
        "{mode}, but the Bootlace store is not installed: install the chart with store.enabled=true, or set env.mode to \
         Auto"
    )]
    NoStore {
        /// The env mode and its source.
        mode: String,
    },
    /// The name of the Secret depends on the `AdmissionReview`, but none exists.
    #[error(
        "the boot env would be delivered in a Secret because {reason}, but the Secret is named after the admission request \
         and there is none here: create the pod on a cluster, or {remedy}"
    )]
    NoReview {
        /// Why the env is delivered in a Secret.
        reason: String,
        /// How to avoid it.
        remedy: &'static str,
    },
    /// The configuration of an injected container of the original pod is invalid.
    #[error(
        "container {container:?} of the pod, which is already injected, has an invalid {env}: create the pod from its \
         original manifest, without the injected containers"
    )]
    InjectedConfigInvalid {
        /// The container.
        container: &'static str,
        /// The variable.
        env: &'static str,
    },
    /// The configuration of an injected container of the original pod differs from the plan.
    #[error(
        "the pod is already injected, but {part} is {found:?} instead of {planned:?}: create the pod from its original \
         manifest, without the injected containers"
    )]
    InjectedConfigDiffers {
        /// The part that differs.
        part: &'static str,
        /// Its value in the pod.
        found: String,
        /// Its value in the plan.
        planned: String,
    },
    /// A field that is only read if it is needed has the wrong type.
    #[error(transparent)]
    WrongType(#[from] WrongType),
    /// The hook does not support the postStart handler.
    #[error(
        "container {container:?} has a {field} handler of type {handler}, which the Bootlace hook cannot run: use exec, sleep \
         or httpGet"
    )]
    Handler {
        /// The container.
        container: String,
        /// `postStart` or `preStop`.
        field: &'static str,
        /// Kind of the handler.
        handler: &'static str,
    },
    /// The env mode requires the hook, which the profile disables.
    #[error(
        "{mode}, which needs the postStart hook, but hook.when of BootProfile {profile:?} is Never: set hook.when to Auto, or \
         set another env.mode"
    )]
    NeedsHook {
        /// The env mode and its source.
        mode: String,
        /// The profile.
        profile: String,
    },
    /// The task would run without the boot env: its command is unknown and the hook is disabled.
    #[error(
        "container {container:?} has no command{reason}, so the launcher cannot load the boot env, and without the hook \
         (hook.when of BootProfile {profile:?} is Never) the task would run without it: set the image's entrypoint as \
         `command` of the container, in annotation {} or in env.images of the BootProfile, or set hook.when to Auto",
        names::ANNOTATION_ENTRYPOINT
    )]
    CommandUnknownWithoutHook {
        /// The container.
        container: String,
        /// Why the lookup in the registry failed, in parentheses; empty if there was none.
        reason: String,
        /// The profile.
        profile: String,
    },
    /// The lookup of the command failed, and another attempt may succeed.
    #[error(
        "container {container:?} has no command, and the lookup of the entrypoint of its image failed ({reason}): try again, or \
         set the entrypoint as `command` of the container, in annotation {} or in env.images of the BootProfile",
        names::ANNOTATION_ENTRYPOINT
    )]
    ImageLookupFailed {
        /// The container.
        container: String,
        /// Why the lookup failed.
        reason: String,
    },
    /// The profile does not allow the boot image that the pod selects.
    #[error(transparent)]
    InitImage(#[from] InitImageError),
    /// The pod cannot store its outputs or wait for inputs.
    #[error(transparent)]
    Pipes(#[from] PipesError),
    /// The hooks of the profile cannot run in the pod.
    #[error(transparent)]
    Hooks(#[from] HooksError),
    /// The configuration of boot is too large.
    #[error(
        "the boot configuration has {size} bytes, the limit is {limit}: move inline sources of BootProfile {profile:?} to a \
         ConfigMap"
    )]
    SpecTooLarge {
        /// Size in bytes.
        size: usize,
        /// Limit in bytes.
        limit: usize,
        /// The profile.
        profile: String,
    },
    /// The memory limit of the pod is too low.
    #[error(
        "spec.resources.limits.memory is {limit}, but container {container:?} of BootProfile {profile:?} needs {need}: set it \
         to {need} or more"
    )]
    PodMemory {
        /// The injected container.
        container: &'static str,
        /// Limit of the pod.
        limit: Quantity,
        /// Memory that the container needs.
        need: Quantity,
        /// The profile.
        profile: String,
    },
    /// A template cannot be rendered for the pod.
    #[error("BootProfile {profile:?}, {error}")]
    Template {
        /// The profile.
        profile: String,
        /// The field and the reason.
        error: InvalidTemplate,
    },
    /// An entry of `task.info` cannot be rendered for the pod.
    #[error("BootProfile {profile:?}, {error}")]
    TaskInfo {
        /// The profile.
        profile: String,
        /// The entry and the reason.
        error: InvalidTaskInfo,
    },
    /// A template is invalid for every pod.
    #[error(transparent)]
    InvalidTemplate(#[from] InvalidTemplate),
    /// An overlay is invalid for every pod.
    #[error(transparent)]
    InvalidOverlay(#[from] InvalidOverlay),
    /// The configuration of an injected container cannot be serialized.
    #[error("internal error: failed to serialize the boot configuration ({0}); please report this bug")]
    Serialization(String),
}

impl PlanError {
    /// The variable of a template that the pod does not define, if that is the error.
    #[must_use]
    pub fn undefined(&self) -> Option<&str> {
        match self {
            Self::Template { error: InvalidTemplate { error, .. }, .. } => match &**error {
                FieldError::Render(RenderError::Undefined { variable, .. }) => Some(variable),
                _ => None,
            },
            Self::TaskInfo {
                error:
                    InvalidTaskInfo {
                        problem: TaskInfoProblem::Render(RenderError::Undefined { variable, .. }),
                        ..
                    },
                ..
            } => Some(variable),
            _ => None,
        }
    }
}
