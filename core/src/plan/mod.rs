//! All changes to the pod of a task. [`crate::patch`] writes them as operations.
//!
//! | module | content |
//! |---|---|
//! | `prepared` | the parts that all pods of a profile share |
//! | `planner` | the steps of planning one pod |
//! | `containers` | the task containers of the pod |
//! | `entrypoint`, `image_lookup` | their commands, from the pod, the profile or the registry |
//! | `env_mode` | how the boot env is delivered to them |
//! | `task`, `hook`, `task_mounts` | the changes to them: command, postStart hook, mounts |
//! | `mount_conflicts`, `reserved_names` | the conflicts with mounts and names of the pod |
//! | `boot`, `mounts` | the boot container and its volumes |
//! | [`boot_spec`], `boot_config`, `sources` | its configuration |
//! | `env_names`, `env_from`, `references` | the variables in which the pod and the boot env meet |
//! | `env_secret` | the Secret with the boot env, and the token for the store |
//! | `init_image`, `init_container` | boot images that pods select |
//! | `pipes` | outputs, and the wait for outputs of earlier tasks |
//! | `container_parts`, `env_json`, `resources`, `pull_secrets` | common parts of injected containers |
//! | `injected`, `signed` | the annotation and the signature of an injected pod |
//! | `error` | the errors |

mod boot;
mod boot_config;
pub mod boot_spec;
mod container_parts;
mod containers;
mod entrypoint;
mod env_from;
mod env_json;
mod env_mode;
mod env_names;
mod env_secret;
mod error;
mod hook;
mod image_lookup;
mod init_container;
mod init_image;
mod injected;
mod mount_conflicts;
mod mounts;
mod pipes;
mod planner;
mod prepared;
mod pull_secrets;
mod references;
mod reserved_names;
mod resources;
mod signed;
mod sources;
mod task;
mod task_mounts;
mod version;

use std::sync::Arc;

use serde_json::Value;

pub use boot_spec::BootSpec;
pub use env_secret::AdmissionContext;
pub use error::PlanError;
pub use image_lookup::{ImageConfig, ImageConfigs, ImageQuery};
pub use init_image::InitImageError;
pub use injected::{AwaitedPipe, EnvDelivery, InjectedAnnotation};
pub use pipes::PipesError;
pub use prepared::{PreparedProfile, PreparedProfiles};
pub use signed::{is_signed, sign_injected, stores_outputs};
pub use task::{ExistingFields, InitContainerMounts, TaskCommand, TaskContainer};
pub use version::Version;

use init_image::ChosenInitImage;
use planner::{Commands, Planner};

use crate::identity::Schedulers;
use crate::injected_config::StoreEndpoint;
use crate::input::{AwaitedOutput, BootInputs};
use crate::names;
use crate::output::SidecarConfig;
use crate::pod::{Container, Pod};
use crate::profile::Profile;
use crate::profile::run_as_user::RunAsUser;
use crate::profile::spec::{Position, PullPolicy};
use crate::signature::Keys;

/// Settings of the installation of the webhook.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InstallationSettings {
    /// Image of the boot container if the profile sets none.
    pub boot_image: String,
    /// Pull policy of that image; `None` for the default of the API server.
    pub boot_image_pull_policy: Option<PullPolicy>,
    /// Names of the pull secrets of all task pods, in addition to those of the profile.
    pub boot_image_pull_secrets: Vec<String>,
    /// User of injected containers if the profile sets none.
    pub boot_run_as_user: RunAsUser,
    /// The store, if it is installed.
    pub store: Option<StoreEndpoint>,
    /// Keys that sign the configuration of pods for the store; `None` if nothing is signed, as on the command
    /// line.
    pub keys: Option<Arc<Keys>>,
    /// Version of the API server, if it is known.
    pub kubernetes: Option<Version>,
    /// The table of schedulers.
    pub schedulers: Arc<Schedulers>,
}

impl Default for InstallationSettings {
    fn default() -> Self {
        Self {
            // A reserved domain (RFC 2606): no image is published, and another name could belong to someone.
            boot_image: concat!("registry.example.com/bootlace:", env!("CARGO_PKG_VERSION")).to_owned(),
            boot_image_pull_policy: None,
            boot_image_pull_secrets: Vec::new(),
            boot_run_as_user: RunAsUser::default(),
            store: None,
            keys: None,
            kubernetes: None,
            schedulers: Schedulers::built_in(),
        }
    }
}

/// The changes to a pod.
#[derive(Debug, Clone, PartialEq)]
pub struct Plan<'p> {
    /// The configuration of boot, with the identity of the task and the profile. The last of `boot` contains
    /// it as JSON.
    pub config: BootSpec<'p>,
    /// The configuration of the sidecar, if the pod has outputs. Its container contains it as JSON.
    pub sidecar: Option<SidecarConfig<'p>>,
    /// The outputs of earlier tasks that the pod waits for.
    pub awaits: &'p [AwaitedOutput],
    /// The init containers that boot the pod, in order. The last one is `bootlace-boot`, or the sidecar
    /// `bootlace-pipe` after it.
    pub boot: Vec<Value>,
    /// Whether they run before or after the init containers of the pod.
    pub position: Position,
    /// The init containers that wait for outputs of earlier tasks, before those that boot the pod.
    pub wait: Vec<Value>,
    /// Whether they run before the init containers of the pod too, because one of those uses such an output.
    pub wait_first: bool,
    /// The volumes to add.
    pub volumes: Arc<[Arc<Value>]>,
    /// The volumes to add that are specific to this pod.
    pub pod_volumes: Vec<Value>,
    /// The entries to add to `imagePullSecrets`.
    pub pull_secrets: Vec<Arc<Value>>,
    /// The mounts to add to each task container.
    pub mounts: Arc<[Arc<Value>]>,
    /// The other changes to each task container.
    pub tasks: Vec<TaskContainer>,
    /// The mounts to add to init containers that are not tasks.
    pub init_mounts: Vec<InitContainerMounts>,
    /// The first entry of `envFrom` of task containers that read the boot env from a Secret.
    pub env_from: Option<Value>,
    /// Content of the annotation `bootlace.dev/injected`.
    pub injected: InjectedAnnotation,
    /// Warnings for the author of the pod.
    pub warnings: Vec<String>,
}

/// Result of planning a pod.
#[derive(Debug, Clone, PartialEq)]
pub enum PlanOutcome<'p> {
    /// The changes.
    Plan(Box<Plan<'p>>),
    /// Lookups that are needed first.
    Lookup(ImageQuery),
}

/// The task containers of the original pod.
///
/// # Errors
/// If the pod has no containers, names a container that does not exist, or mounts a volume of Bootlace.
pub fn task_containers<'p, 'a>(
    pod: &'p Pod<'a>,
    prepared: &PreparedProfile,
) -> Result<Vec<&'p Container<'a>>, PlanError> {
    reserved_names::check_volumes_are_not_mounted(pod)?;
    containers::tasks(pod, &prepared.profile, prepared.schedulers.detect(pod))
}

/// Plans the changes to `pod`, which is created in `origin`. `registry` contains the results of lookups in
/// registries so far; without it, no registry can be queried. `inputs` are the outputs of earlier tasks that
/// boot reads, and those that the pod waits for.
///
/// # Errors
/// If the profile cannot be applied to the pod. The error contains the remedy.
pub fn plan<'p>(
    pod: &'p Pod<'_>,
    origin: AdmissionContext<'p>,
    prepared: &'p PreparedProfile,
    registry: Option<&ImageConfigs>,
    inputs: &'p BootInputs,
) -> Result<PlanOutcome<'p>, PlanError> {
    let profile = &prepared.profile;
    reserved_names::check_names_are_free(pod, &profile.spec)?;
    check_architecture(pod, profile)?;
    let init_image = init_image::choose(pod, prepared)?;
    let prepared = init_image.as_ref().map_or(prepared, ChosenInitImage::prepared);

    let planner = Planner::new(pod, origin, prepared, init_image)?;
    let commands = match planner.commands(registry)? {
        Commands::Known(commands) => commands,
        Commands::Query(query) => return Ok(PlanOutcome::Lookup(query)),
    };
    let tasks = planner.tasks(commands)?;
    let mut config = planner.boot_config(&tasks, inputs)?;
    let added = planner.added_containers(&tasks, &mut config, inputs)?;
    Ok(PlanOutcome::Plan(Box::new(planner.plan(tasks, config, added, inputs)?)))
}

/// Refuses a pod if its node cannot run the Bootlace image. The architectures of another boot image are
/// unknown.
fn check_architecture(pod: &Pod<'_>, profile: &Profile) -> Result<(), PlanError> {
    match &pod.architectures {
        Some(required)
            if profile.spec.boot.image.is_none()
                && !required.iter().any(|architecture| names::IMAGE_ARCHITECTURES.contains(architecture)) =>
        {
            Err(PlanError::Architecture { required: required.join(" or "), profile: profile.name.clone() })
        }
        _ => Ok(()),
    }
}
