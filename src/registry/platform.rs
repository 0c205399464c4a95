//! Platforms, which select an image of an index.

use std::fmt;
use std::str::FromStr;

use serde::Deserialize;

use super::manifest::Descriptor;

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

/// The platform of `BuildKit` attestations, which are not programs.
const UNKNOWN: &str = "unknown";

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

    /// Whether an image for `offered` runs on this platform. The default variant of an architecture may be
    /// omitted, as in containerd.
    fn matches(&self, offered: &Self) -> bool {
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

    /// Selects an image of an index: the first for this platform, or the only one if it has no platform (an
    /// index around an artifact).
    ///
    /// # Errors
    /// If no image matches. The error lists the platforms of the index.
    pub(crate) fn choose<'i>(&self, index: &'i [Descriptor]) -> Result<&'i Descriptor, PlatformNotFound> {
        let matches =
            |offered: &&Descriptor| offered.platform.as_ref().is_some_and(|offered| self.matches(offered));
        if let Some(found) = index.iter().find(matches) {
            return Ok(found);
        }
        if let [only] = index
            && only.platform.is_none()
        {
            return Ok(only);
        }
        let offered = index.iter().filter_map(|one| one.platform.as_ref());
        let offered = offered.filter(|platform| platform.os != UNKNOWN).map(ToString::to_string);
        Err(PlatformNotFound { wanted: self.clone(), offered: offered.collect() })
    }
}

/// An index has no image for a platform.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct PlatformNotFound {
    /// The platform.
    pub(crate) wanted: Platform,
    /// The platforms of the index.
    pub(crate) offered: Vec<String>,
}

impl fmt::Display for PlatformNotFound {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { wanted, offered } = self;
        if offered.is_empty() {
            return write!(f, "the index has no image for {wanted}, because its images have no platform");
        }
        write!(f, "the index has no image for {wanted}, only for {}", offered.join(", "))
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
    use serde_json::json;

    use super::*;

    fn index(platforms: &[Option<&str>]) -> Vec<Descriptor> {
        let entry = |(position, platform): (usize, Option<&str>)| {
            let platform = platform.map(|platform| platform.parse::<Platform>().unwrap());
            let platform =
                platform.map(|p| json!({"os": p.os, "architecture": p.architecture, "variant": p.variant}));
            let digest = format!("sha256:{position:064}");
            serde_json::from_value(
                json!({"mediaType": "m", "digest": digest, "size": position, "platform": platform}),
            )
            .unwrap()
        };
        platforms.iter().copied().enumerate().map(entry).collect()
    }

    #[test]
    fn the_first_matching_image_is_selected() {
        let all = [
            Some("unknown/unknown"),
            Some("windows/amd64"),
            Some("linux/amd64/v3"),
            Some("linux/amd64"),
            Some("linux/amd64"),
            Some("linux/arm/v6"),
            Some("linux/arm/v7"),
            Some("linux/arm64/v8"),
            None,
        ];
        let index = index(&all);
        for (wanted, position) in [
            ("linux/amd64", 3),
            ("linux/amd64/v1", 3),
            ("linux/amd64/v3", 2),
            ("linux/arm", 6),
            ("linux/arm/v6", 5),
            ("linux/arm64", 7),
            ("windows/amd64", 1),
        ] {
            let chosen = wanted.parse::<Platform>().unwrap().choose(&index).unwrap();
            assert_eq!(chosen.size, position, "{wanted}");
        }
    }

    #[test]
    fn a_missing_platform_is_reported_with_the_existing_ones() {
        let wanted: Platform = "linux/s390x".parse().unwrap();
        let message = |all: &[Option<&str>]| wanted.choose(&index(all)).unwrap_err().to_string();
        let offered = message(&[Some("linux/amd64"), Some("unknown/unknown"), Some("linux/arm64/v8")]);
        assert!(
            offered.contains(" linux/s390x,") && offered.ends_with(" linux/amd64, linux/arm64/v8"),
            "{offered}"
        );
        assert!(message(&[None, None]).contains(" linux/s390x,"));
        wanted.choose(&index(&[None])).unwrap();
        for text in ["", "linux", "linux/", "/arm64", "linux/arm64/v8/x"] {
            text.parse::<Platform>().unwrap_err();
        }
    }
}
