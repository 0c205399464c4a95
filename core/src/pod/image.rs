//! Complete image references: the reference that is checked is the reference that is pulled.
//!
//! A pod can omit the registry, `library/` and the tag, and each runtime completes them with different rules:
//! CRI-O even searches a list of registries of the node. So a reference whose registry was checked is written
//! into the pod in its complete form, which every runtime interprets in the same way.
//!
//! The parser is hand-written: libraries for this grammar (`oci-spec`) use a regular expression that needs 30
//! MB of memory and 20 ms to compile, in a webhook of 8 MB and in each boot from a registry. A property test
//! compares the two.

use std::fmt;

/// The default registry, and its former name.
const HUB: [&str; 2] = ["docker.io", "index.docker.io"];
/// The namespace of official images.
const OFFICIAL: &str = "library";
/// The default tag.
const LATEST: &str = "latest";
/// Maximum length of a registry: a DNS name (RFC 1035) and a port.
const MAX_REGISTRY: usize = 253 + ":65535".len();
/// Maximum length of a repository.
const MAX_REPOSITORY: usize = 255;
/// Maximum length of a tag.
const MAX_TAG: usize = 128;
/// Supported digest algorithms, with the number of hexadecimal digits.
const DIGESTS: [(&str, usize); 3] = [("sha256", 64), ("sha384", 96), ("sha512", 128)];

/// An image reference with registry, repository, and a tag, a digest or both. It is displayed in its complete
/// form: `docker.io/library/busybox:1.37`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Image {
    registry: String,
    repository: String,
    tag: Option<String>,
    digest: Option<String>,
}

/// A text that is not a valid image reference.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "{name:?} is not a valid image reference: use REGISTRY/REPOSITORY:TAG or REGISTRY/REPOSITORY@sha256:DIGEST, in lower \
     case except for the tag"
)]
pub struct InvalidImage {
    /// The text.
    pub name: String,
}

impl Image {
    /// Parses a reference with the grammar that container runtimes share.
    /// <https://pkg.go.dev/github.com/distribution/reference>
    ///
    /// # Errors
    /// If the reference is invalid, or has upper case letters before the tag, which some parsers take for a
    /// host and others refuse.
    pub fn parse(name: &str) -> Result<Self, InvalidImage> {
        Self::read(name).ok_or_else(|| InvalidImage { name: name.to_owned() })
    }

    fn read(name: &str) -> Option<Self> {
        let (rest, digest) = name.split_once('@').map_or((name, None), |(rest, digest)| (rest, Some(digest)));
        // A colon before the last slash belongs to a port.
        let last = rest.rfind('/').map_or(0, |slash| slash + 1);
        let (path, tag) = match rest.get(last..)?.split_once(':') {
            Some((_, tag)) => (rest.get(..rest.len() - tag.len() - 1)?, Some(tag)),
            None => (rest, None),
        };
        // A first component without a dot, a port or the name localhost is part of the repository on Docker
        // Hub.
        let is_host = |part: &str| part.contains(['.', ':']) || part == "localhost";
        let (registry, repository) =
            path.split_once('/').filter(|(first, _)| is_host(first)).unwrap_or((HUB[0], path));
        let (registry, repository) = match registry {
            hub if HUB.contains(&hub) && repository.contains('/') => (HUB[0], repository.to_owned()),
            hub if HUB.contains(&hub) => (HUB[0], format!("{OFFICIAL}/{repository}")),
            other => (other, repository.to_owned()),
        };
        let is_whole = is_registry(registry)
            && repository.len() <= MAX_REPOSITORY
            && repository.split('/').all(is_component)
            && tag.is_none_or(is_tag)
            && digest.is_none_or(is_digest);
        let tag = tag.or_else(|| digest.is_none().then_some(LATEST));
        let owned = |part: Option<&str>| part.map(str::to_owned);
        is_whole.then(|| Self {
            registry: registry.to_owned(),
            repository,
            tag: owned(tag),
            digest: owned(digest),
        })
    }

    /// Host, with the port if there is one: `registry.example.com:5000`.
    #[must_use]
    pub fn registry(&self) -> &str {
        &self.registry
    }

    /// Path in the registry: `team/boot`.
    #[must_use]
    pub fn repository(&self) -> &str {
        &self.repository
    }

    /// The tag; `None` if there is only a digest.
    #[must_use]
    pub fn tag(&self) -> Option<&str> {
        self.tag.as_deref()
    }

    /// The digest, if there is one.
    #[must_use]
    pub fn digest(&self) -> Option<&str> {
        self.digest.as_deref()
    }

    /// Whether the reference always means the same content, which a tag does not guarantee.
    #[must_use]
    pub fn has_digest(&self) -> bool {
        self.digest.is_some()
    }
}

impl fmt::Display for Image {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { registry, repository, tag, digest } = self;
        write!(f, "{registry}/{repository}")?;
        tag.iter().try_for_each(|tag| write!(f, ":{tag}"))?;
        digest.iter().try_for_each(|digest| write!(f, "@{digest}"))
    }
}

fn is_alphanumeric(letter: char) -> bool {
    letter.is_ascii_lowercase() || letter.is_ascii_digit()
}

/// Whether the text starts and ends with a letter or digit, and `separates` accepts everything between
/// letters and digits.
fn is_separated(text: &str, separates: impl Fn(&str) -> bool) -> bool {
    text.starts_with(is_alphanumeric)
        && text.ends_with(is_alphanumeric)
        && text.split(is_alphanumeric).all(|between| between.is_empty() || separates(between))
}

fn is_dashes(text: &str) -> bool {
    text.bytes().all(|byte| byte == b'-')
}

/// A host name or IPv4 address, and a port.
fn is_registry(text: &str) -> bool {
    let (host, port) = text.split_once(':').unwrap_or((text, "0"));
    let is_port = !port.is_empty() && port.bytes().all(|byte| byte.is_ascii_digit());
    text.len() <= MAX_REGISTRY && is_port && host.split('.').all(|label| is_separated(label, is_dashes))
}

/// A component between slashes of a repository.
fn is_component(text: &str) -> bool {
    is_separated(text, |between| matches!(between, "." | "_" | "__") || is_dashes(between))
}

fn is_tag(text: &str) -> bool {
    let is_word = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_';
    text.len() <= MAX_TAG
        && text.bytes().next().is_some_and(is_word)
        && text.bytes().all(|byte| is_word(byte) || byte == b'.' || byte == b'-')
}

fn is_digest(text: &str) -> bool {
    let is_hex = |digits: &str| digits.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'));
    text.split_once(':')
        .is_some_and(|(algorithm, digits)| DIGESTS.contains(&(algorithm, digits.len())) && is_hex(digits))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const DIGEST: &str = "sha256:0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef";

    fn read(name: &str) -> Option<(String, String, String)> {
        let image = Image::parse(name).ok()?;
        Some((image.registry().to_owned(), image.repository().to_owned(), image.to_string()))
    }

    #[test]
    fn what_is_left_out_is_filled_in() {
        let digest = |name: &str| format!("{name}@{DIGEST}");
        for (name, registry, repository, full) in [
            ("busybox", "docker.io", "library/busybox", "docker.io/library/busybox:latest"),
            ("team/boot:2", "docker.io", "team/boot", "docker.io/team/boot:2"),
            ("index.docker.io/busybox", "docker.io", "library/busybox", "docker.io/library/busybox:latest"),
            ("localhost/boot:V1", "localhost", "boot", "localhost/boot:V1"),
            ("boot:5000", "docker.io", "library/boot", "docker.io/library/boot:5000"),
            ("boot:5000/a", "boot:5000", "a", "boot:5000/a:latest"),
            ("r.example.com/a/b_c.d-e", "r.example.com", "a/b_c.d-e", "r.example.com/a/b_c.d-e:latest"),
            ("r.example.com:443/a", "r.example.com:443", "a", "r.example.com:443/a:latest"),
            // A first component without a dot, a port or the name localhost is part of the repository on
            // Docker Hub.
            ("registry/a", "docker.io", "registry/a", "docker.io/registry/a:latest"),
            (&digest("r.example.com/a"), "r.example.com", "a", &digest("r.example.com/a")),
            (&digest("r.example.com/a:1"), "r.example.com", "a", &digest("r.example.com/a:1")),
        ] {
            let expected = (registry.to_owned(), repository.to_owned(), full.to_owned());
            assert_eq!(read(name), Some(expected), "{name}");
        }
    }

    #[test]
    fn what_could_be_read_in_two_ways_is_refused() {
        for name in [
            "",
            " r.example.com/a",
            "r.example.com/a\n",
            "r.example.com",
            "r.example.com/",
            "/a",
            "https://r.example.com/a",
            "user@r.example.com/a",
            "user:password@r.example.com/a",
            "r.example.com@evil.example/a",
            "r.example.com/a@evil",
            "r.example.com/a@sha256:0123",
            "r.example.com/../a",
            "r.example.com/a/../b",
            "r.example.com//a",
            "r.example.com/a/",
            "r.example.com/.a",
            "r.example.com/a?b",
            "r.example.com/a#b",
            "r.example.com/a%2fb",
            "r.example.com\\evil/a",
            "R.example.com/a",
            "r.example.com/A",
            "LOCALHOST/a",
            "r.example.com/a:ä",
            "r.example.com/a:b:c",
            "r.example.com:port/a",
            "[::1]:5000/a",
        ] {
            // "r.example.com" alone is a repository on Docker Hub, not a host.
            if name == "r.example.com" {
                assert_eq!(read(name).unwrap().0, "docker.io");
                continue;
            }
            assert_eq!(Image::parse(name), Err(InvalidImage { name: name.to_owned() }), "{name}");
        }
        let upper = DIGEST.to_uppercase().replace("SHA", "sha");
        assert!(Image::parse(&format!("r.example.com/a@{upper}")).is_err());
    }

    proptest! {
        /// The complete reference parses to itself, with the same parts.
        #[test]
        fn the_full_name_is_read_as_itself(name in r"([a-z0-9]{1,3}|[.:/@_-]|docker\.io|localhost|evil\.example){1,9}") {
            let Ok(image) = Image::parse(&name) else { return Ok(()) };
            let full = image.to_string();
            prop_assert_eq!(Image::parse(&full), Ok(image.clone()));
            let (registry, rest) = full.split_once('/').unwrap();
            prop_assert_eq!(registry, image.registry());
            prop_assert!(registry.contains(['.', ':']) || registry == "localhost", "{}", full);
            prop_assert!(rest.strip_prefix(image.repository()).unwrap().starts_with([':', '@']), "{}", full);
            prop_assert!(image.repository().split('/').all(|part| !part.is_empty() && part != "." && part != ".."));
        }

        /// `oci-spec` implements the same grammar, except for upper case, other alphabets, and underscores in
        /// hosts.
        #[test]
        fn it_reads_as_other_readers_do(
            name in r"([a-z0-9]{1,3}|[.:/_-]|__|--|docker\.io|index\.docker\.io|localhost|[A-Z]|:[0-9]{2}/|@sha256:[0-9a-f]{64}|@sha512:[0-9a-f]{128}){1,9}",
        ) {
            let theirs = oci_spec::distribution::Reference::try_from(name.as_str()).ok().filter(|theirs| {
                let upper = |text: &str| text.bytes().any(|byte| byte.is_ascii_uppercase());
                !upper(theirs.registry()) && !upper(theirs.repository()) && !theirs.registry().contains('_')
            });
            let parts = theirs.map(|theirs| {
                let owned = |part: Option<&str>| part.map(str::to_owned);
                let (registry, repository) = (theirs.registry().to_owned(), theirs.repository().to_owned());
                Image { registry, repository, tag: owned(theirs.tag()), digest: owned(theirs.digest()) }
            });
            prop_assert_eq!(Image::parse(&name).ok(), parts);
        }

        #[test]
        fn any_text_is_read_or_refused(name in ".{0,60}") {
            let _ = Image::parse(&name);
        }
    }
}
