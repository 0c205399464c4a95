//! TLS of clients: the certificate authorities that they trust, and their configuration.

use std::sync::Arc;

use rustls::{ClientConfig, RootCertStore};
use rustls_pki_types::CertificateDer;
use rustls_pki_types::pem::{self, PemObject as _};

/// Certificate authorities in PEM format cannot be used. The message does not contain the PEM.
#[derive(Debug, thiserror::Error)]
pub(crate) enum InvalidRoots {
    /// There is no certificate.
    #[error("no certificate found: must be PEM with -----BEGIN CERTIFICATE-----")]
    None,
    /// It is not PEM.
    #[error("the PEM is invalid: {0}")]
    Pem(pem::Error),
    /// A certificate is invalid.
    #[error("a certificate is invalid: {0}")]
    Certificate(rustls::Error),
}

/// The public certificate authorities.
pub(crate) fn public_roots() -> RootCertStore {
    RootCertStore { roots: webpki_roots::TLS_SERVER_ROOTS.to_vec() }
}

/// Adds certificate authorities in PEM format, at least one, to `roots`.
///
/// # Errors
/// There is no certificate, or one is invalid.
pub(crate) fn add_roots(roots: &mut RootCertStore, pem: &[u8]) -> Result<(), InvalidRoots> {
    let mut is_empty = true;
    for certificate in CertificateDer::pem_slice_iter(pem) {
        roots.add(certificate.map_err(InvalidRoots::Pem)?).map_err(InvalidRoots::Certificate)?;
        is_empty = false;
    }
    if is_empty { Err(InvalidRoots::None) } else { Ok(()) }
}

/// The configuration of a client that trusts `roots`.
///
/// # Errors
/// No error is known: ring supports the default versions of TLS.
pub(crate) fn client_config(roots: RootCertStore) -> Result<ClientConfig, rustls::Error> {
    // Explicit, so that it does not depend on the default of the process.
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let builder = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions()?;
    Ok(builder.with_root_certificates(roots).with_no_client_auth())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn certificate() -> String {
        rcgen::generate_simple_self_signed(["ca.example".to_owned()]).unwrap().cert.pem()
    }

    #[test]
    fn all_certificates_of_a_bundle_are_added() {
        let mut roots = public_roots();
        let public = roots.len();
        add_roots(&mut roots, format!("a comment\n{}{}", certificate(), certificate()).as_bytes()).unwrap();
        assert_eq!(roots.len(), public + 2);
        client_config(roots).unwrap();
    }

    #[test]
    fn roots_without_a_valid_certificate_are_refused() {
        let add = |pem: &str| add_roots(&mut RootCertStore::empty(), pem.as_bytes()).unwrap_err();
        assert!(matches!(add(""), InvalidRoots::None));
        assert!(matches!(add("hunter2"), InvalidRoots::None));
        let block =
            |content: &str| format!("-----BEGIN CERTIFICATE-----\n{content}\n-----END CERTIFICATE-----\n");
        assert!(matches!(add(&block("hunter2!")), InvalidRoots::Pem(_)));
        assert!(matches!(add(&block("AAAA")), InvalidRoots::Certificate(_)));
        assert!(matches!(add(&(certificate() + &block("AAAA"))), InvalidRoots::Certificate(_)));
    }
}
