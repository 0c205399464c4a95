//! The profile that a namespace's tasks boot with, where their pods name none.

use std::collections::BTreeMap;

/// Profile names by namespace: what the label [`LABEL_PROFILE`](crate::names::LABEL_PROFILE) says. Namespaces
/// without the label are not in it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct NamespaceDefaults(BTreeMap<String, String>);

impl NamespaceDefaults {
    /// The profile that `namespace` names for its tasks.
    #[must_use]
    pub fn get(&self, namespace: &str) -> Option<&str> {
        self.0.get(namespace).map(String::as_str)
    }

    /// Notes what `namespace` names; nothing for `None`.
    pub fn set(&mut self, namespace: String, profile: Option<String>) {
        match profile {
            Some(profile) => self.0.insert(namespace, profile),
            None => self.0.remove(&namespace),
        };
    }

    /// How many namespaces name one.
    #[must_use]
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether no namespace names one.
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
