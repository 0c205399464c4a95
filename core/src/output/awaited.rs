//! The second name of an output, under which a pod can wait for it: `<workflow>.<run>.<task>.<key>-awaited-<hash>`.
//!
//! The name of the object itself ends with a hash of its content, which nobody knows before it is written. This one's hash
//! is of the exact names alone, so that a pod's spec can hold it while the task that hands it over still runs. The store
//! keeps the same data under both where the output is declared as awaited. The first content that is stored has the name;
//! that of a later attempt does not get it, and the Pipe says so ([`super::pipe::AwaitedStatus`]).

use sha2::{Digest as _, Sha256};

use super::name::{HASH_DIGITS, add, add_element, hex, readable};
use super::sidecar_config::ObjectKind;
use crate::identity::Identity;

/// What stands before the hash. The chart's admission policy knows these objects by it.
pub const MARK: &str = "awaited";

/// Bytes of each part. Four of them, the dots, the mark and the hash stay below the 253 that the API server takes.
const MAX_PART_BYTES: usize = 55;

/// An output that can be waited for. Its container is no part of the name: who waits does not know it, and a pod declares a
/// key once.
#[derive(Clone, Copy)]
pub struct Awaited<'a> {
    /// Who the task is, and which element of it. Its attempt does not count.
    pub task: &'a Identity,
    /// The key that later tasks name it by.
    pub key: &'a str,
    /// What it is stored as.
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
        let hash = hex(&hash.finalize(), HASH_DIGITS / 2);
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
        fn every_name_is_one_that_the_api_server_takes(output in output()) {
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
