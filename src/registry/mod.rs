//! Registries: where an image or an artifact lies, and how it is asked for.
//!
//! | module | what it answers |
//! |---|---|
//! | `reference` | which registry, repository, tag and digest does a reference name |
//! | `digest` | what a blob is called |
//! | `manifest` | what an image consists of |
//! | `platform` | which of an index' images is for a node |
//! | `credentials` | which of a pull secret's entries are for a registry |
//! | `challenge` | how a registry wants to be told who asks |
//! | `config` | what an image starts |
//! | `session` | one conversation with a registry: what is asked, in whose name |
//!
//! All but `session` is pure. Hand-written where `oci-client` would be the library: it takes neither this program's
//! resolver nor its redirect rules, so that a registry could send it to the node's own addresses.

pub(crate) mod challenge;
pub(crate) mod config;
pub(crate) mod credentials;
pub(crate) mod digest;
#[cfg(fuzzing)]
pub mod fuzzing;
pub(crate) mod manifest;
pub(crate) mod platform;
pub(crate) mod reference;
pub(crate) mod session;

pub use config::ImageConfig;
pub(crate) use credentials::{Keyring, RegistryCredentials, RegistryPattern};
pub(crate) use digest::Digest;
pub(crate) use manifest::{Descriptor, Image, Manifest};
pub(crate) use platform::Platform;
pub(crate) use reference::Reference;
pub(crate) use session::{Session, first_asked};
