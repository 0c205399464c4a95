//! References: `registry.example.com/team/sql:v3`, as Docker and Kubernetes read them.
//! <https://github.com/distribution/reference/blob/main/reference.go> has the grammar.

use std::fmt;
use std::str::FromStr;

use super::Digest;

/// Docker Hub's name in references, where none is written.
pub(super) const HUB: &str = "docker.io";
/// Where Docker Hub's API is.
const HUB_HOST: &str = "registry-1.docker.io";
/// Docker Hub's own images lie in this folder, which nobody writes.
const HUB_FOLDER: &str = "library/";
/// The tag where a reference has neither tag nor digest.
const LATEST: &str = "latest";

const MAX_REPOSITORY_BYTES: usize = 255;
const MAX_TAG_BYTES: usize = 128;

/// What a reference names.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Reference {
    /// Host, and port where one is written.
    registry: String,
    repository: String,
    tag: Option<String>,
    digest: Option<Digest>,
}

/// Text is no reference.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{text:?} is no reference ({what}): write it like registry.example.com/team/name:tag")]
pub struct NoReference {
    text: String,
    what: &'static str,
}

impl Reference {
    /// The registry as the reference names it: host, and port where one is written.
    pub(crate) fn registry(&self) -> &str {
        &self.registry
    }

    /// Where the registry's API is: host, and port where one is written.
    pub(crate) fn host(&self) -> &str {
        if self.registry == HUB { HUB_HOST } else { &self.registry }
    }

    /// The repository.
    pub(crate) fn repository(&self) -> &str {
        &self.repository
    }

    /// The digest, if the reference has one: it counts, and a tag beside it does not.
    pub(crate) fn digest(&self) -> Option<&Digest> {
        self.digest.as_ref()
    }

    /// What the registry is asked for: the digest or the tag.
    pub(crate) fn version(&self) -> String {
        match (&self.digest, &self.tag) {
            (Some(digest), _) => digest.to_string(),
            (None, Some(tag)) => tag.clone(),
            (None, None) => LATEST.to_owned(),
        }
    }
}

impl FromStr for Reference {
    type Err = NoReference;

    fn from_str(text: &str) -> Result<Self, NoReference> {
        let refused = |what| NoReference { text: text.to_owned(), what };
        let (rest, digest) = match text.split_once('@') {
            Some((rest, digest)) => {
                let digest =
                    digest.parse().map_err(|_| refused("the digest is not sha256: and 64 digits"))?;
                (rest, Some(digest))
            }
            None => (text, None),
        };
        // A colon before the last slash is a port's.
        let (name, tag) = match rest.rsplit_once(':') {
            Some((name, tag)) if !tag.contains('/') => (name, Some(tag)),
            _ => (rest, None),
        };
        if tag.is_some_and(|tag| !is_tag(tag)) {
            return Err(refused("the tag is not letters, digits, _ . and -, 128 at most"));
        }
        let (registry, repository) = match name.split_once('/') {
            Some((host, repository)) if is_host(host) => (host, repository.to_owned()),
            _ if name.contains('/') => (HUB, name.to_owned()),
            _ => (HUB, format!("{HUB_FOLDER}{name}")),
        };
        if !is_authority(registry) {
            return Err(refused("the registry is no host name"));
        }
        if repository.len() > MAX_REPOSITORY_BYTES || !repository.split('/').all(is_component) {
            return Err(refused(
                "the repository is not lower-case letters and digits with . _ - between them",
            ));
        }
        let registry = if is_hub(registry) { HUB } else { registry };
        Ok(Self { registry: registry.to_owned(), repository, tag: tag.map(str::to_owned), digest })
    }
}

impl fmt::Display for Reference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.registry, self.repository)?;
        match &self.digest {
            Some(digest) => write!(f, "@{digest}"),
            None => write!(f, ":{}", self.version()),
        }
    }
}

/// Whether a host is one of Docker Hub's names.
pub(super) fn is_hub(host: &str) -> bool {
    [HUB, HUB_HOST, "index.docker.io"].contains(&host)
}

/// Whether the first component is a registry rather than a folder of Docker Hub.
fn is_host(component: &str) -> bool {
    component.contains(['.', ':'])
        || component == "localhost"
        || component.bytes().any(|byte| byte.is_ascii_uppercase())
}

/// Host and port, such that nothing else of an address can be meant.
fn is_authority(authority: &str) -> bool {
    let (host, port) = match authority.rsplit_once(':') {
        Some((host, port)) if !port.ends_with(']') => (host, Some(port)),
        _ => (authority, None),
    };
    let in_brackets = host.strip_prefix('[').and_then(|host| host.strip_suffix(']'));
    let is_name = || {
        host.split('.').all(|label| {
            !label.is_empty()
                && !label.starts_with('-')
                && !label.ends_with('-')
                && label.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-')
        })
    };
    let host = in_brackets.map_or_else(is_name, |host| host.parse::<std::net::Ipv6Addr>().is_ok());
    host && port
        .is_none_or(|port| port.bytes().all(|byte| byte.is_ascii_digit()) && port.parse::<u16>().is_ok())
}

/// Lower-case letters and digits; between them one dot, one or two underscores, or any number of dashes.
fn is_component(component: &str) -> bool {
    let inside = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
    let mut separator = String::new();
    let starts = component.bytes().next().is_some_and(inside);
    starts
        && component.bytes().last().is_some_and(inside)
        && component.bytes().all(|byte| {
            if inside(byte) {
                separator.clear();
                return true;
            }
            separator.push(char::from(byte));
            matches!(separator.as_str(), "." | "_" | "__") || separator.bytes().all(|byte| byte == b'-')
        })
}

fn is_tag(tag: &str) -> bool {
    let word = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_';
    tag.len() <= MAX_TAG_BYTES
        && tag.bytes().next().is_some_and(word)
        && tag.bytes().all(|byte| word(byte) || byte == b'.' || byte == b'-')
}

#[cfg(test)]
mod tests {
    use super::*;

    const HEX: &str = "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef";

    #[test]
    fn what_docker_reads_is_read_alike() {
        let digest = format!("sha256:{HEX}");
        for (text, registry, repository, version) in [
            ("nginx", "docker.io", "library/nginx", "latest"),
            ("nginx:1.27", "docker.io", "library/nginx", "1.27"),
            ("team/nginx", "docker.io", "team/nginx", "latest"),
            ("docker.io/team/nginx", "docker.io", "team/nginx", "latest"),
            ("index.docker.io/team/nginx", "docker.io", "team/nginx", "latest"),
            ("localhost/nginx", "localhost", "nginx", "latest"),
            ("localhost:5000/nginx", "localhost:5000", "nginx", "latest"),
            ("registry.example.com/a/b/c:v1", "registry.example.com", "a/b/c", "v1"),
            ("[::1]:5000/a:v1", "[::1]:5000", "a", "v1"),
            ("Registry/a", "Registry", "a", "latest"),
            (&format!("a.example/b@{digest}"), "a.example", "b", &digest),
            (&format!("a.example/b:v1@{digest}"), "a.example", "b", &digest),
            ("a.example/a__b/c-----d.e", "a.example", "a__b/c-----d.e", "latest"),
        ] {
            let read: Reference = text.parse().unwrap();
            assert_eq!(
                (read.registry(), read.repository(), &*read.version()),
                (registry, repository, version)
            );
        }
        let hub: Reference = "nginx".parse().unwrap();
        assert_eq!(hub.host(), "registry-1.docker.io");
        assert_eq!(hub.to_string(), "docker.io/library/nginx:latest");
    }

    #[test]
    fn what_could_mean_another_address_is_refused() {
        for text in [
            "",
            "a.example/",
            "a.example//b",
            "a.example/b:",
            "a.example/b:-x",
            "a.example/B",
            "a.example/../b",
            "a.example/b/.",
            "a.example/a___b",
            "a.example/a..b",
            "user@a.example/b",
            "https://a.example/b",
            "a.example:port/b",
            "a.example:99999/b",
            "a.example/b?x=1",
            "a.example/b#c",
            "a..example/b",
            "[x]:1/b",
            "a.example/b@sha256:0123",
            &format!("a.example/b@sha512:{HEX}"),
        ] {
            let read = text.parse::<Reference>();
            assert!(read.is_err(), "{text}: {read:?}");
        }
    }
}
