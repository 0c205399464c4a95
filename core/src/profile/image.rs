//! Matches images with the patterns of a profile.

use wildmatch::WildMatch;

use super::init_image::covers;
use crate::pod::Image;

/// The parts of a pattern: an image reference in which repository and tag can contain wildcards, and the tag
/// is optional.
struct Pattern<'a> {
    registry: &'a str,
    repository: String,
    tag: Option<&'a str>,
    digest: Option<&'a str>,
}

const DOCKER_HUB: &str = "docker.io";
/// Former name of Docker Hub.
const DOCKER_HUB_OLD: &str = "index.docker.io";
/// Namespace of single-component names on Docker Hub.
const LIBRARY: &str = "library";

impl<'a> Pattern<'a> {
    /// Splits a pattern like an image reference ([`Image`]), which does not allow wildcards.
    fn read(text: &'a str) -> Self {
        let (rest, digest) = split(text, text.find('@'));
        // A colon before the last slash belongs to a port.
        let tag_at = rest.rfind(':').filter(|&colon| rest.rfind('/').is_none_or(|slash| slash < colon));
        let (name, tag) = split(rest, tag_at);
        let (registry, repository) = match name.split_once('/') {
            Some((first, rest)) if first.contains(['.', ':']) || first == "localhost" => (first, rest),
            _ => (DOCKER_HUB, name),
        };
        let registry = if registry == DOCKER_HUB_OLD { DOCKER_HUB } else { registry };
        let one_word = registry == DOCKER_HUB && !repository.contains('/');
        let repository = if one_word { format!("{LIBRARY}/{repository}") } else { repository.to_owned() };
        Self { registry, repository, tag, digest }
    }
}

/// The text before and after the byte at `position`.
fn split(text: &str, position: Option<usize>) -> (&str, Option<&str>) {
    let parts = position.and_then(|position| Some((text.get(..position)?, text.get(position + 1..)?)));
    parts.map_or((text, None), |(before, behind)| (before, Some(behind)))
}

/// Whether `pattern` matches the reference `image` of a pod. Both are completed as by a container runtime,
/// and compared part by part. A pattern without a tag matches every tag, one without a digest every digest.
#[must_use]
pub fn matches(pattern: &str, image: &str) -> bool {
    let Ok(image) = Image::parse(image) else { return false };
    let Pattern { registry, repository, tag, digest } = Pattern::read(pattern);
    registry == image.registry()
        && covers(&repository, image.repository())
        && tag.is_none_or(|tag| image.tag().is_some_and(|of_image| WildMatch::new(tag).matches(of_image)))
        && digest.is_none_or(|digest| image.digest() == Some(digest))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `ONE` and `TWO` are placeholders for digests.
    fn means(pattern: &str, image: &str) -> bool {
        let full = |text: &str| text.replace("ONE", &"1".repeat(64)).replace("TWO", &"2".repeat(64));
        matches(&full(pattern), &full(image))
    }

    #[test]
    fn parts_are_compared_whole() {
        for (pattern, image) in [
            ("busybox", "busybox"),
            ("busybox", "docker.io/library/busybox:1.36"),
            ("docker.io/busybox:latest", "index.docker.io/library/busybox"),
            ("bitnami/spark", "docker.io/bitnami/spark@sha256:ONE"),
            ("a.io/etl/runner", "a.io/etl/runner:2.1@sha256:ONE"),
            ("a.io/etl/runner:2.1", "a.io/etl/runner:2.1"),
            ("a.io/etl/runner:2.*", "a.io/etl/runner:2.1"),
            ("a.io/etl/runner@sha256:ONE", "a.io/etl/runner:2.1@sha256:ONE"),
            ("a.io:5000/runner", "a.io:5000/runner:2"),
            ("localhost/probe:test", "localhost/probe:test"),
            ("a.io/etl/**", "a.io/etl/x/y:1"),
            ("a.io/*", "a.io/x"),
            ("a.io/etl-*", "a.io/etl-2"),
        ] {
            assert!(means(pattern, image), "{pattern} means {image}");
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
            ("a.io/etl/runner:latest", "a.io/etl/runner@sha256:ONE"),
            ("a.io/etl/runner@sha256:ONE", "a.io/etl/runner@sha256:TWO"),
            ("a.io/etl/runner@sha256:ONE", "a.io/etl/runner"),
            ("a.io/etl/*", "a.io/etl"),
            ("a.io/etl/*", "a.io/etl2/x"),
            ("a.io/etl/*", "a.io/etl/x/y"),
            ("a.io/*", "b.io/x"),
            ("*", "a.io/x"),
            ("", "busybox"),
        ] {
            assert!(!means(pattern, image), "{pattern} does not mean {image}");
        }
    }
}
