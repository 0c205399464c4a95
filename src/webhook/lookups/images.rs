//! What images start, asked of their registries in the name of a pod.

use futures::future;

use super::pull_secrets::{PullSecretLookup, PullSecretResult};
use crate::webhook::entrypoints::{EntrypointQuery, Entrypoints, LookupError, SetupError};
use bootlace_core::plan::{ImageConfig, ImageQuery};

/// Asks registries with the pull secrets of the pod that names the images.
#[derive(Debug)]
pub struct ImageLookup {
    entrypoints: Entrypoints,
    secrets: PullSecretLookup,
}

impl ImageLookup {
    /// Reads pull secrets with `secrets`.
    #[must_use]
    pub fn new(entrypoints: Entrypoints, secrets: PullSecretLookup) -> Self {
        Self { entrypoints, secrets }
    }

    /// Trusts these certificate authorities from now on; see [`Entrypoints::trust`].
    ///
    /// # Errors
    /// Where they cannot be read.
    pub fn trust(&self, pem: &[u8]) -> Result<(), SetupError> {
        self.entrypoints.trust(pem)
    }

    /// An answer for each of the images, all asked for at once.
    pub(super) async fn all(&self, lookup: &ImageQuery) -> Vec<(String, Result<ImageConfig, String>)> {
        if lookup.images.is_empty() {
            return Vec::new();
        }
        // Where no registry would be asked, no secret is read either.
        let asked = lookup.images.iter().any(|image| self.entrypoints.may_ask(image).is_ok());
        let secrets = if asked {
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
    /// Why there is no answer; where the registry was asked with fewer secrets than the pod names, that too.
    fn explain(&self, error: &LookupError) -> String {
        match &self.missing {
            Some(missing) => format!("{error}; {missing}"),
            None => error.to_string(),
        }
    }
}
