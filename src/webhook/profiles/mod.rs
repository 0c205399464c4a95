//! The active profiles.
#![allow(clippy::result_large_err, reason = "returned when profiles change, and not for each review")]

mod catalogue;
pub mod namespaces;
mod status_writer;
pub mod watch;

use std::sync::Arc;

use arc_swap::ArcSwapOption;
use parking_lot::Mutex;

pub use catalogue::Catalogue;
pub use status_writer::StatusWriter;

use bootlace_core::injected_config::StoreEndpoint;
use bootlace_core::plan::{InstallationSettings, PlanError, PreparedProfiles, Version};
use bootlace_core::profile::{NamespaceDefaults, Profiles};
use bootlace_core::signature::SigningKeys;

/// The snapshot that reviews use, or none before the first lists. A review uses the same snapshot until its
/// end.
#[derive(Debug, Default)]
pub struct ActiveProfiles {
    known: Mutex<KnownProfiles>,
    /// Not in `known`, so that reviews do not wait while profiles are prepared.
    snapshot: ArcSwapOption<PreparedProfiles>,
}

#[derive(Debug, Default)]
struct KnownProfiles {
    settings: InstallationSettings,
    /// Whether there is a store, whose CA is not known yet.
    awaits_store: bool,
    /// Whether the version of the API server is not known yet.
    awaits_version: bool,
    /// Whether the signing keys are not known yet.
    awaits_keys: bool,
    profiles: Option<Profiles>,
    /// Prepared from the profiles and the settings.
    recipes: Option<PreparedProfiles>,
    /// None before the first list.
    defaults: Option<Arc<NamespaceDefaults>>,
}

impl KnownProfiles {
    /// Prepares the profiles again.
    fn prepare(&mut self) -> Result<(), PlanError> {
        let profiles = self.profiles.clone();
        self.recipes =
            profiles.map(|profiles| PreparedProfiles::new(profiles, &self.settings)).transpose()?;
        Ok(())
    }

    /// The snapshot if everything is known: otherwise a pod could boot with another profile than that of its
    /// namespace, or without the store.
    fn snapshot(&self) -> Option<Arc<PreparedProfiles>> {
        let is_known = !self.awaits_store && !self.awaits_version && !self.awaits_keys;
        let (recipes, defaults) = self.recipes.as_ref().zip(self.defaults.as_ref()).filter(|_| is_known)?;
        Some(Arc::new(recipes.clone().with_defaults(Arc::clone(defaults))))
    }
}

impl ActiveProfiles {
    /// No profiles yet, and the settings of the installation.
    #[must_use]
    pub fn new(settings: InstallationSettings) -> Arc<Self> {
        let known = Mutex::new(KnownProfiles { settings, ..KnownProfiles::default() });
        Arc::new(Self { known, ..Self::default() })
    }

    /// The same for a webhook without a cluster, where namespaces have no default profiles.
    #[must_use]
    pub fn without_namespaces(settings: InstallationSettings) -> Arc<Self> {
        let profiles = Self::new(settings);
        profiles.swap_namespaces(NamespaceDefaults::default());
        profiles
    }

    /// The current snapshot.
    #[must_use]
    pub fn get(&self) -> Option<Arc<PreparedProfiles>> {
        self.snapshot.load_full()
    }

    /// Provides no snapshot before [`ActiveProfiles::set_kubernetes_version`].
    pub fn await_version(&self) {
        let mut known = self.known.lock();
        known.awaits_version = true;
        self.renew(&known);
    }

    /// Sets the version of Kubernetes, or none if the API server does not report it. Pods that depend on it
    /// then get a warning.
    ///
    /// # Errors
    /// See [`PreparedProfiles::new`].
    pub fn set_kubernetes_version(&self, version: Option<Version>) -> Result<(), PlanError> {
        let mut known = self.known.lock();
        known.settings.kubernetes = version;
        known.awaits_version = false;
        known.prepare()?;
        self.renew(&known);
        Ok(())
    }

    /// Activates `profiles`. After an error, the previous ones stay active.
    ///
    /// # Errors
    /// See [`PreparedProfiles::new`].
    pub fn swap(&self, profiles: Profiles) -> Result<(), PlanError> {
        let mut known = self.known.lock();
        let before = known.profiles.replace(profiles);
        known.prepare().inspect_err(|_| known.profiles = before)?;
        self.renew(&known);
        Ok(())
    }

    /// Activates the default profiles of namespaces.
    pub fn swap_namespaces(&self, defaults: NamespaceDefaults) {
        let mut known = self.known.lock();
        known.defaults = Some(Arc::new(defaults));
        self.renew(&known);
    }

    /// Provides no snapshot before [`ActiveProfiles::swap_store`].
    pub fn await_store(&self) {
        let mut known = self.known.lock();
        known.awaits_store = true;
        self.renew(&known);
    }

    /// Sets the store for injected containers.
    ///
    /// # Errors
    /// See [`PreparedProfiles::new`].
    pub fn swap_store(&self, store: StoreEndpoint) -> Result<(), PlanError> {
        let mut known = self.known.lock();
        known.settings.store = Some(store);
        known.awaits_store = false;
        known.prepare()?;
        self.renew(&known);
        Ok(())
    }

    /// Provides no snapshot before [`ActiveProfiles::swap_keys`].
    pub fn await_keys(&self) {
        let mut known = self.known.lock();
        known.awaits_keys = true;
        self.renew(&known);
    }

    /// Sets the signing keys.
    ///
    /// # Errors
    /// See [`PreparedProfiles::new`].
    pub fn swap_keys(&self, keys: SigningKeys) -> Result<(), PlanError> {
        let mut known = self.known.lock();
        if known.settings.keys.as_deref() == Some(&keys) {
            return Ok(());
        }
        known.settings.keys = Some(Arc::new(keys));
        known.awaits_keys = false;
        known.prepare()?;
        self.renew(&known);
        Ok(())
    }

    fn renew(&self, known: &KnownProfiles) {
        self.snapshot.store(known.snapshot());
    }
}
