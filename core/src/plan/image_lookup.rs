//! What a pod does not tell itself, asked and answered in values: the pure way looks nothing up.

use std::collections::{BTreeMap, BTreeSet};

/// What must be known before a pod can be planned. Whoever can look it up does, and plans again with the answers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ImageQuery {
    /// The pod's namespace, which its pull secrets are in.
    pub namespace: String,
    /// The pod's pull secrets. Where it names none, the API server has put its service account's there before it asks
    /// for admission, and the kubelet uses no others.
    /// <https://kubernetes.io/docs/reference/access-authn-authz/admission-controllers/#serviceaccount>
    pub pull_secrets: Vec<String>,
    /// The architecture that the pod's node must have, as Go names it (`arm64`); none where it may have any.
    pub architecture: Option<String>,
    /// The images whose configuration must be known, as the pod calls them.
    pub images: BTreeSet<String>,
}

/// What an image's configuration says of the process that it starts.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ImageConfig {
    /// `Entrypoint`.
    pub entrypoint: Vec<String>,
    /// `Cmd`, which the pod's `args` replace.
    pub cmd: Vec<String>,
}

/// What lookups came to, by the image as the pod calls it: its configuration, or why there is none, in words for the
/// pod's author and without a credential.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ImageConfigs(BTreeMap<String, Result<ImageConfig, String>>);

impl ImageConfigs {
    /// The answer for `image`; none where it has not been looked up.
    #[must_use]
    pub fn get(&self, image: &str) -> Option<&Result<ImageConfig, String>> {
        self.0.get(image)
    }
}

impl Extend<(String, Result<ImageConfig, String>)> for ImageConfigs {
    fn extend<T: IntoIterator<Item = (String, Result<ImageConfig, String>)>>(&mut self, answers: T) {
        self.0.extend(answers);
    }
}

impl FromIterator<(String, Result<ImageConfig, String>)> for ImageConfigs {
    fn from_iter<T: IntoIterator<Item = (String, Result<ImageConfig, String>)>>(answers: T) -> Self {
        Self(answers.into_iter().collect())
    }
}
