//! The Kubernetes version that a pod is planned for.

use std::fmt;

/// A minor version of Kubernetes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Version {
    /// Always `1` so far.
    pub major: u32,
    /// The `35` of `1.35`.
    pub minor: u32,
}

impl Version {
    /// The first version with `fileKeyRef` enabled by default, and with the file format that boot writes
    /// (KEP-3721).
    pub const FILE_KEY_REF: Self = Self { major: 1, minor: 35 };

    /// The first version with image volumes enabled by default (KEP-4639). Earlier API servers remove the
    /// volume and its mounts from the pod without an error, or do not know the field and mount an empty
    /// folder.
    pub const IMAGE_VOLUME: Self = Self { major: 1, minor: 35 };

    /// The first version with native sidecars enabled by default (KEP-753). Earlier versions drop the field
    /// `restartPolicy` of the container, and the pod would never start.
    pub const NATIVE_SIDECARS: Self = Self { major: 1, minor: 29 };

    /// The version of a cluster, if it is known and does not support native sidecars.
    pub(super) fn without_native_sidecars(kubernetes: Option<Self>) -> Option<Self> {
        kubernetes.filter(|version| *version < Self::NATIVE_SIDECARS)
    }

    /// Parses the response of an API server at `/version`. Some add a suffix to the minor version: `34+`.
    #[must_use]
    pub fn read(major: &str, minor: &str) -> Option<Self> {
        let digits = |text: &str| {
            let end = text.find(|character: char| !character.is_ascii_digit()).unwrap_or(text.len());
            text.get(..end)?.parse().ok()
        };
        Some(Self { major: digits(major)?, minor: digits(minor)? })
    }
}

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.major, self.minor)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_parsed_and_compared_as_numbers() {
        let read = |minor| Version::read("1", minor);
        assert_eq!(read("34+").unwrap().to_string(), "1.34");
        assert!(
            read("9") < read("35")
                && read("35") == Some(Version::FILE_KEY_REF)
                && read("37-gke") > read("35")
        );
        assert_eq!(read("new"), None);
    }
}
