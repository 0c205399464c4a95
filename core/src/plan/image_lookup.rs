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

/// Results of lookups, by the reference of the image in the pod: its configuration, or why the lookup failed,
/// as a message for the author of the pod that contains no credentials.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ImageConfigs(BTreeMap<String, Result<ImageConfig, String>>);

impl ImageConfigs {
    /// The result for `image`; `None` if it has not been looked up.
    #[must_use]
    pub fn get(&self, image: &str) -> Option<&Result<ImageConfig, String>> {
        self.0.get(image)
    }
}

impl Extend<(String, Result<ImageConfig, String>)> for ImageConfigs {
    fn extend<T: IntoIterator<Item = (String, Result<ImageConfig, String>)>>(&mut self, results: T) {
        self.0.extend(results);
    }
}

impl FromIterator<(String, Result<ImageConfig, String>)> for ImageConfigs {
    fn from_iter<T: IntoIterator<Item = (String, Result<ImageConfig, String>)>>(results: T) -> Self {
        Self(results.into_iter().collect())
    }
}
