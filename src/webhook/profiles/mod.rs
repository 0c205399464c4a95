//! The profiles in force.

mod catalogue;
pub mod namespaces;
mod report;
pub mod watch;

use std::sync::{Arc, PoisonError, RwLock};

pub use catalogue::Catalogue;
pub use report::Report;

use crate::plan::{PlanError, Recipes, Settings, Version};
use crate::profile::{NamespaceDefaults, Profiles};

/// The snapshot that reviews are answered from; none before the first lists. A review keeps the one that it
/// began with.
#[derive(Debug, Default)]
pub struct InForce {
    known: RwLock<Known>,
}

#[derive(Debug, Default)]
struct Known {
    settings: Settings,
    recipes: Option<Recipes>,
    /// None as long as they are waited for.
    defaults: Option<Arc<NamespaceDefaults>>,
    snapshot: Option<Arc<Recipes>>,
}

impl Known {
    /// Makes the snapshot anew, once all is known: a pod must not boot with one profile because the webhook has not
    /// heard yet that its namespace names another.
    fn renew(&mut self) {
        self.snapshot = self
            .recipes
            .as_ref()
            .zip(self.defaults.as_ref())
            .map(|(recipes, defaults)| Arc::new(recipes.clone().with_defaults(Arc::clone(defaults))));
    }
}

impl InForce {
    /// Nothing yet, on a webhook that was installed with `settings` and will learn of namespaces' defaults.
    #[must_use]
    pub fn new(settings: Settings) -> Arc<Self> {
        Arc::new(Self { known: RwLock::new(Known { settings, ..Known::default() }) })
    }

    /// The same on a webhook without a cluster: no namespace names a profile.
    #[must_use]
    pub fn without_namespaces(settings: Settings) -> Arc<Self> {
        let in_force = Self::new(settings);
        in_force.swap_namespaces(NamespaceDefaults::default());
        in_force
    }

    /// The snapshot now.
    #[must_use]
    pub fn get(&self) -> Option<Arc<Recipes>> {
        self.known.read().unwrap_or_else(PoisonError::into_inner).snapshot.clone()
    }

    /// Plans for this version of Kubernetes, from the next profiles on.
    pub fn know(&self, version: Version) {
        self.change(|known| known.settings.kubernetes = Some(version));
    }

    /// Answers from `profiles` from now on.
    ///
    /// # Errors
    /// See [`Recipes::new`].
    pub fn swap(&self, profiles: Profiles) -> Result<(), PlanError> {
        let settings = self.known.read().unwrap_or_else(PoisonError::into_inner).settings.clone();
        let recipes = Recipes::new(profiles, &settings)?;
        self.change(|known| known.recipes = Some(recipes));
        Ok(())
    }

    /// Takes what namespaces name for their tasks from `defaults` from now on.
    pub fn swap_namespaces(&self, defaults: NamespaceDefaults) {
        let defaults = Some(Arc::new(defaults));
        self.change(|known| known.defaults = defaults);
    }

    fn change(&self, change: impl FnOnce(&mut Known)) {
        let mut known = self.known.write().unwrap_or_else(PoisonError::into_inner);
        change(&mut known);
        known.renew();
    }
}
