//! Which Kubernetes a pod is planned for.

use std::fmt;

/// A release of Kubernetes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Version {
    /// `1`, so far.
    pub major: u32,
    /// `35`, say.
    pub minor: u32,
}

impl Version {
    /// The first release whose API server and kubelet take `fileKeyRef` without a feature gate, and read its file in
    /// the dialect that boot writes (KEP-3721).
    pub const FILE_KEY_REF: Self = Self { major: 1, minor: 35 };

    /// The first release that has native sidecars without a feature gate (KEP-753); earlier ones drop the field that
    /// makes one, and the pod would never start.
    pub const NATIVE_SIDECARS: Self = Self { major: 1, minor: 29 };

    /// Reads what an API server says of itself at `/version`; some add to the minor version: `34+`.
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
    fn versions_are_read_and_compared_as_numbers() {
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
