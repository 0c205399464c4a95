//! Signatures of the configuration in a pod, so that the store never acts on what the author of a pod wrote.
//! Without I/O.
//!
//! The webhook signs the configuration of the injected containers together with the namespace and the name of
//! the pod (HMAC-SHA256). The store reads the configuration from the pod and verifies it. Both use the keys
//! of one Secret ([`keys`]). Only the store verifies signatures, so asymmetric keys would not protect against
//! an attacker who controls it.
//!
//! The signature is in the env of the boot container, which is immutable in an existing pod: `<key> <mac>
//! <namespace>/<name>`. The last part is for humans and for the match condition of the API server; only the
//! MAC is verified.

pub mod keys;

use std::borrow::Cow;
use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use ring::hmac;

pub use keys::{Key, KeysError, SigningKeys};

use crate::names;
use crate::plan::boot_spec;

/// The configurations of the injected containers, as in their env; empty if there is no such container.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Specs<'a> {
    /// Configuration of boot.
    pub boot: Cow<'a, str>,
    /// Configuration of the sidecar.
    pub pipes: Cow<'a, str>,
    /// Configuration of the wait containers.
    pub wait: Cow<'a, str>,
}

impl<'a> Specs<'a> {
    /// The configurations in a pod. `env` returns the value of a variable of a container.
    #[must_use]
    pub fn of(env: impl Fn(&str, &str) -> Option<&'a str>) -> Self {
        let boot = |position| env(names::CONTAINER_BOOT, &boot_spec::env_name(position));
        let boot = match (boot(0), boot(1)) {
            (Some(whole), None) => Cow::Borrowed(whole),
            _ => Cow::Owned((0..).map_while(boot).collect()),
        };
        let one = |container, name| Cow::Borrowed(env(container, name).unwrap_or_default());
        Self {
            boot,
            pipes: one(names::CONTAINER_PIPE, names::ENV_PIPES),
            wait: one(names::CONTAINER_WAIT, names::ENV_WAIT),
        }
    }
}

/// Name of a pod, as known when it is created.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PodName<'a> {
    /// `metadata.name`.
    Name(&'a str),
    /// `metadata.generateName`, from which the API server generates the name.
    Prefix(&'a str),
}

impl<'a> PodName<'a> {
    /// The name of a pod that is being created.
    #[must_use]
    pub fn of(name: Option<&'a str>, prefix: Option<&'a str>) -> Self {
        match (name, prefix) {
            (None, Some(prefix)) => Self::Prefix(prefix),
            (name, _) => Self::Name(name.unwrap_or_default()),
        }
    }

    fn text(self) -> &'a str {
        match self {
            Self::Name(text) | Self::Prefix(text) => text,
        }
    }
}

/// A signature, as in the pod.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Signature<'a> {
    key: &'a str,
    mac: Vec<u8>,
}

impl<'a> Signature<'a> {
    /// Parses a signature; `None` if it is malformed.
    #[must_use]
    pub fn read(text: &'a str) -> Option<Self> {
        let mut words = text.split(' ');
        let (key, mac) = (words.next()?, words.next()?);
        Some(Self { key, mac: URL_SAFE_NO_PAD.decode(mac).ok()? })
    }
}

/// Why a signature is invalid.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Invalid {
    /// The key is not known yet.
    #[error("signing key {0:?} is not known yet")]
    NewKey(String),
    /// The key is not in use any more, or never was.
    #[error("signing key {0:?} is not in use")]
    NoKey(String),
    /// It is for other content.
    #[error("it does not match the pod")]
    Forged,
}

/// Signs the configurations of a pod that is being created, with the current key.
#[must_use]
pub fn sign(keys: &SigningKeys, namespace: &str, name: PodName<'_>, specs: &Specs<'_>) -> String {
    let key = keys.signing();
    let mac = URL_SAFE_NO_PAD.encode(hmac::sign(key.hmac(), &message(namespace, name, specs)));
    let (id, name) = (key.id(), name.text());
    format!("{id} {mac} {namespace}/{name}")
}

/// Verifies the signature of a pod with this name and `generateName`.
///
/// # Errors
/// If it is invalid.
pub fn verify(
    keys: &SigningKeys,
    signature: &Signature<'_>,
    namespace: &str,
    (name, prefix): (&str, Option<&str>),
    specs: &Specs<'_>,
) -> Result<(), Invalid> {
    let Some(key) = keys.get(signature.key) else {
        let id = signature.key.chars().take(64).collect();
        return Err(if keys.is_newer(signature.key) { Invalid::NewKey(id) } else { Invalid::NoKey(id) });
    };
    let is_valid = |name| hmac::verify(key.hmac(), &message(namespace, name, specs), &signature.mac).is_ok();
    let prefix = prefix.filter(|prefix| !prefix.is_empty() && name.starts_with(prefix));
    if is_valid(PodName::Name(name)) || prefix.is_some_and(|prefix| is_valid(PodName::Prefix(prefix))) {
        return Ok(());
    }
    Err(Invalid::Forged)
}

/// The input of the MAC. Each part has its length as a prefix, so that the encoding is unambiguous.
fn message(namespace: &str, name: PodName<'_>, specs: &Specs<'_>) -> Vec<u8> {
    let kind = match name {
        PodName::Name(_) => "name",
        PodName::Prefix(_) => "prefix",
    };
    let parts = ["bootlace pod v1", kind, namespace, name.text(), &specs.boot, &specs.pipes, &specs.wait];
    let mut message = Vec::with_capacity(parts.iter().map(|part| part.len() + 8).sum());
    for part in parts {
        message.extend_from_slice(&(part.len() as u64).to_be_bytes());
        message.extend_from_slice(part.as_bytes());
    }
    message
}

impl fmt::Display for PodName<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.text())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: u64 = 1_800_000_000;

    fn keys(seconds: &[u64]) -> SigningKeys {
        let data =
            seconds.iter().map(|at| (format!("key-{at}"), [u8::try_from(at % 251).unwrap(); 32].to_vec()));
        SigningKeys::read(data, NOW).unwrap()
    }

    fn specs(boot: &'static str, pipes: &'static str, wait: &'static str) -> Specs<'static> {
        Specs { boot: boot.into(), pipes: pipes.into(), wait: wait.into() }
    }

    fn verified(
        keys: &SigningKeys,
        text: &str,
        namespace: &str,
        name: &str,
        specs: &Specs<'_>,
    ) -> Result<(), Invalid> {
        verify(keys, &Signature::read(text).unwrap(), namespace, (name, Some("load-")), specs)
    }

    #[test]
    fn only_the_signed_configuration_is_valid() {
        let (keys, given) = (keys(&[NOW - 1000]), specs("boot", "pipes", "wait"));
        let text = sign(&keys, "etl", PodName::Name("load"), &given);
        assert!(text.ends_with(" etl/load"), "{text}");
        verified(&keys, &text, "etl", "load", &given).unwrap();
        for (namespace, name, specs) in [
            ("other", "load", &given),
            ("etl", "load2", &given),
            ("etl", "load-abcde", &given),
            ("etl", "load", &specs("boot", "pipes2", "wait")),
            ("etl", "load", &specs("boot2", "pipes", "wait")),
            ("etl", "load", &specs("boot", "pipes", "")),
            // The same bytes with another boundary.
            ("etl", "load", &specs("bootp", "ipes", "wait")),
            ("etll", "oad", &given),
        ] {
            assert_eq!(
                verified(&keys, &text, namespace, name, specs),
                Err(Invalid::Forged),
                "{namespace}/{name}"
            );
        }
        let stretched = text.replace("etl/load", "other/load");
        assert_eq!(verified(&keys, &stretched, "other", "load", &given), Err(Invalid::Forged));
    }

    #[test]
    fn a_name_that_is_made_of_a_prefix_is_bound_by_it() {
        let (keys, given) = (keys(&[NOW - 1000]), specs("boot", "", ""));
        let text = sign(&keys, "etl", PodName::of(None, Some("load-")), &given);
        verified(&keys, &text, "etl", "load-x7f9a", &given).unwrap();
        assert_eq!(verified(&keys, &text, "etl", "other", &given), Err(Invalid::Forged));
        // A pod whose name is the prefix is not generated from it.
        let named = sign(&keys, "etl", PodName::of(Some("load-"), None), &given);
        assert_eq!(verified(&keys, &named, "etl", "load-x7f9a", &given), Err(Invalid::Forged));
    }

    #[test]
    fn two_keys_hold_at_once_and_an_old_one_no_more() {
        let given = specs("boot", "", "");
        let (first, second, third) = (NOW - 3000, NOW - 2000, NOW - 1000);
        let text = sign(&keys(&[first]), "etl", PodName::Name("load"), &given);
        verified(&keys(&[first, second]), &text, "etl", "load", &given).unwrap();
        let gone = verified(&keys(&[second, third]), &text, "etl", "load", &given);
        assert_eq!(gone, Err(Invalid::NoKey(first.to_string())));
        // The store reads a newer key within a moment.
        let text = sign(&keys(&[third]), "etl", PodName::Name("load"), &given);
        let new = verified(&keys(&[first, second]), &text, "etl", "load", &given);
        assert_eq!(new, Err(Invalid::NewKey(third.to_string())));
        // A key with the same ID and other content.
        let other = SigningKeys::read([(format!("key-{third}"), vec![9; 32])], NOW).unwrap();
        assert_eq!(verified(&other, &text, "etl", "load", &given), Err(Invalid::Forged));
    }

    #[test]
    fn what_is_no_signature_is_not_read() {
        for text in ["", "x", "17 !!", "17"] {
            assert_eq!(Signature::read(text), None, "{text}");
        }
    }

    #[test]
    fn a_boot_spec_in_several_variables_is_one() {
        let env = |container: &str, name: &str| match (container, name) {
            ("bootlace-boot", "BOOTLACE_SPEC") => Some("{\"a\":"),
            ("bootlace-boot", "BOOTLACE_SPEC_1") => Some("1}"),
            ("bootlace-pipe", "BOOTLACE_PIPES") => Some("{}"),
            _ => None,
        };
        assert_eq!(Specs::of(env), specs("{\"a\":1}", "{}", ""));
    }
}
