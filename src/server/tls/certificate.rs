//! Certificates and keys as PEM, and what a certificate says.

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

/// Why a certificate or its key cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum CertificateError {
    /// No certificate in the PEM.
    #[error("holds no certificate: it must hold PEM, -----BEGIN CERTIFICATE-----")]
    NoCertificate,
    /// No key in the PEM.
    #[error("the key file holds no private key that can be read ({0}): it must hold PEM, PKCS #8 or SEC 1")]
    NoKey(pem::Error),
    /// The PEM itself is broken.
    #[error("cannot be read as PEM ({0})")]
    Pem(pem::Error),
    /// The certificate inside of the PEM is broken.
    #[error("cannot be read as an X.509 certificate ({0})")]
    X509(String),
    /// The key is not the certificate's, or of a kind that cannot be used.
    #[error(
        "certificate and key cannot be used together ({0}): give the key that the certificate was made for"
    )]
    Key(rustls::Error),
    /// Somebody else signed it.
    #[error("was not signed by the CA beside it ({0})")]
    Stranger(String),
}

/// A certificate with its chain and its key, ready to serve.
#[derive(Clone)]
pub struct Certificate {
    /// What handshakes are answered with.
    pub(super) key: Arc<CertifiedKey>,
    /// What the certificate says.
    pub facts: Facts,
}

impl fmt::Debug for Certificate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Certificate").field("facts", &self.facts).finish_non_exhaustive()
    }
}

impl Certificate {
    /// Reads a certificate (with its chain, itself first) and its key.
    ///
    /// # Errors
    /// Where either cannot be read, or they do not belong together.
    pub fn from_pem(cert: &[u8], key: &[u8]) -> Result<Self, CertificateError> {
        let chain = chain(cert)?;
        let facts = facts(chain.first().ok_or(CertificateError::NoCertificate)?)?;
        let key = PrivateKeyDer::from_pem_slice(key).map_err(CertificateError::NoKey)?;
        let key =
            CertifiedKey::from_der(chain, key, &ring::default_provider()).map_err(CertificateError::Key)?;
        Ok(Self { key: Arc::new(key), facts })
    }
}

/// The certificates of a PEM file, in its order; at least one.
///
/// # Errors
/// Where there is none, or the PEM is broken.
pub fn chain(pem: &[u8]) -> Result<Vec<CertificateDer<'static>>, CertificateError> {
    let chain: Vec<_> =
        CertificateDer::pem_slice_iter(pem).collect::<Result<_, _>>().map_err(CertificateError::Pem)?;
    if chain.is_empty() { Err(CertificateError::NoCertificate) } else { Ok(chain) }
}

/// A certificate as PEM.
#[must_use]
pub fn pem(der: &CertificateDer<'_>) -> String {
    let text = STANDARD.encode(der);
    let mut pem = String::from("-----BEGIN CERTIFICATE-----\n");
    // Lines of 64, as RFC 7468 has them.
    for (position, character) in text.chars().enumerate() {
        if position > 0 && position % 64 == 0 {
            pem.push('\n');
        }
        pem.push(character);
    }
    pem + "\n-----END CERTIFICATE-----\n"
}

/// What a certificate says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Facts {
    /// Whose it is.
    pub subject: String,
    /// Who signed it.
    pub issuer: String,
    /// Which names it is for.
    pub names: Names,
    /// From when it holds.
    pub not_before: OffsetDateTime,
    /// Until when it holds.
    pub not_after: OffsetDateTime,
    /// Whether it may sign others.
    pub is_ca: bool,
}

/// Reads what a certificate says.
///
/// # Errors
/// Where it is no X.509 certificate.
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

/// Checks that `ca` signed `certificate`. Neither times nor names are looked at.
///
/// # Errors
/// Where it did not, or one of them cannot be read.
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
    fn what_cannot_be_used_says_what_it_must_be() {
        let now = OffsetDateTime::UNIX_EPOCH;
        let ours = authority::issue(&Names::of_loopback(), now, Lifetimes::default()).unwrap();
        let other = authority::issue(&Names::of_loopback(), now, Lifetimes::default()).unwrap();
        for (cert, key, hint) in [
            ("", ours.key.as_str(), "holds no certificate"),
            (ours.key.as_str(), ours.key.as_str(), "holds no certificate"),
            (ours.cert.as_str(), "", "no private key"),
            (ours.cert.as_str(), ours.cert.as_str(), "no private key"),
            (ours.cert.as_str(), other.key.as_str(), "give the key that the certificate was made for"),
            ("-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n", ours.key.as_str(), "X.509"),
        ] {
            let error = Certificate::from_pem(cert.as_bytes(), key.as_bytes()).unwrap_err().to_string();
            assert!(error.contains(hint), "{error}");
        }
    }
}
