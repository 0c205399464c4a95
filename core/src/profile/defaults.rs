//! Default profiles of namespaces.

use std::collections::BTreeMap;

/// Profile names by namespace: the values of the label [`LABEL_PROFILE`](crate::names::LABEL_PROFILE).
/// Namespaces without the label are not included.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct NamespaceDefaults(BTreeMap<String, String>);

impl NamespaceDefaults {
    /// The default profile of `namespace`.
    #[must_use]
    pub fn get(&self, namespace: &str) -> Option<&str> {
        self.0.get(namespace).map(String::as_str)
    }

    /// Sets the default profile of `namespace`; `None` removes it.
    pub fn set(&mut self, namespace: String, profile: Option<String>) {
        match profile {
            Some(profile) => self.0.insert(namespace, profile),
            None => self.0.remove(&namespace),
        };
    }

    /// Number of namespaces with a default profile.
    #[must_use]
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether no namespace has a default profile.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl FromIterator<(String, String)> for NamespaceDefaults {
    fn from_iter<T: IntoIterator<Item = (String, String)>>(defaults: T) -> Self {
        Self(defaults.into_iter().collect())
    }
}
