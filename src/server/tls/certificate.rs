//! Parses certificates and keys in PEM format.

use std::fmt;
use std::net::IpAddr;
use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use rustls::crypto::ring;
use rustls::sign::CertifiedKey;
use rustls_pki_types::pem::{self, PemObject as _};
use rustls_pki_types::{CertificateDer, PrivateKeyDer};
use time::OffsetDateTime;
use x509_parser::certificate::X509Certificate;
use x509_parser::extensions::GeneralName;
use x509_parser::prelude::FromDer as _;

use super::Names;

/// A certificate or its key is invalid.
#[derive(Debug, thiserror::Error)]
pub enum CertificateError {
    /// There is no certificate in the PEM.
    #[error("no certificate found: must be PEM with -----BEGIN CERTIFICATE-----")]
    NoCertificate,
    /// There is no valid key in the PEM.
    #[error("no private key found ({0}): must be PEM with a key in PKCS #8 or SEC 1 format")]
    NoKey(pem::Error),
    /// The PEM is invalid.
    #[error("the PEM is invalid: {0}")]
    Pem(pem::Error),
    /// The certificate in the PEM is invalid.
    #[error("the X.509 certificate is invalid: {0}")]
    X509(String),
    /// The key does not belong to the certificate, or its kind is not supported.
    #[error("the key does not match the certificate ({0}): use the key for which the certificate was issued")]
    Key(rustls::Error),
    /// Another CA signed the certificate.
    #[error("the CA did not sign the certificate: {0}")]
    Stranger(String),
}

/// A certificate with its chain and its key, ready to serve.
#[derive(Clone)]
pub struct Certificate {
    /// The chain and the key for handshakes.
    pub(super) key: Arc<CertifiedKey>,
    /// The fields of the certificate.
    pub facts: Facts,
}

impl fmt::Debug for Certificate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Certificate").field("facts", &self.facts).finish_non_exhaustive()
    }
}

impl Certificate {
    /// Parses a certificate, followed by its chain, and its key.
    ///
    /// # Errors
    /// One of them is invalid, or the key does not belong to the certificate.
    pub fn from_pem(cert: &[u8], key: &[u8]) -> Result<Self, CertificateError> {
        let chain = chain(cert)?;
        let facts = facts(chain.first().ok_or(CertificateError::NoCertificate)?)?;
        let key = PrivateKeyDer::from_pem_slice(key).map_err(CertificateError::NoKey)?;
        let key =
            CertifiedKey::from_der(chain, key, &ring::default_provider()).map_err(CertificateError::Key)?;
        Ok(Self { key: Arc::new(key), facts })
    }
}

/// The certificates of a PEM file in their order, at least one.
///
/// # Errors
/// There is no certificate, or the PEM is invalid.
pub fn chain(pem: &[u8]) -> Result<Vec<CertificateDer<'static>>, CertificateError> {
    let chain: Vec<_> =
        CertificateDer::pem_slice_iter(pem).collect::<Result<_, _>>().map_err(CertificateError::Pem)?;
    if chain.is_empty() { Err(CertificateError::NoCertificate) } else { Ok(chain) }
}

/// A certificate in PEM format.
#[must_use]
pub fn pem(der: &CertificateDer<'_>) -> String {
    let text = STANDARD.encode(der);
    let mut pem = String::from("-----BEGIN CERTIFICATE-----\n");
    // Lines of 64 characters, as in RFC 7468.
    for (position, character) in text.chars().enumerate() {
        if position > 0 && position % 64 == 0 {
            pem.push('\n');
        }
        pem.push(character);
    }
    pem + "\n-----END CERTIFICATE-----\n"
}

/// The fields of a certificate.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Facts {
    /// The subject.
    pub subject: String,
    /// The issuer.
    pub issuer: String,
    /// The subject alternative names.
    pub names: Names,
    /// The start of its validity.
    pub not_before: OffsetDateTime,
    /// The end of its validity.
    pub not_after: OffsetDateTime,
    /// Whether it may sign other certificates.
    pub is_ca: bool,
}

/// The fields of a certificate.
///
/// # Errors
/// It is not a valid X.509 certificate.
pub fn facts(der: &CertificateDer<'_>) -> Result<Facts, CertificateError> {
    let certificate = parse(der)?;
    let mut names = Names::default();
    let alternative = certificate.subject_alternative_name().map_err(x509)?;
    for name in alternative.iter().flat_map(|extension| &extension.value.general_names) {
        match name {
            GeneralName::DNSName(name) => {
                names.dns.insert((*name).to_owned());
            }
            GeneralName::IPAddress(octets) => names.ip.extend(address(octets)),
            _ => {}
        }
    }
    let validity = certificate.validity();
    Ok(Facts {
        subject: certificate.subject().to_string(),
        issuer: certificate.issuer().to_string(),
        names,
        not_before: validity.not_before.to_datetime(),
        not_after: validity.not_after.to_datetime(),
        is_ca: certificate.is_ca(),
    })
}

/// Checks that `ca` signed `certificate`, but not its validity or its names.
///
/// # Errors
/// It did not sign it, or one of them is invalid.
pub fn verify(certificate: &CertificateDer<'_>, ca: &CertificateDer<'_>) -> Result<(), CertificateError> {
    let ca = parse(ca)?;
    parse(certificate)?
        .verify_signature(Some(ca.public_key()))
        .map_err(|error| CertificateError::Stranger(error.to_string()))
}

fn parse<'a>(der: &'a CertificateDer<'_>) -> Result<X509Certificate<'a>, CertificateError> {
    X509Certificate::from_der(der).map(|(_, certificate)| certificate).map_err(x509)
}

fn x509(error: impl fmt::Display) -> CertificateError {
    CertificateError::X509(error.to_string())
}

fn address(octets: &[u8]) -> Option<IpAddr> {
    let four = <[u8; 4]>::try_from(octets).map(IpAddr::from);
    four.or_else(|_| <[u8; 16]>::try_from(octets).map(IpAddr::from)).ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::server::tls::{Lifetimes, authority};

    #[test]
    fn invalid_certificates_and_keys_have_an_error_with_the_required_format() {
        let now = OffsetDateTime::UNIX_EPOCH;
        let ours = authority::issue(&Names::of_loopback(), now, Lifetimes::default()).unwrap();
        let other = authority::issue(&Names::of_loopback(), now, Lifetimes::default()).unwrap();
        for (cert, key, hint) in [
            ("", ours.key.as_str(), "no certificate"),
            (ours.key.as_str(), ours.key.as_str(), "no certificate"),
            (ours.cert.as_str(), "", "no private key"),
            (ours.cert.as_str(), ours.cert.as_str(), "no private key"),
            (ours.cert.as_str(), other.key.as_str(), "does not match the certificate"),
            ("-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n", ours.key.as_str(), "X.509"),
        ] {
            let error = Certificate::from_pem(cert.as_bytes(), key.as_bytes()).unwrap_err().to_string();
            assert!(error.contains(hint), "{error}");
        }
    }
}
