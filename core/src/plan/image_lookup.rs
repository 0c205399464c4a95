//! Lookups of image configurations, as queries and results: planning does no I/O.

use std::collections::{BTreeMap, BTreeSet};

/// Lookups that are needed to plan a pod. The caller runs them and plans again with the results.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ImageQuery {
    /// Namespace of the pod and of its pull secrets.
    pub namespace: String,
    /// Pull secrets of the pod. If it has none, the API server adds those of its service account before it
    /// calls the webhook, and the kubelet uses no others.
    /// <https://kubernetes.io/docs/reference/access-authn-authz/admission-controllers/#serviceaccount>
    pub pull_secrets: Vec<String>,
    /// Required architecture of the node, with its name in Go (`arm64`); `None` if several are possible.
    pub architecture: Option<String>,
    /// References of the images in the pod.
    pub images: BTreeSet<String>,
}

/// The command in the configuration of an image.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ImageConfig {
    /// `Entrypoint`.
    pub entrypoint: Vec<String>,
    /// `Cmd`, which `args` of the pod replace.
    pub cmd: Vec<String>,
}

/// Why the lookup of an image failed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FailedLookup {
    /// The reason, as a message for the author of the pod that contains no credentials.
    pub reason: String,
    /// Whether another attempt may succeed without a change of the pod or the image.
    pub is_temporary: bool,
}

/// The result of a lookup.
pub type ImageLookupResult = Result<ImageConfig, FailedLookup>;

/// Results of lookups, by the reference of the image in the pod.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ImageConfigs(BTreeMap<String, ImageLookupResult>);

impl ImageConfigs {
    /// The result for `image`; `None` if it has not been looked up.
    #[must_use]
    pub fn get(&self, image: &str) -> Option<&ImageLookupResult> {
        self.0.get(image)
    }
}

impl Extend<(String, ImageLookupResult)> for ImageConfigs {
    fn extend<T: IntoIterator<Item = (String, ImageLookupResult)>>(&mut self, results: T) {
        self.0.extend(results);
    }
}

impl FromIterator<(String, ImageLookupResult)> for ImageConfigs {
    fn from_iter<T: IntoIterator<Item = (String, ImageLookupResult)>>(results: T) -> Self {
        Self(results.into_iter().collect())
    }
}
