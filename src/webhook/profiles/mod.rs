//! The profiles in force.

mod catalogue;
pub mod watch;

use std::sync::{Arc, PoisonError, RwLock};

pub use catalogue::Catalogue;

use crate::profile::Profiles;

/// The snapshot that reviews are answered from; none before the first list. A review keeps the one that it
/// began with.
#[derive(Debug, Default)]
pub struct InForce(RwLock<Option<Arc<Profiles>>>);

impl InForce {
    /// The snapshot now.
    #[must_use]
    pub fn get(&self) -> Option<Arc<Profiles>> {
        self.0.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Answers from `profiles` from now on.
    pub fn swap(&self, profiles: Profiles) {
        *self.0.write().unwrap_or_else(PoisonError::into_inner) = Some(Arc::new(profiles));
    }
}
