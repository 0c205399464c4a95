//! Looks up the entrypoints of images in their registries, with the pull secrets of a pod.

use futures::future;

use super::pull_secrets::{PullSecretLookup, PullSecretResult};
use crate::webhook::entrypoints::{EntrypointQuery, Entrypoints, LookupError, SetupError};
use bootlace_core::plan::{FailedLookup, ImageConfig, ImageLookupResult, ImageQuery};

/// Looks up images with the pull secrets of their pod.
#[derive(Debug)]
pub struct ImageLookup {
    entrypoints: Entrypoints,
    secrets: PullSecretLookup,
}

impl ImageLookup {
    /// A lookup that reads pull secrets with `secrets`.
    #[must_use]
    pub fn new(entrypoints: Entrypoints, secrets: PullSecretLookup) -> Self {
        Self { entrypoints, secrets }
    }

    /// Replaces the certificate authorities; see [`Entrypoints::trust`].
    ///
    /// # Errors
    /// They are invalid.
    pub fn trust(&self, pem: &[u8]) -> Result<(), SetupError> {
        self.entrypoints.trust(pem)
    }

    /// Looks up all images in parallel.
    pub(super) async fn all(&self, lookup: &ImageQuery) -> Vec<(String, ImageLookupResult)> {
        if lookup.images.is_empty() {
            return Vec::new();
        }
        // Without a lookup in a registry, no secret is read.
        let is_needed = lookup.images.iter().any(|image| self.entrypoints.check_registry(image).is_ok());
        let secrets = if is_needed {
            self.secrets.read(&lookup.namespace, &lookup.pull_secrets).await
        } else {
            PullSecretResult::default()
        };
        let answers = lookup.images.iter().map(async |image| {
            let question = EntrypointQuery {
                image,
                pull_secrets: &secrets.contents,
                architecture: lookup.architecture.as_deref(),
            };
            let answer = self.entrypoints.resolve(&question).await;
            let config = |config: &crate::registry::ImageConfig| ImageConfig {
                entrypoint: config.entrypoint.clone(),
                cmd: config.cmd.clone(),
            };
            (image.clone(), answer.map(|found| config(&found)).map_err(|error| secrets.explain(&error)))
        });
        future::join_all(answers).await
    }
}

impl PullSecretResult {
    /// Describes an error, and the missing pull secrets, which can be its cause.
    fn explain(&self, error: &LookupError) -> FailedLookup {
        let reason = match &self.missing {
            Some(missing) => format!("{error}; {missing}"),
            None => error.to_string(),
        };
        FailedLookup { reason, is_temporary: error.is_temporary() }
    }
}
