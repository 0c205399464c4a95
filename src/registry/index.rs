//! Indexes: which of their images a platform selects.

use std::fmt;

use super::manifest::Descriptor;
use super::platform::Platform;

impl Platform {
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
        let offered = offered.filter(|platform| !platform.is_unknown()).map(ToString::to_string);
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

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn index(platforms: &[Option<&str>]) -> Vec<Descriptor> {
        let entry = |(position, platform): (usize, Option<&str>)| {
            let platform = platform.map(|platform| {
                let mut parts = platform.split('/');
                let mut part = || parts.next().unwrap_or_default();
                json!({"os": part(), "architecture": part(), "variant": part()})
            });
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
    }
}
