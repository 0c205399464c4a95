//! The Secrets that a pod is to pull Bootlace's image with.

use std::collections::BTreeSet;
use std::sync::Arc;

use serde_json::{Value, json};

use super::InstallationSettings;
use crate::pod::Pod;
use crate::profile::spec::Boot;

/// Names of Secrets, each once, with the entry of `imagePullSecrets`.
#[derive(Debug, Clone, Default)]
pub(super) struct PullSecrets(Arc<[(String, Arc<Value>)]>);

impl PullSecrets {
    /// The profile's, then those that the webhook was installed with.
    pub(super) fn of(boot: &Boot, settings: &InstallationSettings) -> Self {
        let mut seen = BTreeSet::new();
        let names = boot.image_pull_secrets.iter().chain(&settings.boot_image_pull_secrets);
        let names = names.filter(|name| seen.insert(name.as_str()));
        Self(names.map(|name| (name.clone(), Arc::new(json!({ "name": name })))).collect())
    }

    /// The entries that the pod does not have.
    pub(super) fn missing_in(&self, pod: &Pod<'_>) -> Vec<Arc<Value>> {
        let is_there = |name: &str| pod.pull_secrets.iter().flatten().any(|own| *own == name);
        self.0.iter().filter(|(name, _)| !is_there(name)).map(|(_, entry)| Arc::clone(entry)).collect()
    }
}
