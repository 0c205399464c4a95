//! Platforms of nodes and images.

use std::fmt;
use std::str::FromStr;

use serde::Deserialize;

/// A platform with the names of Go: `linux/arm64/v8`.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Deserialize)]
pub(crate) struct Platform {
    #[serde(default)]
    os: String,
    #[serde(default)]
    architecture: String,
    #[serde(default)]
    variant: String,
}

/// The text is not a platform.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is not a platform: write it like linux/arm64")]
pub(crate) struct InvalidPlatform(String);

/// The architectures of Go for Linux.
/// <https://go.dev/doc/install/source#environment>
const NODE_ARCHITECTURES: [&str; 13] = [
    "386", "amd64", "arm", "arm64", "loong64", "mips", "mips64", "mips64le", "mipsle", "ppc64", "ppc64le",
    "riscv64", "s390x",
];

impl Platform {
    /// The platform of this program.
    pub(crate) fn own() -> Self {
        // Names that differ between Rust and Go.
        let architecture = match std::env::consts::ARCH {
            "x86_64" => "amd64",
            "aarch64" => "arm64",
            "x86" => "386",
            "powerpc64" => "ppc64le",
            "loongarch64" => "loong64",
            same => same,
        };
        Self::linux(architecture)
    }

    /// Linux on an architecture, with its name in Go.
    pub(crate) fn linux(architecture: &str) -> Self {
        Self { os: "linux".to_owned(), architecture: architecture.to_owned(), variant: String::new() }
    }

    /// The platform of a node with this `kubernetes.io/arch` label. The author of a pod writes the label into
    /// the node selector, and responses are cached by platform, so only architectures that Kubernetes
    /// supports are accepted.
    pub(crate) fn of_node(architecture: &str) -> Option<Self> {
        NODE_ARCHITECTURES.contains(&architecture).then(|| Self::linux(architecture))
    }

    /// Whether it is the platform of `BuildKit` attestations, which are not programs.
    pub(super) fn is_unknown(&self) -> bool {
        self.os == "unknown"
    }

    /// Whether an image for `offered` runs on this platform. The default variant of an architecture may be
    /// omitted, as in containerd.
    pub(super) fn matches(&self, offered: &Self) -> bool {
        fn variant(platform: &Platform) -> &str {
            match (platform.architecture.as_str(), platform.variant.as_str()) {
                ("arm64", "v8") | ("amd64", "v1") => "",
                ("arm", "") => "v7",
                (_, variant) => variant,
            }
        }
        self.os == offered.os
            && self.architecture == offered.architecture
            && variant(self) == variant(offered)
    }
}

impl FromStr for Platform {
    type Err = InvalidPlatform;

    fn from_str(text: &str) -> Result<Self, InvalidPlatform> {
        let mut parts = text.split('/');
        let mut part = || parts.next().filter(|part| !part.is_empty()).map(str::to_owned);
        let (os, architecture, variant) = (part(), part(), part());
        match (os, architecture, parts.next()) {
            (Some(os), Some(architecture), None) => {
                Ok(Self { os, architecture, variant: variant.unwrap_or_default() })
            }
            _ => Err(InvalidPlatform(text.to_owned())),
        }
    }
}

impl fmt::Display for Platform {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.os, self.architecture)?;
        if self.variant.is_empty() { Ok(()) } else { write!(f, "/{}", self.variant) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn platforms_have_two_or_three_parts() {
        for text in ["linux/amd64", "linux/arm64/v8"] {
            assert_eq!(text.parse::<Platform>().unwrap().to_string(), text);
        }
        for text in ["", "linux", "linux/", "/arm64", "linux/arm64/v8/x"] {
            text.parse::<Platform>().unwrap_err();
        }
    }
}
