//! Makes the CA and the serving certificate. Pure but for the randomness of keys: the time is an argument.

use rcgen::{
    BasicConstraints, CertificateParams, DistinguishedName, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer,
    KeyPair, KeyUsagePurpose, SanType,
};
use rustls_pki_types::CertificateDer;
use time::{Duration, OffsetDateTime};

use super::Names;

/// How long certificates live.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Lifetimes {
    /// The CA. Long, because everybody who trusts it has to be told of a new one.
    pub ca: Duration,
    /// The serving certificate.
    pub serving: Duration,
}

impl Default for Lifetimes {
    fn default() -> Self {
        Self { ca: Duration::days(3652), serving: Duration::days(365) }
    }
}

/// Certificates hold from a little before they were made, because clocks differ between machines.
const CLOCK_SKEW: Duration = Duration::hours(1);

/// A CA and a serving certificate that it signed, all as PEM. Not `Debug`, because it holds the keys.
#[derive(Clone, PartialEq, Eq)]
pub struct Issued {
    /// The CA's certificate.
    pub ca_cert: String,
    /// The CA's key, PKCS #8.
    pub ca_key: String,
    /// The serving certificate.
    pub cert: String,
    /// The serving certificate's key, PKCS #8.
    pub key: String,
}

/// Why no certificate can be made.
#[derive(Debug, thiserror::Error)]
pub enum IssueError {
    /// A name cannot stand in a certificate.
    #[error("{0:?} cannot stand in a certificate: DNS names are ASCII (write punycode)")]
    Name(String),
    /// What was kept of the CA cannot be used.
    #[error("the CA's certificate or key cannot be used ({0})")]
    Ca(#[source] rcgen::Error),
    /// The library cannot make it.
    #[error("no certificate could be made ({0})")]
    Other(#[from] rcgen::Error),
}

/// Makes a new CA, and under it a certificate for `names`.
///
/// # Errors
/// Where a name cannot stand in a certificate.
pub fn issue(names: &Names, now: OffsetDateTime, lifetimes: Lifetimes) -> Result<Issued, IssueError> {
    let mut params = CertificateParams::default();
    // The time keeps the names of two generations of CAs apart: a client that trusts both finds the right one
    // by its name.
    params.distinguished_name = named(&format!("bootlace CA {}", now.unix_timestamp()));
    params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    params.key_usages =
        vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign, KeyUsagePurpose::DigitalSignature];
    params.not_before = now - CLOCK_SKEW;
    params.not_after = now + lifetimes.ca;
    let key = KeyPair::generate()?;
    let certificate = params.self_signed(&key)?;
    let (ca_cert, ca_key) = (certificate.pem(), key.serialize_pem());
    let (cert, key) = sign(&Issuer::new(params, key), names, now, lifetimes)?;
    Ok(Issued { ca_cert, ca_key, cert, key })
}

/// Makes a new certificate for `names` under the CA of `issued`.
///
/// # Errors
/// Where the CA cannot be used, or a name cannot stand in a certificate.
pub fn reissue(
    issued: &Issued,
    ca: &CertificateDer<'_>,
    names: &Names,
    now: OffsetDateTime,
    lifetimes: Lifetimes,
) -> Result<Issued, IssueError> {
    let key = KeyPair::from_pem(&issued.ca_key).map_err(IssueError::Ca)?;
    let authority = Issuer::from_ca_cert_der(ca, key).map_err(IssueError::Ca)?;
    let (cert, key) = sign(&authority, names, now, lifetimes)?;
    Ok(Issued { cert, key, ..issued.clone() })
}

fn sign(
    issuer: &Issuer<'_, KeyPair>,
    names: &Names,
    now: OffsetDateTime,
    lifetimes: Lifetimes,
) -> Result<(String, String), IssueError> {
    let mut params = CertificateParams::default();
    let common = names.dns.first().cloned().or_else(|| names.ip.first().map(ToString::to_string));
    params.distinguished_name = named(&common.unwrap_or_default());
    for name in &names.dns {
        let ascii = name.as_str().try_into().map_err(|_| IssueError::Name(name.clone()))?;
        params.subject_alt_names.push(SanType::DnsName(ascii));
    }
    params.subject_alt_names.extend(names.ip.iter().copied().map(SanType::IpAddress));
    params.is_ca = IsCa::ExplicitNoCa;
    params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
    params.use_authority_key_identifier_extension = true;
    params.not_before = now - CLOCK_SKEW;
    params.not_after = now + lifetimes.serving;
    let key = KeyPair::generate()?;
    Ok((params.signed_by(&key, issuer)?.pem(), key.serialize_pem()))
}

fn named(common: &str) -> DistinguishedName {
    // A common name holds at most 64 characters (RFC 5280, appendix A). Nobody judges by it.
    let mut name = DistinguishedName::new();
    name.push(DnType::CommonName, common.chars().take(64).collect::<String>());
    name
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::server::tls::Certificate;
    use crate::server::tls::certificate::{self, Facts};

    const NOW: OffsetDateTime = time::macros::datetime!(2026-11-21 10:00 UTC);

    fn facts(pem: &str) -> Facts {
        let chain = certificate::chain(pem.as_bytes()).unwrap();
        certificate::facts(&chain[0]).unwrap()
    }

    #[test]
    fn what_is_issued_carries_its_names_and_times() {
        let names = Names::of_service("bootlace", "bootlace-system");
        let issued = issue(&names, NOW, Lifetimes::default()).unwrap();
        let (ca, leaf) = (facts(&issued.ca_cert), facts(&issued.cert));
        assert!(ca.is_ca && !leaf.is_ca);
        assert_eq!(leaf.names, names);
        assert_eq!(leaf.issuer, ca.subject);
        assert_eq!(leaf.not_after, NOW + Duration::days(365));
        assert_eq!(leaf.not_before, NOW - CLOCK_SKEW);
        assert!(ca.not_after > leaf.not_after);
        Certificate::from_pem(issued.cert.as_bytes(), issued.key.as_bytes()).unwrap();
    }

    #[test]
    fn a_new_certificate_stands_under_the_same_ca() {
        let old = issue(&Names::of_service("old", "ns"), NOW, Lifetimes::default()).unwrap();
        let names = Names::of_service("new", "ns");
        let ca = certificate::chain(old.ca_cert.as_bytes()).unwrap().remove(0);
        let new = reissue(&old, &ca, &names, NOW + Duration::days(300), Lifetimes::default()).unwrap();
        assert_eq!(new.ca_cert, old.ca_cert);
        assert_eq!(facts(&new.cert).names, names);
        certificate::verify(&facts_of(&new.cert), &facts_of(&new.ca_cert)).unwrap();
        let stranger = issue(&names, NOW, Lifetimes::default()).unwrap();
        certificate::verify(&facts_of(&new.cert), &facts_of(&stranger.ca_cert)).unwrap_err();
    }

    fn facts_of(pem: &str) -> CertificateDer<'static> {
        certificate::chain(pem.as_bytes()).unwrap().remove(0)
    }

    #[test]
    fn a_name_that_cannot_be_is_told() {
        let names = Names { dns: ["bøotlace.svc".to_owned()].into(), ..Names::default() };
        let Err(error) = issue(&names, NOW, Lifetimes::default()) else { panic!("it was made") };
        assert!(error.to_string().contains("bøotlace.svc"), "{error}");
    }
}
