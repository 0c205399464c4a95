//! The serving certificate: its source, and its replacement while serving.
//!
//! | module | content |
//! |---|---|
//! | [`names`] | the names in the certificate |
//! | [`authority`] | issues a CA and certificates (pure: the time is an argument) |
//! | [`certificate`] | parses certificates and keys from PEM |
//! | [`cert_resolver`] | selects the certificate of the next handshake |
//! | [`clients`] | verifies the certificates of callers |
//! | [`files`] | reads a certificate from files, and reloads it when they change |
//! | [`secret_state`] | whether the content of a Secret is valid (pure) |
//! | [`rotation`] | when, and in which order, certificates and their CA are renewed (pure) |
//! | [`ca_secret`] | manages the CA and a certificate in a Secret that all replicas share |
//! | [`leaf_secret`] | manages the certificate of another role, of the same CA |
//! | [`ca_bundle`] | configures the API server to trust the CA |

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
