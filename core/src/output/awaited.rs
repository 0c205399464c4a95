//! The second name of an output, under which pods can wait for it:
//! `<workflow>.<run>.<task>.<key>-awaited-<hash>`.
//!
//! The name of the object itself ends with a hash of its content, which is unknown before it is written. This
//! hash only depends on the exact names, so that the spec of a pod can contain it while the producing task
//! still runs. If the output is declared as awaited, the store keeps the same data under both names. The
//! first stored content gets the name. Different content of a later attempt does not get it, and the status
//! of the Pipe reports this ([`super::pipe::AwaitedStatus`]).

use sha2::{Digest as _, Sha256};

use super::name::{HASH_DIGITS, add_element, readable};
use super::sidecar_config::ObjectKind;
use crate::hash::{add, hex_prefix};
use crate::identity::Identity;

/// The part before the hash. The admission policy of the chart detects these objects by it.
pub const MARK: &str = "awaited";

/// Maximum bytes of each part. Four of them, the dots, the mark and the hash have less than 253 bytes, the
/// limit of the API server.
const MAX_PART_BYTES: usize = 55;

/// An output that pods can wait for. The container is not part of the name: waiting pods do not know it, and
/// a pod declares a key once.
#[derive(Clone, Copy)]
pub struct Awaited<'a> {
    /// Identity of the task, with its map index. The attempt is ignored.
    pub task: &'a Identity,
    /// Key that later tasks use.
    pub key: &'a str,
    /// Kind of the object.
    pub kind: ObjectKind,
}

impl Awaited<'_> {
    /// The name: a DNS subdomain of at most 253 bytes.
    #[must_use]
    pub fn object(&self) -> String {
        let mut hash = Sha256::new_with_prefix(b"bootlace awaited\0");
        add_element(&mut hash, self.task);
        for part in [self.key, self.kind.as_str()] {
            add(&mut hash, Some(part.as_bytes()));
        }
        let hash = hex_prefix(&hash.finalize(), HASH_DIGITS / 2);
        format!("{}-{MARK}-{hash}", readable(self.task, self.key, MAX_PART_BYTES))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::name::tests::{is_subdomain, kind, task};
    use super::*;

    fn name((task, key, kind): &(Identity, String, ObjectKind)) -> String {
        Awaited { task, key, kind: *kind }.object()
    }

    fn output() -> impl Strategy<Value = (Identity, String, ObjectKind)> {
        (task(), "[A-Za-z0-9_.-]{1,253}", kind())
    }

    #[test]
    fn names_stay_what_they_are_from_release_to_release() {
        let own = |text: &str| Some(text.to_owned());
        let task = Identity {
            scheduler: own("annotation"),
            workflow: own("shop"),
            run: own("deploy-7"),
            task: own("gencert"),
            ..Identity::default()
        };
        let name = Awaited { task: &task, key: "Cert", kind: ObjectKind::Secret }.object();
        assert_eq!(name, "shop.deploy-7.gencert.cert-awaited-d7fa86f3991839a9");
    }

    proptest! {
        #[test]
        fn every_name_is_valid_for_the_api_server(output in output()) {
            let name = name(&output);
            prop_assert!(is_subdomain(&name), "{}", name);
        }

        #[test]
        fn different_outputs_have_different_names(one in output(), two in output()) {
            prop_assert_eq!(one == two, name(&one) == name(&two));
        }

        #[test]
        fn an_attempt_has_no_part_in_it(output in output(), attempt in any::<String>()) {
            let mut later = output.clone();
            later.0.attempt = Some(attempt);
            prop_assert_eq!(name(&output), name(&later));
        }
    }
}
