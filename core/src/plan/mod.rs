//! All changes to the pod of a task. [`crate::patch`] writes them as operations.
//!
//! | module | content |
//! |---|---|
//! | `settings`, `prepared` | the parts that all pods of an installation or of a profile share |
//! | `planner` | the steps of planning one pod |
//! | `pod_plan` | their result |
//! | `selected_task`, `containers` | the task containers of the pod |
//! | `entrypoint`, `image_lookup` | their commands, from the pod, the profile or the registry |
//! | `env_mode`, `env_delivery` | how the boot env is delivered to them |
//! | `task`, `launcher`, `hook`, `prestop`, `task_mounts` | the changes to them: command, lifecycle handlers, mounts |
//! | `hooks` | whether the hooks of the profile can run |
//! | `mount_conflicts`, `reserved_names` | the conflicts with mounts and names of the pod |
//! | `boot`, `mounts`, `volumes` | the boot container and its volumes |
//! | [`boot_spec`], `boot_config`, `sources` | its configuration |
//! | `env_names`, `env_from`, `references` | the variables in which the pod and the boot env meet |
//! | `context` | what connects a task to its run |
//! | `env_secret` | the Secret with the boot env, and the token for the store |
//! | `init_image`, `init_container` | boot images that pods select |
//! | `pipes` | outputs, and the wait for outputs of earlier tasks |
//! | `progress` | the progress that tasks report |
//! | `container_parts`, `env_json`, `resources`, `pull_secrets` | common parts of injected containers |
//! | `links` | links to the task |
//! | `injected`, `signed` | the annotation and the signature of an injected pod |
//! | `error` | the errors |

mod boot;
mod boot_config;
pub mod boot_spec;
mod container_parts;
mod containers;
mod context;
mod entrypoint;
mod env_delivery;
mod env_from;
mod env_json;
mod env_mode;
mod env_names;
mod env_secret;
mod error;
mod hook;
mod hooks;
mod image_lookup;
mod init_container;
mod init_image;
mod injected;
mod launcher;
mod links;
mod mount_conflicts;
mod mounts;
mod pipes;
mod planner;
mod pod_plan;
mod prepared;
mod prestop;
mod progress;
mod pull_secrets;
mod references;
mod reserved_names;
mod resources;
mod selected_task;
mod settings;
mod signed;
mod sources;
mod task;
mod task_mounts;
mod version;
mod volumes;

pub use boot_spec::BootSpec;
pub use context::{ContextLeftOut, ContextProblem};
pub use env_delivery::EnvDelivery;
pub use env_secret::AdmissionContext;
pub use error::{HooksError, InitImageError, PlanError};
pub use image_lookup::{FailedLookup, ImageConfig, ImageConfigs, ImageLookupResult, ImageQuery};
pub use injected::{AwaitedPipe, InjectedAnnotation};
pub use pipes::PipesError;
pub use pod_plan::{Plan, PlanOutcome};
pub use prepared::{PreparedProfile, PreparedProfiles};
pub use selected_task::{SelectedTask, check_changed};
pub use settings::InstallationSettings;
pub use signed::{is_signed, sign_injected, stores_outputs};
pub use task::{ExistingFields, InitContainerMounts, TaskCommand, TaskContainer};
pub use version::Version;

use init_image::ChosenInitImage;
use planner::{Commands, Planner};

use crate::input::BootInputs;
use crate::names;
use crate::pod::Pod;
use crate::profile::Profile;

/// Plans the changes to `pod`, which is created in `origin` and runs `task`. `registry` contains the results
/// of lookups in registries so far; without it, no registry can be queried. `inputs` are the outputs of
/// earlier tasks that boot reads, and those that the pod waits for.
///
/// # Errors
/// If the profile cannot be applied to the pod. The error contains the remedy.
pub fn plan<'p>(
    pod: &'p Pod<'_>,
    origin: AdmissionContext<'p>,
    (prepared, task): (&'p PreparedProfile, &SelectedTask<'p>),
    registry: Option<&ImageConfigs>,
    inputs: &'p BootInputs,
) -> Result<PlanOutcome<'p>, PlanError> {
    let profile = &prepared.profile;
    reserved_names::check_names_are_free(pod, &profile.spec)?;
    check_architecture(pod, profile)?;
    let init_image = init_image::choose(pod, prepared)?;
    let prepared = init_image.as_ref().map_or(prepared, ChosenInitImage::prepared);
    sources::check_version(&prepared.sources, &profile.name, prepared.kubernetes)?;
    let planner = Planner::new(pod, origin, (prepared, task), init_image)?;
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
