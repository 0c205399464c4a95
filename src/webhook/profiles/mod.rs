//! The profiles in force.

mod catalogue;
pub mod watch;

use std::sync::{Arc, PoisonError, RwLock};

pub use catalogue::Catalogue;

use crate::plan::{PlanError, Recipes, Settings};
use crate::profile::Profiles;

/// The snapshot that reviews are answered from; none before the first list. A review keeps the one that it
/// began with.
#[derive(Debug, Default)]
pub struct InForce {
    settings: Settings,
    recipes: RwLock<Option<Arc<Recipes>>>,
}

impl InForce {
    /// Nothing yet, on a webhook that was installed with `settings`.
    #[must_use]
    pub fn new(settings: Settings) -> Arc<Self> {
        Arc::new(Self { settings, recipes: RwLock::default() })
    }

    /// The snapshot now.
    #[must_use]
    pub fn get(&self) -> Option<Arc<Recipes>> {
        self.recipes.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Answers from `profiles` from now on.
    ///
    /// # Errors
    /// None that is known; see [`Recipes::new`].
    pub fn swap(&self, profiles: Profiles) -> Result<(), PlanError> {
        let recipes = Arc::new(Recipes::new(profiles, &self.settings)?);
        *self.recipes.write().unwrap_or_else(PoisonError::into_inner) = Some(recipes);
        Ok(())
    }
}
