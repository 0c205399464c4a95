//! OCI registries: references, manifests, credentials and the protocol.
//!
//! | module | responsibility |
//! |---|---|
//! | `reference` | registry, repository, tag and digest of a reference |
//! | `digest` | digests of blobs |
//! | `manifest` | manifests of images, artifacts and indexes |
//! | `platform` | platforms of nodes and images |
//! | `index` | selects the image of an index for a platform |
//! | `resolution` | from a reference through indexes to an image |
//! | `credentials` | selects the entries of a pull secret for a registry |
//! | `challenge` | the authentication challenge of a registry |
//! | `config` | the command and env of an image |
//! | `session` | the requests to a registry, with authentication |
//!
//! All modules but `session` are pure. `oci-client` is not used, because it accepts neither this program's
//! resolver nor its rules for redirects, so a registry could redirect it to addresses of the node.

pub(crate) mod challenge;
pub(crate) mod config;
pub(crate) mod credentials;
pub(crate) mod digest;
#[cfg(fuzzing)]
pub mod fuzzing;
pub(crate) mod index;
pub(crate) mod manifest;
pub(crate) mod platform;
pub(crate) mod reference;
pub(crate) mod resolution;
pub(crate) mod session;

pub use config::ImageConfig;
pub(crate) use credentials::{Keyring, RegistryCredentials, RegistryPattern};
pub(crate) use digest::Digest;
pub(crate) use manifest::{Descriptor, Image, Manifest};
pub(crate) use platform::Platform;
pub(crate) use reference::Reference;
pub(crate) use resolution::{Resolution, ResolutionError};
pub(crate) use session::{Session, first_address};
