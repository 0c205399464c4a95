//! What every pod of a profile gets, made once when the profile comes into force: a review then only adds what
//! differs from pod to pod.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde::Serialize;
use serde_json::Value;

use super::boot_spec::BootSource;
use super::env_names::BootEnvNames;
use super::init_image::PreparedInitImage;
use super::pull_secrets::PullSecrets;
use super::resources::BootMemory;
use super::{InstallationSettings, PlanError, Version, boot, task};
use crate::identity::Schedulers;
use crate::injected_config::{ProfileRef, StoreEndpoint};
use crate::profile::run_as_user::RunAsUser;
use crate::profile::templates;
use crate::profile::{NamespaceDefaults, NoProfile, Profile, Profiles};
use crate::signature::Keys;

/// A profile in force, with the parts of a plan that depend on nothing else. Parts are built from Kubernetes'
/// own types and kept as JSON, which is what a patch is made of.
#[derive(Debug, Clone)]
pub struct PreparedProfile {
    /// The profile.
    pub profile: Arc<Profile>,
    /// The boot container, but for its env.
    pub(super) boot: Value,
    /// How much memory boot may take.
    pub(super) memory: BootMemory,
    /// The volumes to add.
    pub(super) volumes: Arc<[Arc<Value>]>,
    /// What is to stand in the pod's `imagePullSecrets`.
    pub(super) pull_secrets: PullSecrets,
    /// The user that injected containers run as.
    pub(super) run_as_user: RunAsUser,
    /// The mounts to add to each task container.
    pub(super) mounts: Arc<[Arc<Value>]>,
    /// The sources, as boot sees them.
    pub(super) sources: Vec<BootSource>,
    /// The store, where one is installed.
    pub(super) store: Option<Arc<StoreEndpoint>>,
    /// What signs for it.
    pub(super) keys: Option<Arc<Keys>>,
    /// The env that they can give.
    pub(super) given: BootEnvNames,
    /// Which of them hold templates; none in most profiles, which then cost nothing more.
    pub(super) templated: Vec<usize>,
    /// The API server's version, where it is known.
    pub kubernetes: Option<Version>,
    /// The table of schedulers.
    pub schedulers: Arc<Schedulers>,
    /// What is different in a pod with a boot image of its own; none where the profile allows no such image.
    pub(super) init_image: Option<Box<PreparedInitImage>>,
}

impl PreparedProfile {
    /// Prepares a profile.
    ///
    /// # Errors
    /// Where a template of the profile could work for no pod, which a profile in force has behind it.
    pub fn new(profile: Arc<Profile>, settings: &InstallationSettings) -> Result<Self, PlanError> {
        let spec = &profile.spec;
        let sources = boot::sources(spec);
        let recipe = Self {
            boot: json(&boot::container(spec, settings))?,
            memory: BootMemory::of(spec, &sources),
            volumes: boot::volumes(spec, settings).iter().map(shared).collect::<Result<_, _>>()?,
            pull_secrets: PullSecrets::of(&spec.boot, settings),
            run_as_user: boot::user(&spec.boot, settings),
            mounts: task::mounts(spec).iter().map(shared).collect::<Result<_, _>>()?,
            store: settings.store.clone().map(Arc::new),
            keys: settings.keys.clone(),
            given: BootEnvNames::by(&sources),
            sources,
            templated: templates::check(&spec.sources)?,
            kubernetes: settings.kubernetes,
            schedulers: Arc::clone(&settings.schedulers),
            init_image: None,
            profile,
        };
        let init_image = PreparedInitImage::new(&recipe, settings)?.map(Box::new);
        Ok(Self { init_image, ..recipe })
    }

    pub(super) fn reference(&self) -> ProfileRef {
        ProfileRef { name: self.profile.name.clone(), generation: self.profile.generation }
    }
}

/// All recipes, by profile.
#[derive(Debug, Clone)]
pub struct PreparedProfiles {
    profiles: Profiles,
    // Shared, because a change of a namespace's default makes a new snapshot of the same profiles.
    by_name: Arc<BTreeMap<String, PreparedProfile>>,
    keys: Option<Arc<Keys>>,
    defaults: Arc<NamespaceDefaults>,
    schedulers: Arc<Schedulers>,
}

impl PreparedProfiles {
    /// Prepares all profiles in force.
    ///
    /// # Errors
    /// See [`PreparedProfile::new`].
    pub fn new(profiles: Profiles, settings: &InstallationSettings) -> Result<Self, PlanError> {
        let recipe = |profile: &Arc<Profile>| {
            Ok((profile.name.clone(), PreparedProfile::new(Arc::clone(profile), settings)?))
        };
        let by_name = profiles.iter().map(recipe).collect::<Result<_, PlanError>>()?;
        let keys = settings.keys.clone().filter(|_| settings.store.is_some());
        let schedulers = Arc::clone(&settings.schedulers);
        Ok(Self { by_name: Arc::new(by_name), profiles, keys, defaults: Arc::default(), schedulers })
    }

    /// The same profiles, with what namespaces name for their tasks.
    #[must_use]
    pub fn with_defaults(self, defaults: Arc<NamespaceDefaults>) -> Self {
        Self { defaults, ..self }
    }

    /// What signs for the store; none where nothing is signed.
    #[must_use]
    pub fn keys(&self) -> Option<&Keys> {
        self.keys.as_deref()
    }

    /// The table of schedulers.
    #[must_use]
    pub fn schedulers(&self) -> &Schedulers {
        &self.schedulers
    }

    /// The profile that `namespace` names for its tasks.
    #[must_use]
    pub fn default_of(&self, namespace: &str) -> Option<&str> {
        self.defaults.get(namespace)
    }

    /// The recipe of the profile called `name`.
    ///
    /// # Errors
    /// Where there is none, or it is not in force: the error says which, and what to do.
    pub fn get(&self, name: &str) -> Result<&PreparedProfile, NoProfile> {
        self.by_name.get(name).ok_or_else(|| self.profiles.missing(name))
    }
}

pub(super) fn json(part: &impl Serialize) -> Result<Value, PlanError> {
    serde_json::to_value(part).map_err(|error| PlanError::Unwritable(error.to_string()))
}

/// The same, of which each pod's patch gets no copy of its own.
pub(super) fn shared(part: &impl Serialize) -> Result<Arc<Value>, PlanError> {
    json(part).map(Arc::new)
}
