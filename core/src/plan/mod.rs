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
mod fill;
mod hook;
mod image_lookup;
mod init_image;
mod injected;
mod mounts;
mod paths;
mod pipes;
mod prepared;
mod pull_secrets;
mod references;
mod resources;
mod signed;
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

use entrypoint::{ContainerCommand, EntrypointAnnotation};
use env_from::EnvFromMirror;
use env_mode::RequestedMode;
use init_image::ChosenInitImage;
use pipes::{Outputs, Sidecar, TaskOutputs};
use resources::PodLimits;

use crate::identity::Identity;
use crate::injected_config::{ProfileRef, StoreEndpoint};
use crate::input::BootInputs;
use crate::names;
use crate::pod::{Container, Pod};
use crate::profile::Profile;
use crate::profile::run_as_user::RunAsUser;
use crate::profile::spec::{Position, PullPolicy, Resources};
use crate::signature::Keys;
use crate::template::Context;

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
    containers::tasks(pod, &recipe.profile)
}

/// Plans what `pod`, which comes from `origin`, becomes. `registry` holds what was looked up for it so far; without
/// it no registry is to be asked. `inputs` is what boot takes from earlier tasks, and what the pod waits for.
///
/// # Errors
/// Where the pod and the profile cannot be brought together: the error says what to change.
pub fn plan(
    pod: &Pod<'_>,
    origin: AdmissionContext<'_>,
    recipe: &PreparedProfile,
    registry: Option<&ImageConfigs>,
    inputs: &BootInputs,
) -> Result<PlanOutcome, PlanError> {
    let profile = &recipe.profile;
    boot::check_names_are_free(pod, &profile.spec)?;
    check_architecture(pod, profile)?;
    let init_image = init_image::choose(pod, recipe)?;
    let recipe = init_image.as_ref().map_or(recipe, ChosenInitImage::recipe);
    let containers = containers::tasks(pod, profile)?;
    let wanted = RequestedMode::by(pod, recipe)?;
    let annotated = EntrypointAnnotation::read(pod, &containers)?;
    let registry = registry.filter(|_| wanted.asks_registry(recipe));
    let runs = |&container: &&Container<'_>| {
        entrypoint::runs(container, &annotated, &profile.spec.env.images, registry)
    };
    let runs: Vec<_> = containers.iter().map(runs).collect();
    if runs.contains(&ContainerCommand::Ask) {
        return Ok(PlanOutcome::Lookup(lookup(pod, origin.namespace, &containers, &runs)));
    }
    let outputs = Outputs::declared(pod, &containers, profile)?;
    let volumes = paths::volumes(pod);
    let plan = |(container, runs)| task::plan(container, &volumes, runs, wanted, &outputs, recipe);
    let tasks = containers.iter().copied().zip(runs).map(plan);
    let tasks: Vec<_> = tasks.collect::<Result<_, _>>()?;

    let held = held_for(&containers, recipe)?;
    let mut spec = boot::spec(pod, &containers, &tasks, held.prefixes, recipe);
    if tasks.iter().any(|task| task.way == EnvDelivery::Secret) {
        spec.env_secret = Some(env_secret::secret_name(origin, || wanted.why_secret(recipe))?);
    }
    if !recipe.templated.is_empty() {
        let context = Context::new(pod, origin.namespace, containers.first().copied());
        spec.sources = fill::sources(recipe, &context)?.into();
    }
    let mut mounted = pipes::sources::Mounted::default();
    if !inputs.sources.is_empty() {
        mounted = pipes::sources::add_sources(spec.sources.to_mut(), &inputs.sources, pod)?;
    }
    if let Some(chosen) = &init_image {
        chosen.tell(&mut spec);
    }
    let mounts = std::mem::take(&mut mounted.mounts);
    let boot = boot_container(recipe, &spec, held.env, held.env_from, mounts)?;
    let from = pipes::StoreContainer {
        spec: &profile.spec,
        profile: spec.profile.clone(),
        store: recipe.store.as_deref(),
        kubernetes: recipe.kubernetes,
        run_as_user: recipe.run_as_user,
        boot: &recipe.boot,
    };
    let mut wait = pipes::wait::containers(&inputs.awaits, &from)?;
    let sidecar = sidecar(pod, &containers, &tasks, &outputs, &spec.task, &from)?;
    let mut boot = match &init_image {
        Some(chosen) => chosen.containers(origin.namespace, &spec, boot)?.into(),
        None => vec![boot],
    };
    let mut warnings: Vec<_> = tasks.iter().flat_map(|task| task.warnings.iter().cloned()).collect();
    warnings.extend(containers::left_out(pod, &containers));
    let others = task::others(pod, &volumes, &tasks, profile, &mut warnings)?;
    if spec.env_secret.is_some() || sidecar.is_some() || !wait.is_empty() {
        warnings.extend(env_secret::unreachable(pod));
    }
    if let Some(sidecar) = sidecar {
        boot.push(sidecar.container);
        mounted.volumes.extend(sidecar.volume);
        warnings.extend(sidecar.warnings);
    }
    warnings.extend(set_resources(pod, recipe, init_image.as_ref(), wait.iter_mut().chain(&mut boot))?);
    for container in wait.iter_mut().chain(&mut boot) {
        boot::keep_from_root(container, pod);
    }
    if let (Some(keys), Some(_)) = (&recipe.keys, &recipe.store) {
        signed::sign(keys, pod, origin, &mut boot, &wait);
    }
    Ok(PlanOutcome::Plan(Box::new(Plan {
        boot,
        wait,
        wait_first: inputs.wait_first,
        position: profile.spec.boot.position,
        volumes: Arc::clone(&recipe.volumes),
        pull_secrets: recipe.pull_secrets.missing_in(pod),
        own_volumes: mounted.volumes,
        mounts: Arc::clone(&recipe.mounts),
        injected: InjectedAnnotation {
            env_secret: spec.env_secret.clone(),
            init_image: init_image.map(|chosen| chosen.image()),
            awaits: inputs.awaits.iter().map(AwaitedPipe::from).collect(),
            ..InjectedAnnotation::by(profile, &tasks)
        },
        env_from: spec.env_secret.as_deref().map(env_secret::env_from),
        warnings,
        task: spec.task,
        profile: spec.profile,
        tasks,
        others,
    })))
}

/// What boot gets of the containers' env, where it gives some itself that it could meet.
fn held_for(containers: &[&Container<'_>], recipe: &PreparedProfile) -> Result<EnvFromMirror, PlanError> {
    if recipe.given.is_empty() {
        return Ok(EnvFromMirror::default());
    }
    Ok(env_from::of(containers, recipe.profile.spec.boot.position)?)
}

/// Refuses a pod whose node could not run Bootlace's own image. What another boot image is made for is unknown.
fn check_architecture(pod: &Pod<'_>, profile: &Profile) -> Result<(), PlanError> {
    match &pod.architectures {
        Some(asked)
            if profile.spec.boot.image.is_none()
                && !asked.iter().any(|one| names::IMAGE_ARCHITECTURES.contains(one)) =>
        {
            Err(PlanError::Architecture { asked: asked.join(" or "), profile: profile.name.clone() })
        }
        _ => Ok(()),
    }
}

fn sidecar(
    pod: &Pod<'_>,
    containers: &[&Container<'_>],
    tasks: &[TaskContainer],
    outputs: &Outputs,
    task: &Identity,
    from: &pipes::StoreContainer<'_>,
) -> Result<Option<Sidecar>, PlanError> {
    let handing = containers.iter().zip(tasks).map(|(container, task)| TaskOutputs {
        container,
        unlaunched: (task.way != EnvDelivery::Launch).then_some(task.because.as_str()),
    });
    Sidecar::plan(pod, &handing.collect::<Vec<_>>(), outputs, task, from)
}

/// The boot container, told what `spec` says. `env` and `env_from` are what it holds of the tasks'.
fn boot_container(
    recipe: &PreparedProfile,
    spec: &BootSpec<'_>,
    env: Vec<Value>,
    env_from: Vec<Value>,
    mut mounts: Vec<Value>,
) -> Result<Value, PlanError> {
    let mut boot = recipe.boot.clone();
    if let Some(container) = boot.as_object_mut() {
        let mut told = boot::env(spec, &recipe.profile.name)?;
        told.extend(env);
        container.insert("env".to_owned(), told.into());
        if !env_from.is_empty() {
            container.insert("envFrom".to_owned(), env_from.into());
        }
        if let Some(own) = container.get_mut("volumeMounts").and_then(Value::as_array_mut) {
            own.append(&mut mounts);
        }
    }
    Ok(boot)
}

/// Sets the resources of the containers that are added. Returns what the pod's author should know of them.
fn set_resources<'c>(
    pod: &Pod<'_>,
    recipe: &PreparedProfile,
    init_image: Option<&ChosenInitImage<'_>>,
    added: impl Iterator<Item = &'c mut Value>,
) -> Result<Vec<String>, PlanError> {
    let spec = &recipe.profile.spec;
    let room = PodLimits::of(pod, &recipe.profile.name)?;
    let boot = room.ends(names::CONTAINER_BOOT, &spec.boot.resources, recipe.memory.need())?;
    let image = init_image.map(|chosen| chosen.resources(&room)).transpose()?;
    let (mut wait, mut sidecar) = (None, None);
    for container in added {
        let given = match container.get("name").and_then(Value::as_str) {
            Some(names::CONTAINER_INIT) => image.as_ref().unwrap_or(&boot),
            Some(names::CONTAINER_WAIT | names::CONTAINER_VOLUME_WAIT) => {
                &*wait.insert(room.ends(names::CONTAINER_WAIT, &Resources::default(), resources::least())?)
            }
            Some(names::CONTAINER_PIPE) => {
                &*sidecar.insert(room.beside(spec.pipes.resources.as_ref().unwrap_or(&Resources::default())))
            }
            _ => &boot,
        };
        given.set(container);
    }
    let ends: Vec<_> = [Some(&boot), image.as_ref(), wait.as_ref()].into_iter().flatten().collect();
    Ok(room.warnings(&recipe.memory, &ends, sidecar.as_ref()))
}

fn lookup(
    pod: &Pod<'_>,
    namespace: &str,
    containers: &[&Container<'_>],
    runs: &[ContainerCommand],
) -> ImageQuery {
    let asked = containers.iter().zip(runs).filter(|(_, runs)| **runs == ContainerCommand::Ask);
    ImageQuery {
        namespace: namespace.to_owned(),
        pull_secrets: pod.pull_secrets.iter().flatten().map(|&name| name.to_owned()).collect(),
        architecture: match pod.architectures.as_deref() {
            Some([only]) => Some((*only).to_owned()),
            _ => None,
        },
        images: asked.map(|(container, _)| container.image.to_owned()).collect(),
    }
}
