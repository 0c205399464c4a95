//! The profiles in force: an immutable snapshot that a review is answered from.

use std::collections::BTreeMap;
use std::sync::Arc;

use kube::ResourceExt as _;

use super::entries;
use super::rules::{self, BrokenRule};
use super::spec::{BootProfile, BootProfileSpec};
use super::templates::{self, InvalidTemplate};
use crate::quote::quoted;

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
    /// Where no pod could boot with it.
    pub fn new(
        name: impl Into<String>,
        generation: i64,
        spec: BootProfileSpec,
    ) -> Result<Self, InvalidProfile> {
        rules::check(&spec)?;
        templates::check(&spec.sources)?;
        entries::check(&spec)?;
        Ok(Self { name: name.into(), generation, spec })
    }
}

impl TryFrom<BootProfile> for Profile {
    type Error = InvalidProfile;

    fn try_from(profile: BootProfile) -> Result<Self, InvalidProfile> {
        Self::new(profile.name_any(), profile.metadata.generation.unwrap_or_default(), profile.spec)
    }
}

/// Why no pod could boot with a profile.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(transparent)]
pub enum InvalidProfile {
    /// It breaks a rule, or names what boot would refuse.
    Broken(#[from] BrokenRule),
    /// A template of it could work for no pod.
    Template(#[from] InvalidTemplate),
}

/// All profiles in force, and what is known of those that are not, by name.
#[derive(Debug, Clone, Default)]
pub struct Profiles {
    in_force: Arc<BTreeMap<String, Arc<Profile>>>,
    /// Why no version of a profile is in force.
    not_in_force: Arc<BTreeMap<String, String>>,
}

/// A pod cannot have the profile that it asks for.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NoProfile {
    /// There is none of that name.
    #[error("BootProfile {name:?} not found: {}", remedy(name, known))]
    Unknown {
        /// What the pod asked for.
        name: String,
        /// Those that are in force.
        known: Vec<String>,
    },
    /// It exists, and no version of it is in force.
    #[error("BootProfile {name:?} has no valid version ({problem}): correct it, or use another BootProfile")]
    NotInForce {
        /// What the pod asked for.
        name: String,
        /// What is wrong with it, as its status says.
        problem: String,
    },
}

fn remedy(name: &str, known: &[String]) -> String {
    if known.is_empty() {
        return format!("the cluster has no BootProfiles yet, create {name:?}");
    }
    format!("use one of {}, or create it", quoted(known))
}

impl Profiles {
    /// The same, with profiles of which no version is in force, and why.
    #[must_use]
    pub fn with_not_in_force(self, problems: BTreeMap<String, String>) -> Self {
        Self { not_in_force: Arc::new(problems), ..self }
    }

    /// The profiles in force, in the order of their names.
    pub fn iter(&self) -> impl Iterator<Item = &Arc<Profile>> {
        self.in_force.values()
    }

    /// The profiles of which no version is in force, with what is wrong with each, in the order of their names.
    pub fn not_in_force(&self) -> impl Iterator<Item = (&str, &str)> {
        self.not_in_force.iter().map(|(name, problem)| (name.as_str(), problem.as_str()))
    }

    /// The error for a pod that asks for a profile that is not in force.
    #[must_use]
    pub fn missing(&self, name: &str) -> NoProfile {
        let name = name.to_owned();
        match self.not_in_force.get(&name) {
            Some(problem) => NoProfile::NotInForce { problem: problem.clone(), name },
            None => NoProfile::Unknown { name, known: self.in_force.keys().cloned().collect() },
        }
    }
}

impl FromIterator<Profile> for Profiles {
    fn from_iter<T: IntoIterator<Item = Profile>>(profiles: T) -> Self {
        let by_name = profiles.into_iter().map(|profile| (profile.name.clone(), Arc::new(profile)));
        Self { in_force: Arc::new(by_name.collect()), not_in_force: Arc::default() }
    }
}
