//! Name of a stored output: `<workflow>.<run>.<task>.<key>-<hash>`, for the object and for the Pipe that owns
//! it.
//!
//! The readable part is shortened and only contains allowed characters, so two outputs can share it. The hash
//! depends on the exact names and on the content, so the same name means the same content.

use sha2::{Digest as _, Sha256};

use super::sidecar_config::ObjectKind;
use crate::hash::{add, hex_prefix};
use crate::identity::Identity;

/// Hexadecimal digits of the hash. The Pipe contains the full hash of the content, which the store compares.
pub const HASH_DIGITS: usize = 16;

/// Maximum bytes of each part. Four of them, the dots and the hash have less than 253 bytes, the limit of the
/// API server.
const MAX_PART_BYTES: usize = 57;

/// SHA-256 digest of the data of an object.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct ContentHash([u8; 32]);

impl ContentHash {
    /// The digest of these files, by name.
    #[must_use]
    pub fn from_files<'a>(files: impl IntoIterator<Item = (&'a str, &'a [u8])>) -> Self {
        let mut files: Vec<_> = files.into_iter().collect();
        files.sort_unstable();
        let mut hash = Sha256::new_with_prefix(b"bootlace content\0");
        for (name, bytes) in files {
            add(&mut hash, Some(name.as_bytes()));
            add(&mut hash, Some(bytes));
        }
        Self(hash.finalize().into())
    }
}

/// As in the Pipe: `sha256:` and 64 digits.
impl std::fmt::Display for ContentHash {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "sha256:{}", hex::encode(self.0))
    }
}

/// The parts of an output that determine its name.
#[derive(Clone, Copy)]
pub struct OutputIdentity<'a> {
    /// Identity of the task. The attempt is ignored: the same content of a later attempt is the same object.
    pub task: &'a Identity,
    /// Container that wrote it.
    pub container: &'a str,
    /// Key that later tasks use.
    pub key: &'a str,
    /// Kind of the object.
    pub kind: ObjectKind,
    /// Digest of the content.
    pub content: ContentHash,
}

impl OutputIdentity<'_> {
    /// The name: a DNS subdomain of at most 253 bytes. Unknown parts are omitted. The map index is part of
    /// the task.
    #[must_use]
    pub fn object(&self) -> String {
        let mut hash = Sha256::new_with_prefix(b"bootlace output\0");
        add_element(&mut hash, self.task);
        for part in [self.container, self.key, self.kind.as_str()] {
            add(&mut hash, Some(part.as_bytes()));
        }
        add(&mut hash, Some(&self.content.0));
        let hash = hex_prefix(&hash.finalize(), HASH_DIGITS / 2);
        format!("{}-{hash}", readable(self.task, self.key, MAX_PART_BYTES))
    }
}

/// The readable part: four components of at most `bytes` bytes, separated by dots.
pub(super) fn readable(task: &Identity, key: &str, bytes: usize) -> String {
    let Identity { workflow, run, task, map_index, .. } = task;
    let element = match (task, map_index) {
        (Some(task), Some(index)) => Some(format!("{}-{index}", start(task, bytes / 2))),
        (task, index) => task.clone().or_else(|| index.clone()),
    };
    let parts = [workflow.as_deref(), run.as_deref(), element.as_deref(), Some(key)];
    let parts = parts.into_iter().flatten().map(|part| safe(part, bytes));
    let parts: Vec<_> = parts.filter(|part| !part.is_empty()).collect();
    // The key only consists of underscores.
    if parts.is_empty() { "pipe".to_owned() } else { parts.join(".") }
}

/// Converts a component to a DNS label: lower case letters, digits, and `-` for all other characters.
fn safe(part: &str, bytes: usize) -> String {
    let mut safe = String::new();
    for byte in part.bytes().map(|byte| byte.to_ascii_lowercase()) {
        match byte {
            b'a'..=b'z' | b'0'..=b'9' => safe.push(char::from(byte)),
            _ if safe.is_empty() || safe.ends_with('-') => {}
            _ => safe.push('-'),
        }
        if safe.len() == bytes {
            break;
        }
    }
    safe.truncate(safe.trim_end_matches('-').len());
    safe
}

fn start(text: &str, bytes: usize) -> &str {
    text.get(..text.floor_char_boundary(bytes)).unwrap_or(text)
}

/// Adds the exact names of a task with its map index to a hash. The attempt is ignored.
pub(super) fn add_element(hash: &mut Sha256, task: &Identity) {
    let Identity { scheduler, workflow, run, task, map_index, .. } = task;
    for part in [scheduler, workflow, run, task, map_index] {
        add(hash, part.as_deref().map(str::as_bytes));
    }
}

#[cfg(test)]
pub(super) mod tests {
    use proptest::prelude::*;

    use super::*;

    fn content(bytes: &[u8]) -> ContentHash {
        ContentHash::from_files([("file", bytes)])
    }

    fn identity(workflow: &str, run: &str, task: &str) -> Identity {
        Identity {
            scheduler: Some("airflow".to_owned()),
            workflow: Some(workflow.to_owned()),
            run: Some(run.to_owned()),
            task: Some(task.to_owned()),
            ..Identity::default()
        }
    }

    fn name(task: &Identity, container: &str, key: &str, kind: ObjectKind, bytes: &[u8]) -> String {
        OutputIdentity { task, container, key, kind, content: content(bytes) }.object()
    }

    /// Whether the API server accepts it as the name of a Secret or a custom resource (`IsDNS1123Subdomain`).
    pub(in crate::output) fn is_subdomain(name: &str) -> bool {
        let edge = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
        let label = |label: &str| {
            let bytes = label.as_bytes();
            bytes.first().is_some_and(|byte| edge(*byte))
                && bytes.last().is_some_and(|byte| edge(*byte))
                && bytes.iter().all(|byte| edge(*byte) || *byte == b'-')
        };
        name.len() <= 253 && name.split('.').all(label)
    }

    #[test]
    fn a_name_reads_like_what_it_is() {
        let mut task = identity("etl", "scheduled__2026-01-31T00:00:00+00:00", "Load_It");
        let hash = |name: &str| name.rsplit_once('-').unwrap().1.to_owned();
        let one = name(&task, "base", "Cert.pem", ObjectKind::Secret, b"x");
        assert_eq!(one, format!("etl.scheduled-2026-01-31t00-00-00-00-00.load-it.cert-pem-{}", hash(&one)));
        task.map_index = Some("3".to_owned());
        let two = name(&task, "base", "Cert.pem", ObjectKind::Secret, b"x");
        assert!(two.contains(".load-it-3.cert-pem-"), "{two}");
        assert_ne!(hash(&one), hash(&two));
        let none = name(&Identity::default(), "base", "__", ObjectKind::Secret, b"x");
        assert!(none.starts_with("pipe-") && is_subdomain(&none), "{none}");
    }

    #[test]
    fn names_stay_what_they_are_from_release_to_release() {
        let name = name(&identity("etl", "r1", "load"), "base", "Report", ObjectKind::ConfigMap, b"words");
        assert_eq!(name, "etl.r1.load.report-7296e89bfb8c8272");
        assert_eq!(
            content(b"words").to_string(),
            "sha256:871877a6053850a71acb75b4cfd8aaaae16fb9ef881a3bd0e7caa277118b8437"
        );
    }

    #[test]
    fn files_count_by_name_and_not_by_order() {
        let of = |files: &[(&'static str, &'static [u8])]| {
            ContentHash::from_files(files.iter().copied()).to_string()
        };
        assert_eq!(of(&[("a", b"1"), ("b", b"2")]), of(&[("b", b"2"), ("a", b"1")]));
        assert_ne!(of(&[("a", b"1b2")]), of(&[("a", b"1"), ("b", b"2")]));
        assert_ne!(of(&[("a1", b"")]), of(&[("a", b"1")]));
    }

    pub(in crate::output) fn part() -> impl Strategy<Value = String> {
        prop_oneof![any::<String>(), "[a-zA-Z0-9_.:+-]{0,300}", "[-_.]{0,4}", "[ab]{0,2}"]
    }

    pub(in crate::output) fn task() -> impl Strategy<Value = Identity> {
        let part = || proptest::option::of(part());
        (part(), part(), part(), part(), part()).prop_map(|(scheduler, workflow, run, task, map_index)| {
            Identity { scheduler, workflow, run, task, map_index, ..Identity::default() }
        })
    }

    pub(in crate::output) fn kind() -> impl Strategy<Value = ObjectKind> {
        prop_oneof![Just(ObjectKind::Secret), Just(ObjectKind::ConfigMap)]
    }

    type Output = (Identity, String, String, ObjectKind, Vec<u8>);

    fn output() -> impl Strategy<Value = Output> {
        (task(), "[ab-]{1,3}", "[A-Za-z0-9_.-]{1,253}", kind(), proptest::collection::vec(any::<u8>(), 0..4))
    }

    fn of((task, container, key, kind, bytes): &Output) -> String {
        name(task, container, key, *kind, bytes)
    }

    proptest! {
        #[test]
        fn every_name_is_valid_for_the_api_server(output in output()) {
            let name = of(&output);
            prop_assert!(is_subdomain(&name), "{}", name);
        }

        #[test]
        fn different_outputs_have_different_names(one in output(), two in output()) {
            prop_assert_eq!(one == two, of(&one) == of(&two));
        }

        #[test]
        fn an_attempt_has_no_part_in_it(output in output(), attempt in any::<String>()) {
            let mut later = output.clone();
            later.0.attempt = Some(attempt);
            prop_assert_eq!(of(&output), of(&later));
        }
    }
}
