//! The profiles in force.
#![allow(clippy::result_large_err, reason = "returned when profiles change, and not for each review")]

mod catalogue;
pub mod namespaces;
mod status_writer;
pub mod watch;

use std::sync::{Arc, PoisonError, RwLock, RwLockWriteGuard};

pub use catalogue::Catalogue;
pub use status_writer::StatusWriter;

use bootlace_core::injected_config::StoreEndpoint;
use bootlace_core::plan::{InstallationSettings, PlanError, PreparedProfiles, Version};
use bootlace_core::profile::{NamespaceDefaults, Profiles};
use bootlace_core::signature::Keys;

/// The snapshot that reviews are answered from; none before the first lists. A review keeps the one that it
/// began with.
#[derive(Debug, Default)]
pub struct ActiveProfiles {
    known: RwLock<Known>,
}

#[derive(Debug, Default)]
struct Known {
    settings: InstallationSettings,
    /// Whether the settings lack the store, of which is known that there is one.
    awaits_store: bool,
    /// Whether the API server has not been asked for its version yet.
    awaits_version: bool,
    /// Whether they lack the keys that sign for it.
    awaits_keys: bool,
    profiles: Option<Profiles>,
    /// Made of the two above.
    recipes: Option<PreparedProfiles>,
    /// None as long as they are waited for.
    defaults: Option<Arc<NamespaceDefaults>>,
    snapshot: Option<Arc<PreparedProfiles>>,
}

impl Known {
    /// Makes the recipes anew.
    fn prepare(&mut self) -> Result<(), PlanError> {
        let profiles = self.profiles.clone();
        self.recipes =
            profiles.map(|profiles| PreparedProfiles::new(profiles, &self.settings)).transpose()?;
        self.renew();
        Ok(())
    }

    /// Makes the snapshot anew, once all is known: a pod must not boot with one profile because the webhook has not
    /// heard yet that its namespace names another, and not without the store because its CA has not been read yet.
    fn renew(&mut self) {
        self.snapshot = self
            .recipes
            .as_ref()
            .zip(self.defaults.as_ref())
            .filter(|_| !self.awaits_store && !self.awaits_version && !self.awaits_keys)
            .map(|(recipes, defaults)| Arc::new(recipes.clone().with_defaults(Arc::clone(defaults))));
    }
}

impl ActiveProfiles {
    /// Nothing yet, on a webhook that was installed with `settings` and will learn of namespaces' defaults.
    #[must_use]
    pub fn new(settings: InstallationSettings) -> Arc<Self> {
        Arc::new(Self { known: RwLock::new(Known { settings, ..Known::default() }) })
    }

    /// The same on a webhook without a cluster: no namespace names a profile.
    #[must_use]
    pub fn without_namespaces(settings: InstallationSettings) -> Arc<Self> {
        let in_force = Self::new(settings);
        in_force.swap_namespaces(NamespaceDefaults::default());
        in_force
    }

    /// The snapshot now.
    #[must_use]
    pub fn get(&self) -> Option<Arc<PreparedProfiles>> {
        self.known.read().unwrap_or_else(PoisonError::into_inner).snapshot.clone()
    }

    /// Answers nothing before [`ActiveProfiles::set_kubernetes_version`].
    pub fn await_version(&self) {
        let mut known = self.write();
        known.awaits_version = true;
        known.renew();
    }

    /// Plans for this version of Kubernetes from now on; none where the API server does not tell it. Pods that depend on
    /// it get a warning then.
    ///
    /// # Errors
    /// See [`PreparedProfiles::new`].
    pub fn set_kubernetes_version(&self, version: Option<Version>) -> Result<(), PlanError> {
        let mut known = self.write();
        known.settings.kubernetes = version;
        known.awaits_version = false;
        known.prepare()
    }

    /// Answers from `profiles` from now on. Where that is an error, what was in force stays.
    ///
    /// # Errors
    /// See [`PreparedProfiles::new`].
    pub fn swap(&self, profiles: Profiles) -> Result<(), PlanError> {
        let mut known = self.write();
        let before = known.profiles.replace(profiles);
        known.prepare().inspect_err(|_| known.profiles = before)
    }

    /// Takes what namespaces name for their tasks from `defaults` from now on.
    pub fn swap_namespaces(&self, defaults: NamespaceDefaults) {
        let mut known = self.write();
        known.defaults = Some(Arc::new(defaults));
        known.renew();
    }

    /// Answers nothing before [`ActiveProfiles::swap_store`].
    pub fn await_store(&self) {
        let mut known = self.write();
        known.awaits_store = true;
        known.renew();
    }

    /// Sends pods to `store` from now on.
    ///
    /// # Errors
    /// See [`PreparedProfiles::new`].
    pub fn swap_store(&self, store: StoreEndpoint) -> Result<(), PlanError> {
        let mut known = self.write();
        known.settings.store = Some(store);
        known.awaits_store = false;
        known.prepare()
    }

    /// Answers nothing before [`ActiveProfiles::swap_keys`].
    pub fn await_keys(&self) {
        let mut known = self.write();
        known.awaits_keys = true;
        known.renew();
    }

    /// Signs with `keys` from now on.
    ///
    /// # Errors
    /// See [`PreparedProfiles::new`].
    pub fn swap_keys(&self, keys: Keys) -> Result<(), PlanError> {
        let mut known = self.write();
        if known.settings.keys.as_deref() == Some(&keys) {
            return Ok(());
        }
        known.settings.keys = Some(Arc::new(keys));
        known.awaits_keys = false;
        known.prepare()
    }

    // Who panicked with the lock in hand left parts of which each is whole.
    fn write(&self) -> RwLockWriteGuard<'_, Known> {
        self.known.write().unwrap_or_else(PoisonError::into_inner)
    }
}
