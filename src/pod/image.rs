//! An image's name, in full: what is checked is what is pulled.
//!
//! A pod may leave out the registry, `library/` and the tag, and each runtime fills them in by its own rules: CRI-O even
//! asks a list of registries of the node's. So a name that was judged by its registry is written into the pod with
//! everything filled in, and then means one image to everybody.

use std::fmt;

use oci_spec::distribution::Reference;

/// An image's name with registry, repository, and a tag, a digest or both. It shows itself in full:
/// `docker.io/library/busybox:1.37`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Image(Reference);

/// A text that names no image.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "{name:?} is not the name of an image: write REGISTRY/REPOSITORY:TAG or REGISTRY/REPOSITORY@sha256:DIGEST, in lower \
     case but for the tag"
)]
pub struct NotAnImage {
    /// What was written.
    pub name: String,
}

impl Image {
    /// Reads a name by the grammar that container runtimes share.
    /// <https://pkg.go.dev/github.com/distribution/reference>
    ///
    /// # Errors
    /// Where it is none, or has upper case letters before the tag: some readers take them for a host, others refuse them.
    pub fn parse(name: &str) -> Result<Self, NotAnImage> {
        let refused = || NotAnImage { name: name.to_owned() };
        let reference = Reference::try_from(name).map_err(|_| refused())?;
        let parts = [Some(reference.registry()), Some(reference.repository()), reference.digest()];
        let has_upper =
            parts.into_iter().flatten().any(|part| part.bytes().any(|byte| byte.is_ascii_uppercase()));
        // oci-spec takes letters of every alphabet in a tag, which no registry does.
        if has_upper || !name.is_ascii() {
            return Err(refused());
        }
        Ok(Self(reference))
    }

    /// Host and, where it is written, port: `registry.example.com:5000`.
    #[must_use]
    pub fn registry(&self) -> &str {
        self.0.registry()
    }

    /// The path in the registry: `team/boot`.
    #[must_use]
    pub fn repository(&self) -> &str {
        self.0.repository()
    }

    /// The tag; none where only a digest is written.
    #[must_use]
    pub fn tag(&self) -> Option<&str> {
        self.0.tag()
    }

    /// The digest, if one is written.
    #[must_use]
    pub fn digest(&self) -> Option<&str> {
        self.0.digest()
    }

    /// Whether it names one content for ever, which a tag does not.
    #[must_use]
    pub fn has_digest(&self) -> bool {
        self.0.digest().is_some()
    }
}

impl fmt::Display for Image {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
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
            // A host without a dot, a port or the name localhost is a folder of Docker's registry.
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
            // "r.example.com" alone is a repository of Docker's registry, not a host.
            if name == "r.example.com" {
                assert_eq!(read(name).unwrap().0, "docker.io");
                continue;
            }
            assert_eq!(Image::parse(name), Err(NotAnImage { name: name.to_owned() }), "{name}");
        }
        let upper = DIGEST.to_uppercase().replace("SHA", "sha");
        assert!(Image::parse(&format!("r.example.com/a@{upper}")).is_err());
    }

    proptest! {
        /// The full name means the same to whoever reads it next, and its parts are the parts that were judged.
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

        #[test]
        fn any_text_is_read_or_refused(name in ".{0,60}") {
            let _ = Image::parse(&name);
        }
    }
}
