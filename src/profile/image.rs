//! Which images a profile's pattern means.
//!
//! Written by hand: the crates that read references bring regular expressions, or all of an image's schema, for a
//! page of rules (distribution/reference, `normalize.go`).

/// Where an image is and which one, as a container runtime completes it: `busybox` is
/// `docker.io/library/busybox:latest`.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Reference<'a> {
    registry: &'a str,
    /// Without the `library/` that one-word names on Docker Hub have.
    repository: &'a str,
    tag: Option<&'a str>,
    digest: Option<&'a str>,
}

const DOCKER_HUB: &str = "docker.io";
/// What Docker Hub is called in older references.
const DOCKER_HUB_OLD: &str = "index.docker.io";
/// The folder of one-word names on Docker Hub.
const LIBRARY: &str = "library/";
/// The tag of a reference that names neither tag nor digest.
const DEFAULT_TAG: &str = "latest";

impl<'a> Reference<'a> {
    fn read(text: &'a str) -> Self {
        let (rest, digest) = split(text, text.find('@'));
        // A colon before the last slash is a port's.
        let tag_at = rest.rfind(':').filter(|&colon| rest.rfind('/').is_none_or(|slash| slash < colon));
        let (name, tag) = split(rest, tag_at);
        let (registry, repository) = match name.split_once('/') {
            Some((first, rest)) if first.contains(['.', ':']) || first == "localhost" => (first, rest),
            _ => (DOCKER_HUB, name),
        };
        let registry = if registry == DOCKER_HUB_OLD { DOCKER_HUB } else { registry };
        let one_word = (registry == DOCKER_HUB).then(|| repository.strip_prefix(LIBRARY)).flatten();
        Self { registry, repository: one_word.unwrap_or(repository), tag, digest }
    }
}

/// What stands before and behind the byte at `position`.
fn split(text: &str, position: Option<usize>) -> (&str, Option<&str>) {
    let parts = position.and_then(|position| Some((text.get(..position)?, text.get(position + 1..)?)));
    parts.map_or((text, None), |(before, behind)| (before, Some(behind)))
}

/// Whether `pattern` means the image that a pod calls `image`. Parts are compared whole: a star stands only for all
/// of a folder (`registry.example.com/etl/*`) or for the end of a tag (`…/runner:2.*`).
#[must_use]
pub fn matches(pattern: &str, image: &str) -> bool {
    let (pattern, image) = (Reference::read(pattern), Reference::read(image));
    let repository = match pattern.repository.strip_suffix('*') {
        // `/*` alone is all of a registry.
        Some(folder) if folder.is_empty() || folder.ends_with('/') => {
            image.repository.strip_prefix(folder).is_some_and(|rest| !rest.is_empty())
        }
        _ => pattern.repository == image.repository,
    };
    let tag = || image.tag.or_else(|| image.digest.is_none().then_some(DEFAULT_TAG));
    let same_tag = match pattern.tag {
        None => true,
        Some(wanted) => match wanted.strip_suffix('*') {
            Some(start) => tag().is_some_and(|tag| tag.starts_with(start)),
            None => tag() == Some(wanted),
        },
    };
    let same_digest = pattern.digest.is_none() || pattern.digest == image.digest;
    pattern.registry == image.registry && repository && same_tag && same_digest
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_are_compared_whole() {
        for (pattern, image) in [
            ("busybox", "busybox"),
            ("busybox", "docker.io/library/busybox:1.36"),
            ("docker.io/busybox:latest", "index.docker.io/library/busybox"),
            ("bitnami/spark", "docker.io/bitnami/spark@sha256:1"),
            ("a.io/etl/runner", "a.io/etl/runner:2.1@sha256:1"),
            ("a.io/etl/runner:2.1", "a.io/etl/runner:2.1"),
            ("a.io/etl/runner:2.*", "a.io/etl/runner:2.1"),
            ("a.io/etl/runner@sha256:1", "a.io/etl/runner:2.1@sha256:1"),
            ("a.io:5000/runner", "a.io:5000/runner:2"),
            ("localhost/probe:test", "localhost/probe:test"),
            ("a.io/etl/*", "a.io/etl/x/y:1"),
            ("a.io/*", "a.io/x"),
        ] {
            assert!(matches(pattern, image), "{pattern} means {image}");
        }
        for (pattern, image) in [
            ("busybox", "a.io/busybox"),
            ("busybox", "busybox2"),
            ("busybox", "else/busybox"),
            ("a.io/etl/runner", "a.io/etl/runner-evil"),
            ("a.io/etl/runner", "a.io.evil.io/etl/runner"),
            ("a.io/etl/runner", "evil.io/a.io/etl/runner"),
            ("a.io/runner", "a.io:5000/runner"),
            ("a.io/etl/runner:2.1", "a.io/etl/runner:2.10"),
            ("a.io/etl/runner:2.1", "a.io/etl/runner"),
            ("a.io/etl/runner:latest", "a.io/etl/runner@sha256:1"),
            ("a.io/etl/runner@sha256:1", "a.io/etl/runner@sha256:2"),
            ("a.io/etl/runner@sha256:1", "a.io/etl/runner"),
            ("a.io/etl/*", "a.io/etl"),
            ("a.io/etl/*", "a.io/etl2/x"),
            ("a.io/etl*", "a.io/etl2"),
            ("a.io/*", "b.io/x"),
            ("*", "a.io/x"),
            ("", "busybox"),
        ] {
            assert!(!matches(pattern, image), "{pattern} does not mean {image}");
        }
    }
}
