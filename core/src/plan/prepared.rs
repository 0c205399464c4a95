//! The parts of a plan that all pods of a profile share. They are prepared once for each change of the
//! profile, so that a review only adds the parts that are specific to a pod.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde_json::Value;

use super::boot_spec::BootSource;
use super::container_parts::{json, run_as_user, shared_json, writable_mount};
use super::env_names::BootEnvNames;
use super::pull_secrets::PullSecrets;
use super::resources::BootMemory;
use super::{InstallationSettings, PlanError, Version, boot, init_container, sources, task_mounts};
use crate::identity::Schedulers;
use crate::injected_config::{ProfileRef, StoreEndpoint};
use crate::names;
use crate::overlay::Overlays;
use crate::profile::init_image::OwnSources;
use crate::profile::run_as_user::RunAsUser;
use crate::profile::{NamespaceDefaults, NoProfile, Profile, Profiles};
use crate::signature::SigningKeys;

/// An active profile, with the parts of a plan that do not depend on the pod. The parts are built from the
/// types of Kubernetes and stored as JSON, because a patch consists of JSON.
#[derive(Debug, Clone)]
pub struct PreparedProfile {
    /// The profile.
    pub profile: Arc<Profile>,
    /// The boot container without its env.
    pub(super) boot: Value,
    /// The memory that boot needs.
    pub(super) memory: BootMemory,
    /// The volumes to add.
    pub(super) volumes: Arc<[Arc<Value>]>,
    /// The Secrets that `imagePullSecrets` of the pod must contain.
    pub(super) pull_secrets: PullSecrets,
    /// The user of injected containers.
    pub(super) run_as_user: RunAsUser,
    /// The mounts to add to each task container.
    pub(super) mounts: Arc<[Arc<Value>]>,
    /// The sources in the configuration of boot.
    pub(super) sources: Vec<BootSource>,
    /// The store, if it is installed.
    pub(super) store: Option<Arc<StoreEndpoint>>,
    /// Whether tasks can report their progress.
    pub(super) allows_progress: bool,
    /// The keys that sign the configuration of pods for the store.
    pub(super) keys: Option<Arc<SigningKeys>>,
    /// The env names that the sources can provide.
    pub(super) env_names: BootEnvNames,
    /// The overlays, compiled. Shared with the variant for pods that select a boot image.
    pub overlays: Arc<Overlays>,
    /// The positions of sources that differ from pod to pod: with templates, or with the context of a task.
    /// Most profiles have none.
    pub(super) per_pod: Vec<usize>,
    /// The version of the API server, if it is known.
    pub kubernetes: Option<Version>,
    /// The table of schedulers.
    pub schedulers: Arc<Schedulers>,
    /// The parts for pods that select a boot image; `None` if the profile allows no image.
    pub(super) init_image: Option<Box<PreparedInitImage>>,
}

impl PreparedProfile {
    /// Prepares a profile.
    ///
    /// # Errors
    /// If a template of the profile is invalid for every pod. Active profiles have been checked for that.
    pub fn new(profile: Arc<Profile>, settings: &InstallationSettings) -> Result<Self, PlanError> {
        let spec = &profile.spec;
        let sources = sources::all(spec);
        let volumes = boot::volumes(spec, settings);
        let mounts = task_mounts::task_volume_mounts(spec);
        let prepared = Self {
            boot: json(&boot::container(spec, settings))?,
            memory: BootMemory::new(spec, &sources),
            volumes: volumes.iter().map(shared_json).collect::<Result<_, _>>()?,
            pull_secrets: PullSecrets::new(&spec.boot, settings),
            run_as_user: run_as_user(&spec.boot, settings),
            mounts: mounts.iter().map(shared_json).collect::<Result<_, _>>()?,
            store: settings.store.clone().map(Arc::new),
            allows_progress: settings.allows_progress,
            keys: settings.keys.clone(),
            env_names: BootEnvNames::new(&sources),
            sources,
            overlays: Arc::new(Overlays::new(&spec.overlays)?),
            per_pod: sources::per_pod(&spec.sources)?,
            kubernetes: settings.kubernetes,
            schedulers: Arc::clone(&settings.schedulers),
            init_image: None,
            profile,
        };
        let init_image = PreparedInitImage::new(&prepared, settings)?.map(Box::new);
        Ok(Self { init_image, ..prepared })
    }

    pub(super) fn reference(&self) -> ProfileRef {
        ProfileRef { name: self.profile.name.clone(), generation: self.profile.generation }
    }
}

/// The parts of a plan for pods that select a boot image, without the image.
#[derive(Debug, Clone)]
pub(super) struct PreparedInitImage {
    /// The profile, with the source and the volumes of the image.
    pub(super) prepared: PreparedProfile,
    /// The container that copies the launcher, without its env.
    pub(super) install: Value,
    /// The container of the image, without its image and env.
    pub(super) init: Value,
}

impl PreparedInitImage {
    /// Prepares a profile; `None` if it allows no image.
    fn new(prepared: &PreparedProfile, settings: &InstallationSettings) -> Result<Option<Self>, PlanError> {
        let spec = &prepared.profile.spec;
        let Some(image) = spec.boot.init_image.as_ref().filter(|image| !image.allow.is_empty()) else {
            return Ok(None);
        };
        // The profile without the sources that the image replaces.
        let mut profile = spec.clone();
        if image.sources == OwnSources::Replace {
            profile.sources.clear();
        }
        let mut sources = sources::all(&profile);
        sources.push(init_container::source(&profile));

        let mut boot = boot::container(&profile, settings);
        let mounts = boot.volume_mounts.get_or_insert_default();
        mounts.push(writable_mount(names::VOLUME_OUT, names::MOUNT_OUT));
        let volumes = boot::volumes(&profile, settings);
        let volumes = volumes.into_iter().chain(init_container::volumes(image, &profile));
        let prepared = PreparedProfile {
            boot: json(&boot)?,
            volumes: volumes.map(|volume| shared_json(&volume)).collect::<Result<_, _>>()?,
            env_names: BootEnvNames::new(&sources),
            memory: BootMemory::new(&profile, &sources),
            sources,
            per_pod: if profile.sources.is_empty() { Vec::new() } else { prepared.per_pod.clone() },
            ..prepared.clone()
        };
        Ok(Some(Self {
            install: json(&init_container::install_container(&boot))?,
            init: json(&init_container::init_container(image, &profile.boot, prepared.run_as_user))?,
            prepared,
        }))
    }
}

/// The active profiles, prepared, by name.
#[derive(Debug, Clone)]
pub struct PreparedProfiles {
    profiles: Profiles,
    // Shared, because a change of the default profile of a namespace creates another snapshot of the same
    // profiles.
    by_name: Arc<BTreeMap<String, PreparedProfile>>,
    keys: Option<Arc<SigningKeys>>,
    defaults: Arc<NamespaceDefaults>,
    schedulers: Arc<Schedulers>,
}

impl PreparedProfiles {
    /// Prepares all active profiles.
    ///
    /// # Errors
    /// See [`PreparedProfile::new`].
    pub fn new(profiles: Profiles, settings: &InstallationSettings) -> Result<Self, PlanError> {
        let prepare = |profile: &Arc<Profile>| {
            Ok((profile.name.clone(), PreparedProfile::new(Arc::clone(profile), settings)?))
        };
        let by_name = profiles.iter().map(prepare).collect::<Result<_, PlanError>>()?;
        let keys = settings.keys.clone().filter(|_| settings.store.is_some());
        let schedulers = Arc::clone(&settings.schedulers);
        Ok(Self { by_name: Arc::new(by_name), profiles, keys, defaults: Arc::default(), schedulers })
    }

    /// The same profiles, with the default profiles of namespaces.
    #[must_use]
    pub fn with_defaults(self, defaults: Arc<NamespaceDefaults>) -> Self {
        Self { defaults, ..self }
    }

    /// The keys that sign the configuration of pods for the store; `None` if nothing is signed.
    #[must_use]
    pub fn keys(&self) -> Option<&SigningKeys> {
        self.keys.as_deref()
    }

    /// The table of schedulers.
    #[must_use]
    pub fn schedulers(&self) -> &Schedulers {
        &self.schedulers
    }

    /// The default profile of `namespace`.
    #[must_use]
    pub fn default_of(&self, namespace: &str) -> Option<&str> {
        self.defaults.get(namespace)
    }

    /// The prepared profile with this name.
    ///
    /// # Errors
    /// If the profile does not exist or is not active. The error contains the reason and the remedy.
    pub fn get(&self, name: &str) -> Result<&PreparedProfile, NoProfile> {
        self.by_name.get(name).ok_or_else(|| self.profiles.missing(name))
    }
}
