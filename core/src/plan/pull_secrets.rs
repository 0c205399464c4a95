//! The pull secrets for the Bootlace image.

use std::collections::BTreeSet;
use std::sync::Arc;

use serde_json::{Value, json};

use super::InstallationSettings;
use crate::pod::Pod;
use crate::profile::spec::Boot;

/// Names of Secrets without duplicates, with their entries of `imagePullSecrets`.
#[derive(Debug, Clone, Default)]
pub(super) struct PullSecrets(Arc<[(String, Arc<Value>)]>);

impl PullSecrets {
    /// The Secrets of the profile, followed by those of the installation.
    pub(super) fn new(boot: &Boot, settings: &InstallationSettings) -> Self {
        let mut seen = BTreeSet::new();
        let names = boot.image_pull_secrets.iter().chain(&settings.boot_image_pull_secrets);
        let names = names.filter(|name| seen.insert(name.as_str()));
        Self(names.map(|name| (name.clone(), Arc::new(json!({ "name": name })))).collect())
    }

    /// The entries that are not in the pod.
    pub(super) fn missing_in(&self, pod: &Pod<'_>) -> Vec<Arc<Value>> {
        let is_present = |name: &str| pod.pull_secrets.iter().flatten().any(|present| *present == name);
        self.0.iter().filter(|(name, _)| !is_present(name)).map(|(_, entry)| Arc::clone(entry)).collect()
    }
}
