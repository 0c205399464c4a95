//! What a task's pod becomes: decided here in full, and only written down as operations by [`crate::patch`].

mod boot;
pub mod boot_spec;
mod containers;
mod error;
mod fill;
mod given;
mod init_image;
mod injected;
mod mounts;
mod recipe;
mod store;
mod task;

use std::sync::Arc;

use serde_json::Value;

pub use boot_spec::{BootSpec, ProfileRef};
pub use error::PlanError;
pub use init_image::InitImageError;
pub use injected::{EnvWay, Injected};
pub use recipe::{Recipe, Recipes};
pub use store::{Origin, Store};
pub use task::{Command, Task};

use init_image::Chosen;

use crate::identity::Identity;
use crate::pod::Pod;
use crate::profile::spec::{Position, PullPolicy};
use crate::template::Context;

/// What the webhook was installed with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Settings {
    /// Image of the boot container where the profile names none.
    pub boot_image: String,
    /// Pull policy of that image; the API server's own default where it is not set.
    pub boot_image_pull_policy: Option<PullPolicy>,
    /// The store, where one is installed.
    pub store: Option<Store>,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            // Nobody's registry (RFC 2606): no image is published, and a guessed name could be a stranger's.
            boot_image: concat!("registry.example.com/bootlace:", env!("CARGO_PKG_VERSION")).to_owned(),
            boot_image_pull_policy: None,
            store: None,
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
    /// The init containers that boot it, in their order; the last one is `bootlace-boot`.
    pub boot: Vec<Value>,
    /// Before or after the pod's own init containers.
    pub position: Position,
    /// The volumes to add.
    pub volumes: Arc<[Value]>,
    /// The mounts to add to each task container.
    pub mounts: Arc<[Value]>,
    /// What else each task container becomes.
    pub tasks: Vec<Task>,
    /// The entry that comes first in `envFrom` of the tasks that take their env from a Secret.
    pub env_from: Option<Value>,
    /// The content of the injected annotation.
    pub injected: Injected,
    /// What the pod's author should know.
    pub warnings: Vec<String>,
}

/// Plans what `pod`, which comes from `origin`, becomes.
///
/// # Errors
/// Where the pod and the profile cannot be brought together: the error says what to change.
pub fn plan(pod: &Pod<'_>, origin: Origin<'_>, recipe: &Recipe) -> Result<Plan, PlanError> {
    let profile = &recipe.profile;
    boot::check_names_are_free(pod, &profile.spec)?;
    let init_image = init_image::choose(pod, recipe)?;
    let recipe = init_image.as_ref().map_or(recipe, Chosen::recipe);
    let containers = containers::tasks(pod)?;
    let tasks: Vec<_> =
        containers.iter().map(|container| task::plan(container, recipe)).collect::<Result<_, _>>()?;
    let mut spec = boot::spec(pod, &containers, recipe);
    let env_mode = tasks.iter().map(Task::env_way).max().unwrap_or(EnvWay::None);
    if tasks.iter().any(|task| task.env_way() == EnvWay::Secret) {
        spec.env_secret = Some(store::secret_name(origin, &profile.name)?);
    }
    if !recipe.templated.is_empty() {
        let context = Context::new(pod, origin.namespace, containers.first().copied());
        spec.sources = fill::sources(recipe, &context)?.into();
    }
    if let Some(chosen) = &init_image {
        chosen.tell(&mut spec);
    }
    let mut boot = recipe.boot.clone();
    if let Some(container) = boot.as_object_mut() {
        container.insert("env".to_owned(), boot::env(&spec, &profile.name)?);
        if pod.is_guaranteed() {
            container.insert("resources".to_owned(), recipe.guaranteed.clone());
        }
    }
    let boot = match &init_image {
        Some(chosen) => chosen.containers(pod, origin.namespace, &spec, boot)?.into(),
        None => vec![boot],
    };
    Ok(Plan {
        boot,
        position: profile.spec.boot.position,
        volumes: Arc::clone(&recipe.volumes),
        mounts: Arc::clone(&recipe.mounts),
        injected: Injected {
            profile: profile.name.clone(),
            generation: profile.generation,
            version: env!("CARGO_PKG_VERSION").to_owned(),
            containers: tasks.iter().map(|task| task.name.clone()).collect(),
            env_mode,
            env_secret: spec.env_secret.clone(),
            init_image: init_image.map(|chosen| chosen.image()),
        },
        env_from: spec.env_secret.as_deref().map(store::env_from),
        warnings: tasks.iter().filter_map(Task::warning).collect(),
        task: spec.task,
        profile: spec.profile,
        tasks,
    })
}
