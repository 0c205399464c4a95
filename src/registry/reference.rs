//! Image references, as registries are queried for them.

use std::fmt;
use std::str::FromStr;

use super::Digest;
use bootlace_core::pod::{Image, InvalidImage};

/// The registry of references without a host.
pub(super) const HUB: &str = "docker.io";
/// The host of Docker Hub's API.
const HUB_HOST: &str = "registry-1.docker.io";

/// A repository of a registry, with a tag or a digest.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Reference {
    name: Image,
    digest: Option<Digest>,
}

impl Reference {
    /// The registry in the reference: host and optional port.
    pub(crate) fn registry(&self) -> &str {
        self.name.registry()
    }

    /// The host and optional port of the registry's API.
    pub(crate) fn host(&self) -> &str {
        if self.registry() == HUB { HUB_HOST } else { self.registry() }
    }

    /// The repository.
    pub(crate) fn repository(&self) -> &str {
        self.name.repository()
    }

    /// The digest of the reference. If there is one, the tag is ignored.
    pub(crate) fn digest(&self) -> Option<&Digest> {
        self.digest.as_ref()
    }

    /// The digest or tag for requests.
    pub(crate) fn version(&self) -> String {
        match (&self.digest, self.name.tag()) {
            (Some(digest), _) => digest.to_string(),
            (None, tag) => tag.unwrap_or("latest").to_owned(),
        }
    }
}

impl FromStr for Reference {
    type Err = InvalidImage;

    fn from_str(text: &str) -> Result<Self, InvalidImage> {
        let name = Image::parse(text)?;
        let digest = name.digest().map(str::parse).transpose();
        let digest = digest.map_err(|_| InvalidImage { name: text.to_owned() })?;
        Ok(Self { name, digest })
    }
}

impl fmt::Display for Reference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.name.fmt(f)
    }
}

/// Whether a host is a name of Docker Hub.
pub(super) fn is_hub(host: &str) -> bool {
    [HUB, HUB_HOST, "index.docker.io"].contains(&host)
}

#[cfg(test)]
mod tests {
    use super::*;

    const HEX: &str = "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef";

    #[test]
    fn a_digest_takes_precedence_over_a_tag() {
        let digest = format!("sha256:{HEX}");
        for (text, host, repository, version) in [
            ("nginx", "registry-1.docker.io", "library/nginx", "latest"),
            ("localhost:5000/nginx:1", "localhost:5000", "nginx", "1"),
            ("registry.example.com/a/b/c:v1", "registry.example.com", "a/b/c", "v1"),
            (&format!("a.example/b@{digest}"), "a.example", "b", &digest),
            (&format!("a.example/b:v1@{digest}"), "a.example", "b", &digest),
        ] {
            let read: Reference = text.parse().unwrap();
            assert_eq!((read.host(), read.repository(), &*read.version()), (host, repository, version));
        }
        assert!(format!("a.example/b@sha512:{HEX}{HEX}").parse::<Reference>().is_err());
    }
}
