//! The profiles in force: an immutable snapshot that a review is answered from.

use std::collections::BTreeMap;
use std::sync::Arc;

use kube::ResourceExt as _;

use super::spec::{BootProfile, BootProfileSpec};
use super::templates::{self, InvalidTemplate};

/// A profile in force.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Profile {
    /// Its name, which a pod's label gives.
    pub name: String,
    /// Its `metadata.generation`, which counts changes of its spec; 0 where it was read from a file.
    pub generation: i64,
    /// What it says.
    pub spec: BootProfileSpec,
}

impl Profile {
    /// A version of a profile that can be in force.
    ///
    /// # Errors
    /// Where a template of it could work for no pod.
    pub fn new(
        name: impl Into<String>,
        generation: i64,
        spec: BootProfileSpec,
    ) -> Result<Self, InvalidTemplate> {
        templates::check(&spec.sources)?;
        Ok(Self { name: name.into(), generation, spec })
    }
}

impl TryFrom<BootProfile> for Profile {
    type Error = InvalidTemplate;

    fn try_from(profile: BootProfile) -> Result<Self, InvalidTemplate> {
        Self::new(profile.name_any(), profile.metadata.generation.unwrap_or_default(), profile.spec)
    }
}

/// All profiles in force, by name.
#[derive(Debug, Clone, Default)]
pub struct Profiles(Arc<BTreeMap<String, Arc<Profile>>>);

/// A pod asked for a profile that is not there.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("no BootProfile is called {name:?}: {}", self.remedy())]
pub struct UnknownProfile {
    /// What the pod asked for.
    pub name: String,
    /// What there is.
    pub known: Vec<String>,
}

impl UnknownProfile {
    fn remedy(&self) -> String {
        if self.known.is_empty() {
            return format!("there is none in the cluster yet; create one with the name {:?}", self.name);
        }
        let known = self.known.join(", ");
        format!("use one of {known}, or create it")
    }
}

impl Profiles {
    /// All profiles, in the order of their names.
    pub fn iter(&self) -> impl Iterator<Item = &Arc<Profile>> {
        self.0.values()
    }

    /// The error for a pod that asks for a profile that is not there: it tells which there are.
    #[must_use]
    pub fn unknown(&self, name: &str) -> UnknownProfile {
        UnknownProfile { name: name.to_owned(), known: self.0.keys().cloned().collect() }
    }
}

impl FromIterator<Profile> for Profiles {
    fn from_iter<T: IntoIterator<Item = Profile>>(profiles: T) -> Self {
        Self(Arc::new(
            profiles.into_iter().map(|profile| (profile.name.clone(), Arc::new(profile))).collect(),
        ))
    }
}
