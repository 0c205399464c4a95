//! Settings of the boot images that pods can select.

use std::fmt;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use wildmatch::WildMatch;

use super::resources::ContainerResources;
use super::rule::{self, CelRule, Validated};
use crate::names;
use crate::pod::Image;

/// Boot images that a pod can select with the annotation `bootlace.dev/init-image`. `docs/boot-images.md`
/// describes what they must do.
#[derive(Deserialize, Serialize, Clone, Debug, PartialEq, Eq, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct InitImage {
    /// Allowed images. A pod with another image is refused. At most 64.
    #[schemars(length(max = 64))]
    pub allow: Vec<AllowedImage>,
    /// Whether the sources of the profile are also fetched: `Keep` or `Replace`. Defaults to `Keep`.
    pub sources: OwnSources,
    /// Program in the image, with its arguments. The entrypoint of the image is not used. Defaults to
    /// `/bootlace-init`. At most 32 words.
    #[schemars(length(min = 1, max = 32), inner(length(min = 1, max = 1024)))]
    pub command: Vec<String>,
    /// Names of Secrets in the namespace of the pod that the image can read. Each is mounted as a folder with
    /// the name of the Secret, with a file for each key. At most 8.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schemars(
        length(max = 8),
        inner(length(min = 1, max = 253), regex(pattern = "^[a-z0-9]([-.a-z0-9]*[a-z0-9])?$")),
        extend("x-kubernetes-list-type" = "set")
    )]
    pub secrets: Vec<String>,
    /// Resources of the container of the image. Defaults to `boot.resources`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub resources: Option<ContainerResources>,
}

impl Default for InitImage {
    fn default() -> Self {
        Self {
            allow: Vec::new(),
            sources: OwnSources::default(),
            command: vec![names::IMAGE_INIT.to_owned()],
            secrets: Vec::new(),
            resources: None,
        }
    }
}

impl InitImage {
    /// Whether a pod may name `image`.
    #[must_use]
    pub fn allows(&self, image: &Image) -> bool {
        self.allow.iter().any(|allowed| allowed.covers(image))
    }
}

/// Images that a pod can select.
#[derive(Deserialize, Serialize, Clone, Debug, PartialEq, Eq, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[schemars(extend("x-kubernetes-validations" = rule::cel::<AllowedImage>()))]
pub struct AllowedImage {
    /// Host of the registry, with the port if image references contain one: `registry.example.com:5000`. It
    /// must match exactly. Required.
    #[schemars(
        length(max = 253),
        regex(
            pattern = r"^(localhost|[a-z0-9]([-a-z0-9]*[a-z0-9])?((\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)+(:[0-9]{1,5})?|:[0-9]{1,5}))$"
        )
    )]
    pub registry: String,
    /// Repository. A `*` matches any part of one path component, `/**` at the end matches all components
    /// below, and `**` matches the whole registry: `data/boot`, `data/boot-*`, `data/**`. Required.
    #[schemars(length(max = 255), regex(pattern = r"^[-._a-z0-9*]+(/[-._a-z0-9*]+)*$"))]
    pub repository: String,
    /// Whether the image must be referenced by digest, so that the image cannot be replaced. Defaults to
    /// false.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub digest_only: bool,
}

impl Validated for AllowedImage {
    const RULES: &'static [CelRule<Self>] = &[
        CelRule {
            cel: "self.registry != 'index.docker.io'",
            message: "registry must not be index.docker.io, because images of Docker Hub are compared as \
                      docker.io: set registry to docker.io",
            is_met: |part| part.registry != "index.docker.io",
        },
        CelRule {
            cel: "self.registry != 'docker.io' || self.repository == '**' || self.repository.contains('/')",
            message: "repository of docker.io must have two parts: use library/NAME for an official image",
            is_met: |part| {
                part.registry != "docker.io" || part.repository == "**" || part.repository.contains('/')
            },
        },
    ];
}

impl AllowedImage {
    fn covers(&self, image: &Image) -> bool {
        self.registry == image.registry()
            && covers(&self.repository, image.repository())
            && (image.has_digest() || !self.digest_only)
    }
}

/// For messages: `registry.example.com/data/** (by digest only)`.
impl fmt::Display for AllowedImage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.registry, self.repository)?;
        if self.digest_only { f.write_str(" (by digest only)") } else { Ok(()) }
    }
}

/// Matches each path component separately, so that a `*` does not match a slash.
pub(super) fn covers(pattern: &str, repository: &str) -> bool {
    if pattern == "**" {
        return true;
    }
    let (pattern, below) = pattern.strip_suffix("/**").map_or((pattern, false), |above| (above, true));
    let mut names = repository.split('/');
    let each = pattern
        .split('/')
        .all(|wanted| names.next().is_some_and(|name| WildMatch::new(wanted).matches(name)));
    each && names.next().is_some() == below
}

/// Whether the sources of the profile are fetched in a pod with its own boot image.
#[derive(Deserialize, Serialize, Clone, Copy, Debug, Default, PartialEq, Eq, JsonSchema)]
pub enum OwnSources {
    /// The sources are fetched, and the image wins if both provide the same variable or file.
    #[default]
    Keep,
    /// The sources are not fetched.
    Replace,
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const DIGEST: &str = "@sha256:0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef";

    fn allowed(registry: &str, repository: &str, digest_only: bool) -> InitImage {
        let (registry, repository) = (registry.to_owned(), repository.to_owned());
        let allow = vec![AllowedImage { registry, repository, digest_only }];
        InitImage { allow, ..InitImage::default() }
    }

    fn allows(registry: &str, repository: &str, name: &str) -> bool {
        allowed(registry, repository, false).allows(&Image::parse(name).unwrap())
    }

    #[test]
    fn a_pattern_is_matched_name_by_name() {
        for (pattern, yes, no) in [
            (
                "data/boot",
                &["data/boot"][..],
                &["data/boot2", "data", "data/boot/x", "x/data/boot", "boot"][..],
            ),
            ("data/*", &["data/boot", "data/x"], &["data/boot/x", "data", "database/x"]),
            ("data/boot-*", &["data/boot-a", "data/boot-a.b"], &["data/boot", "data/boot-a/b"]),
            ("*/boot", &["data/boot", "x/boot"], &["boot", "a/b/boot"]),
            ("data/**", &["data/boot", "data/a/b/c"], &["data", "database/a", "x/data/a"]),
            ("*", &["boot"], &["data/boot"]),
            ("**", &["boot", "a/b/c"], &[]),
        ] {
            for repository in yes {
                assert!(
                    allows("r.example.com", pattern, &format!("r.example.com/{repository}:1")),
                    "{pattern} {repository}"
                );
            }
            for repository in no {
                assert!(
                    !allows("r.example.com", pattern, &format!("r.example.com/{repository}:1")),
                    "{pattern} {repository}"
                );
            }
        }
    }

    #[test]
    fn another_registry_is_never_meant() {
        for name in [
            "r.example.com.evil/data/boot",
            "r.example.com.evil.example/data/boot",
            "r.example.com:443/data/boot",
            "r.example.com:5000/data/boot",
            "evil.example/r.example.com/data/boot",
            "r-example.com/data/boot",
            "example.com/data/boot",
            "data/boot",
            "r.example/com/data/boot",
            "localhost/data/boot",
        ] {
            assert!(!allows("r.example.com", "**", name), "{name}");
        }
        assert!(allows("docker.io", "library/*", "busybox"));
        assert!(allows("docker.io", "library/busybox", "index.docker.io/busybox:1"));
        assert!(!allows("docker.io", "library/*", "team/busybox"));
    }

    #[test]
    fn a_digest_can_be_asked_for() {
        let allowed = allowed("r.example.com", "data/*", true);
        let may = |name: &str| allowed.allows(&Image::parse(name).unwrap());
        assert!(may(&format!("r.example.com/data/boot{DIGEST}")));
        assert!(may(&format!("r.example.com/data/boot:1{DIGEST}")));
        assert!(!may("r.example.com/data/boot:1"));
        assert!(!may(&format!("r.example.com/other/boot{DIGEST}")));
        assert_eq!(allowed.allow[0].to_string(), "r.example.com/data/* (by digest only)");
    }

    #[test]
    fn nothing_is_allowed_without_a_list() {
        assert!(!InitImage::default().allows(&Image::parse("r.example.com/data/boot").unwrap()));
    }

    proptest! {
        /// Compares with the reference in the pod: it is in the registry and below the folder, and nowhere
        /// else.
        #[test]
        fn what_a_folder_allows_lies_in_it(
            name in r"(r\.example\.com|data|boot|evil|[a-z.:/@_-]){1,3}(/(data|boot|[a-z.:/@_-]{1,4})){0,4}(:[a-zA-Z0-9.@/]{1,6})?",
        ) {
            let Ok(image) = Image::parse(&name) else { return Ok(()) };
            let inside = image.to_string().starts_with("r.example.com/data/");
            prop_assert_eq!(allowed("r.example.com", "data/**", false).allows(&image), inside, "{}", image);
        }
    }
}
