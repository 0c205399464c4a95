//! The parts of a path, such as `/apis/bootlace.dev/v1alpha1/namespaces/etl/pipes/a/status`.

/// The path of a collection or of an object.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct ResourcePath<'p> {
    /// `/api/v1`, `/apis/bootlace.dev/v1alpha1`.
    pub(crate) version: &'p str,
    /// `None` for an object without a namespace, and for a collection of all namespaces.
    pub(crate) namespace: Option<&'p str>,
    /// `pipes`.
    pub(crate) resource: &'p str,
    /// `None` for a collection.
    pub(crate) name: Option<&'p str>,
}

impl<'p> ResourcePath<'p> {
    /// Parses a path without a subresource. `None` if it does not name a resource, as `/version`.
    pub(crate) fn parse(path: &'p str) -> Option<Self> {
        let segments = if path.starts_with("/api/") { 2 } else { 3 };
        let (end, _) = path.match_indices('/').nth(segments)?;
        let (version, rest) = path.split_at(end);
        let parts: Vec<_> = rest.split('/').skip(1).collect();
        let (namespace, resource, name) = match parts[..] {
            ["namespaces", namespace, resource] => (Some(namespace), resource, None),
            ["namespaces", namespace, resource, name] => (Some(namespace), resource, Some(name)),
            [resource] => (None, resource, None),
            [resource, name] => (None, resource, Some(name)),
            _ => return None,
        };
        Some(Self { version, namespace, resource, name })
    }

    /// Whether an object is in this collection.
    pub(crate) fn contains(&self, object: &ResourcePath<'_>) -> bool {
        self.name.is_none()
            && object.name.is_some()
            && (self.version, self.resource) == (object.version, object.resource)
            && self.namespace.is_none_or(|namespace| object.namespace == Some(namespace))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn objects_are_in_the_collection_of_their_namespace_and_in_that_of_all_namespaces() {
        let parse = |path| ResourcePath::parse(path).unwrap();
        let pipe = parse("/apis/bootlace.dev/v1alpha1/namespaces/etl/pipes/a");
        assert_eq!((pipe.namespace, pipe.resource, pipe.name), (Some("etl"), "pipes", Some("a")));
        for (collection, contains) in [
            ("/apis/bootlace.dev/v1alpha1/namespaces/etl/pipes", true),
            ("/apis/bootlace.dev/v1alpha1/pipes", true),
            ("/apis/bootlace.dev/v1alpha1/namespaces/shop/pipes", false),
            ("/apis/bootlace.dev/v1alpha1/bootprofiles", false),
            ("/api/v1/namespaces", false),
            ("/api/v1/pipes", false),
        ] {
            assert_eq!(parse(collection).contains(&pipe), contains, "{collection}");
        }
        assert!(parse("/api/v1/namespaces").contains(&parse("/api/v1/namespaces/etl")));
        assert!(!parse("/api/v1/namespaces").contains(&parse("/api/v1/namespaces/etl/pods/a")));
        assert_eq!(ResourcePath::parse("/version"), None);
    }
}
