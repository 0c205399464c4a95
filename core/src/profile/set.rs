//! The active profiles: an immutable snapshot for reviews.

use std::collections::BTreeMap;
use std::sync::Arc;

use kube::ResourceExt as _;

use super::entries;
use super::links::{self, InvalidLink};
use super::rule::BrokenRule;
use super::rules;
use super::spec::{BootProfile, BootProfileSpec};
use super::task_info::InvalidTaskInfo;
use super::templates::{self, InvalidTemplate};
use crate::overlay::{InvalidOverlay, Overlays};
use crate::quote::quoted;

/// An active profile.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Profile {
    /// Name of the profile.
    pub name: String,
    /// The `metadata.generation` of the profile; 0 if it comes from a file.
    pub generation: i64,
    /// Spec of the profile.
    pub spec: BootProfileSpec,
}

impl Profile {
    /// Validates a version of a profile.
    ///
    /// # Errors
    /// If no pod could boot with it.
    pub fn new(
        name: impl Into<String>,
        generation: i64,
        spec: BootProfileSpec,
    ) -> Result<Self, InvalidProfile> {
        rules::check(&spec)?;
        templates::check(&spec.sources)?;
        templates::check_hooks(&spec.hooks)?;
        entries::check(&spec)?;
        Overlays::new(&spec.overlays)?;
        links::check(&spec.links)?;
        spec.task.check()?;
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
    /// It violates a rule, or boot would refuse it.
    Broken(#[from] BrokenRule),
    /// A template cannot work for any pod.
    Template(#[from] InvalidTemplate),
    /// An overlay cannot work for any pod.
    Overlay(#[from] InvalidOverlay),
    /// A link cannot work for any pod.
    Link(#[from] InvalidLink),
    /// An entry of `task.info` cannot work for any pod.
    TaskInfo(#[from] InvalidTaskInfo),
}

/// All active profiles, and the problems of the others, by name.
#[derive(Debug, Clone, Default)]
pub struct Profiles {
    active: Arc<BTreeMap<String, Arc<Profile>>>,
    /// Why a profile has no valid version.
    not_in_force: Arc<BTreeMap<String, String>>,
}

/// A pod selects a profile that is not active.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NoProfile {
    /// It does not exist.
    #[error("BootProfile {name:?} not found: {}", remedy(name, known))]
    Unknown {
        /// Name of the profile.
        name: String,
        /// Names of the active profiles.
        known: Vec<String>,
    },
    /// It exists, but has no valid version.
    #[error("BootProfile {name:?} has no valid version ({problem}): correct it, or use another BootProfile")]
    NotInForce {
        /// Name of the profile.
        name: String,
        /// The problem, as in its status.
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
    /// Adds profiles without a valid version, with their problems.
    #[must_use]
    pub fn with_not_in_force(self, problems: BTreeMap<String, String>) -> Self {
        Self { not_in_force: Arc::new(problems), ..self }
    }

    /// The active profiles, sorted by name.
    pub fn iter(&self) -> impl Iterator<Item = &Arc<Profile>> {
        self.active.values()
    }

    /// The profiles without a valid version, with their problems, sorted by name.
    pub fn not_in_force(&self) -> impl Iterator<Item = (&str, &str)> {
        self.not_in_force.iter().map(|(name, problem)| (name.as_str(), problem.as_str()))
    }

    /// The error for a pod that selects a profile that is not active.
    #[must_use]
    pub fn missing(&self, name: &str) -> NoProfile {
        let name = name.to_owned();
        match self.not_in_force.get(&name) {
            Some(problem) => NoProfile::NotInForce { problem: problem.clone(), name },
            None => NoProfile::Unknown { name, known: self.active.keys().cloned().collect() },
        }
    }
}

impl FromIterator<Profile> for Profiles {
    fn from_iter<T: IntoIterator<Item = Profile>>(profiles: T) -> Self {
        let by_name = profiles.into_iter().map(|profile| (profile.name.clone(), Arc::new(profile)));
        Self { active: Arc::new(by_name.collect()), not_in_force: Arc::default() }
    }
}
