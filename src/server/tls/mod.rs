//! The serving certificate: where it comes from, and how it is swapped while serving.
//!
//! | module | what it answers |
//! |---|---|
//! | [`names`] | which names must the certificate carry |
//! | [`authority`] | make a CA and a certificate (pure: the clock is an argument) |
//! | [`certificate`] | read certificates and keys from PEM, and what they say |
//! | [`cert_resolver`] | which certificate does the next handshake get |
//! | [`clients`] | who is it that calls, where callers are asked for a certificate |
//! | [`files`] | keep up with files that somebody else renews |
//! | [`secret_state`] | is what a Secret holds still good (pure) |
//! | [`rotation`] | when are certificates and their CA renewed, in which order (pure) |
//! | [`ca_secret`] | keep one in a Secret that all replicas share |
//! | [`leaf_secret`] | keep one for another role, under the same CA |
//! | [`ca_bundle`] | tell the API server whom to trust |

pub mod authority;
pub mod ca_bundle;
pub mod ca_secret;
pub mod cert_resolver;
pub mod certificate;
pub mod clients;
pub mod files;
pub mod leaf_secret;
pub mod names;
pub mod rotation;
pub mod secret_state;

pub use authority::{Issued, Lifetimes};
pub use cert_resolver::CertResolver;
pub use certificate::{Certificate, CertificateError};
pub use clients::{ClientVerifier, Peer};
pub use names::Names;
