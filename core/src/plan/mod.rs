//! What a task's pod becomes: decided here in full, and only written down as operations by [`crate::patch`].

mod boot;
pub mod boot_spec;
mod containers;
mod entrypoint;
mod env_from;
mod env_mode;
mod env_names;
mod env_secret;
mod error;
mod hook;
mod image_lookup;
mod init_image;
mod injected;
mod mounts;
mod paths;
mod pipes;
mod planner;
mod prepared;
mod pull_secrets;
mod references;
mod resources;
mod signed;
mod sources;
mod task;
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
pub use signed::{hands_over, is_signed, of_injected};
pub use task::{ExistingFields, InitContainerMounts, TaskCommand, TaskContainer};
pub use version::Version;

use init_image::ChosenInitImage;
use planner::{Commands, Planner};

use crate::identity::{Identity, Schedulers};
use crate::injected_config::{ProfileRef, StoreEndpoint};
use crate::input::BootInputs;
use crate::names;
use crate::pod::{Container, Pod};
use crate::profile::Profile;
use crate::profile::run_as_user::RunAsUser;
use crate::profile::spec::{Position, PullPolicy};
use crate::signature::Keys;

/// What the webhook was installed with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InstallationSettings {
    /// Image of the boot container where the profile names none.
    pub boot_image: String,
    /// Pull policy of that image; the API server's own default where it is not set.
    pub boot_image_pull_policy: Option<PullPolicy>,
    /// Names of the Secrets that every task pod is to pull images with, beside those that the profile names.
    pub boot_image_pull_secrets: Vec<String>,
    /// The user that injected containers run as where the profile names none.
    pub boot_run_as_user: RunAsUser,
    /// The store, where one is installed.
    pub store: Option<StoreEndpoint>,
    /// What signs for the store; none where nothing is signed, as offline.
    pub keys: Option<Arc<Keys>>,
    /// The API server's version, where it is known.
    pub kubernetes: Option<Version>,
    /// The table of schedulers.
    pub schedulers: Arc<Schedulers>,
}

impl Default for InstallationSettings {
    fn default() -> Self {
        Self {
            // Nobody's registry (RFC 2606): no image is published, and a guessed name could be a stranger's.
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

/// What a pod becomes.
#[derive(Debug, Clone, PartialEq)]
pub struct Plan {
    /// Who the task is.
    pub task: Identity,
    /// The profile that it is booted by.
    pub profile: ProfileRef,
    /// The init containers that boot it, in their order; the last one is `bootlace-boot`, or `bootlace-pipe` behind it.
    pub boot: Vec<Value>,
    /// Before or after the pod's own init containers.
    pub position: Position,
    /// The init containers that wait for what the pod takes from earlier tasks, in front of those that boot it.
    pub wait: Vec<Value>,
    /// Whether they stand in front of the pod's own, too, because one of those takes it.
    pub wait_first: bool,
    /// The volumes to add.
    pub volumes: Arc<[Arc<Value>]>,
    /// The volumes to add for this pod alone.
    pub own_volumes: Vec<Value>,
    /// The entries to add to `imagePullSecrets`.
    pub pull_secrets: Vec<Arc<Value>>,
    /// The mounts to add to each task container.
    pub mounts: Arc<[Arc<Value>]>,
    /// What else each task container becomes.
    pub tasks: Vec<TaskContainer>,
    /// What the init containers get that are no tasks.
    pub others: Vec<InitContainerMounts>,
    /// The entry that comes first in `envFrom` of the tasks that take their env from a Secret.
    pub env_from: Option<Value>,
    /// The content of the injected annotation.
    pub injected: InjectedAnnotation,
    /// What the pod's author should know.
    pub warnings: Vec<String>,
}

/// What planning a pod comes to.
#[derive(Debug, Clone, PartialEq)]
pub enum PlanOutcome {
    /// This is what it becomes.
    Plan(Box<Plan>),
    /// This must be looked up first.
    Lookup(ImageQuery),
}

/// The containers that run the task of a pod as it came.
///
/// # Errors
/// Where there is none, the pod names one that it does not have, or it mounts a volume of Bootlace's.
pub fn task_containers<'p, 'a>(
    pod: &'p Pod<'a>,
    recipe: &PreparedProfile,
) -> Result<Vec<&'p Container<'a>>, PlanError> {
    paths::check_volumes_are_not_mounted(pod)?;
    containers::tasks(pod, recipe)
}

/// Plans how `pod` changes, which is created in `origin`. `registry` contains the answers of registries so far; without it, no
/// registry can be queried. `inputs` are the outputs of earlier tasks that boot reads, and those that the pod waits for.
///
/// # Errors
/// If the profile cannot be applied to the pod: the error contains what to change.
pub fn plan(
    pod: &Pod<'_>,
    origin: AdmissionContext<'_>,
    prepared: &PreparedProfile,
    registry: Option<&ImageConfigs>,
    inputs: &BootInputs,
) -> Result<PlanOutcome, PlanError> {
    let profile = &prepared.profile;
    boot::check_names_are_free(pod, &profile.spec)?;
    check_architecture(pod, profile)?;
    let init_image = init_image::choose(pod, prepared)?;
    let prepared = init_image.as_ref().map_or(prepared, ChosenInitImage::recipe);

    let planner = Planner::new(pod, origin, prepared, init_image.as_ref())?;
    let commands = match planner.commands(registry)? {
        Commands::Known(commands) => commands,
        Commands::Query(query) => return Ok(PlanOutcome::Lookup(query)),
    };
    let tasks = planner.tasks(commands)?;
    let mut config = planner.boot_config(&tasks, inputs)?;
    let added = planner.added_containers(&tasks, &mut config, inputs)?;
    Ok(PlanOutcome::Plan(Box::new(planner.plan(tasks, config, added, inputs)?)))
}

/// Refuses a pod whose node cannot run Bootlace's own image. The architectures of another boot image are unknown.
fn check_architecture(pod: &Pod<'_>, profile: &Profile) -> Result<(), PlanError> {
    match &pod.architectures {
        Some(requested)
            if profile.spec.boot.image.is_none()
                && !requested
                    .iter()
                    .any(|architecture| names::IMAGE_ARCHITECTURES.contains(architecture)) =>
        {
            Err(PlanError::Architecture { asked: requested.join(" or "), profile: profile.name.clone() })
        }
        _ => Ok(()),
    }
}
