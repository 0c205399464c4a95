//! Issues the CA and the serving certificate. Pure functions, except for the randomness of keys: the time is
//! an argument.

use rcgen::{
    BasicConstraints, CertificateParams, DistinguishedName, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer,
    KeyPair, KeyUsagePurpose, SanType,
};
use rustls_pki_types::CertificateDer;
use time::{Duration, OffsetDateTime};

use super::Names;
use super::certificate::{self, CertificateError, Facts};

/// The lifetimes of certificates.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Lifetimes {
    /// The CA. Long, because a new CA has to be distributed to all clients.
    pub ca: Duration,
    /// The serving certificate.
    pub serving: Duration,
}

impl Default for Lifetimes {
    fn default() -> Self {
        Self { ca: Duration::days(3652), serving: Duration::days(365) }
    }
}

/// Certificates are valid from one hour before they are issued, because the clocks of machines differ.
pub const CLOCK_SKEW: Duration = Duration::hours(1);

/// A CA with its key, in PEM format. Not `Debug`, because it contains the key.
#[derive(Clone, PartialEq, Eq)]
pub struct Ca {
    /// The certificate.
    pub cert: String,
    /// The key, PKCS #8.
    pub key: String,
}

/// A CA and a serving certificate that it signed, all in PEM format. Not `Debug`, because it contains the
/// keys.
#[derive(Clone, PartialEq, Eq)]
pub struct Issued {
    /// The certificates of all trusted CAs; the first one is the signing CA.
    pub ca_cert: String,
    /// The key of the signing CA, PKCS #8.
    pub ca_key: String,
    /// The serving certificate, followed by `cross`.
    pub cert: String,
    /// The key of the serving certificate, PKCS #8.
    pub key: String,
    /// The next signing CA, which does not sign until all clients trust it. Its certificate is in `ca_cert`
    /// too.
    pub next: Option<Ca>,
    /// The signing CA, signed by the previous CA, and so on. With these, a client that only trusts an earlier
    /// CA can verify the serving certificate. Empty before the first rotation of the CA.
    pub cross: String,
}

/// A certificate cannot be issued.
#[derive(Debug, thiserror::Error)]
pub enum IssueError {
    /// A name is not allowed in a certificate.
    #[error("{0:?} is invalid in a certificate: must be ASCII (use punycode for other DNS names)")]
    Name(String),
    /// The certificate or the key of the CA is invalid.
    #[error("the certificate or the key of the CA is invalid: {0}")]
    Ca(#[source] rcgen::Error),
    /// The key belongs to another CA.
    #[error("the certificate or the key of the CA is invalid: {0}")]
    Mismatch(#[source] CertificateError),
    /// The library failed.
    #[error("failed to issue a certificate: {0}")]
    Other(#[from] rcgen::Error),
}

/// Issues a new CA.
///
/// # Errors
/// The library failed, which is not known to happen.
pub fn ca(now: OffsetDateTime, lifetimes: Lifetimes) -> Result<Ca, IssueError> {
    // The name contains the time, so that a client that trusts two generations of CAs finds the right one by
    // its name.
    let mut params = ca_params(&format!("bootlace CA {}", now.unix_timestamp_nanos() / 1_000_000));
    params.not_before = now - CLOCK_SKEW;
    params.not_after = now + lifetimes.ca;
    let key = KeyPair::generate()?;
    Ok(Ca { cert: params.self_signed(&key)?.pem(), key: key.serialize_pem() })
}

fn ca_params(name: &str) -> CertificateParams {
    let mut params = CertificateParams::default();
    params.distinguished_name = distinguished_name(name);
    // No path length constraint, because it signs the next CA.
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params.key_usages =
        vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign, KeyUsagePurpose::DigitalSignature];
    params
}

/// Issues a new CA, and a certificate of this CA for `names`.
///
/// # Errors
/// A name is not allowed in a certificate.
pub fn issue(names: &Names, now: OffsetDateTime, lifetimes: Lifetimes) -> Result<Issued, IssueError> {
    under(ca(now, lifetimes)?, names, now, lifetimes)
}

/// Issues a certificate for `names` by a CA that is the only trusted one.
///
/// # Errors
/// The CA is invalid, or a name is not allowed in a certificate.
pub fn under(ca: Ca, names: &Names, now: OffsetDateTime, lifetimes: Lifetimes) -> Result<Issued, IssueError> {
    let issued = Issued {
        ca_cert: ca.cert,
        ca_key: ca.key,
        cert: String::new(),
        key: String::new(),
        next: None,
        cross: String::new(),
    };
    reissue(&issued, names, now, lifetimes)
}

/// Issues a new certificate for `names` by the signing CA of `issued`. It expires no later than this CA.
///
/// # Errors
/// The CA is invalid, or a name is not allowed in a certificate.
pub fn reissue(
    issued: &Issued,
    names: &Names,
    now: OffsetDateTime,
    lifetimes: Lifetimes,
) -> Result<Issued, IssueError> {
    let authority = signing(issued)?;
    let mut params = CertificateParams::default();
    let common = names.dns.first().cloned().or_else(|| names.ip.first().map(ToString::to_string));
    params.distinguished_name = distinguished_name(&common.unwrap_or_default());
    for name in &names.dns {
        let ascii = name.as_str().try_into().map_err(|_| IssueError::Name(name.clone()))?;
        params.subject_alt_names.push(SanType::DnsName(ascii));
    }
    params.subject_alt_names.extend(names.ip.iter().copied().map(SanType::IpAddress));
    params.is_ca = IsCa::ExplicitNoCa;
    params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
    params.not_before = now - CLOCK_SKEW;
    params.not_after = (now + lifetimes.serving).min(authority.facts.not_after);
    let key = KeyPair::generate()?;
    let cert = authority.sign(params, &key)? + &issued.cross;
    Ok(Issued { cert, key: key.serialize_pem(), ..issued.clone() })
}

/// Signs the certificate of `next` with the signing CA of `issued`. The result expires when the first of the
/// two does.
///
/// # Errors
/// One of them is invalid.
pub fn cross(next: &Ca, issued: &Issued) -> Result<String, IssueError> {
    let authority = signing(issued)?;
    let (_, facts) = first(&next.cert)?;
    let key = KeyPair::from_pem(&next.key).map_err(IssueError::Ca)?;
    let name = facts.subject.strip_prefix("CN=").unwrap_or(&facts.subject);
    let mut params = ca_params(name);
    params.not_before = facts.not_before;
    params.not_after = facts.not_after.min(authority.facts.not_after);
    authority.sign(params, &key)
}

/// A CA that can sign.
struct Signing {
    key: Issuer<'static, KeyPair>,
    certificate: CertificateDer<'static>,
    facts: Facts,
}

fn signing(issued: &Issued) -> Result<Signing, IssueError> {
    let (certificate, facts) = first(&issued.ca_cert)?;
    let key = KeyPair::from_pem(&issued.ca_key).map_err(IssueError::Ca)?;
    let key = Issuer::from_ca_cert_der(&certificate, key).map_err(IssueError::Ca)?;
    Ok(Signing { key, certificate, facts })
}

fn first(pem: &str) -> Result<(CertificateDer<'static>, Facts), IssueError> {
    let first = certificate::chain(pem.as_bytes()).and_then(|chain| {
        let first = chain.into_iter().next().ok_or(CertificateError::NoCertificate)?;
        let facts = certificate::facts(&first)?;
        Ok((first, facts))
    });
    first.map_err(IssueError::Mismatch)
}

impl Signing {
    fn sign(&self, mut params: CertificateParams, key: &KeyPair) -> Result<String, IssueError> {
        params.use_authority_key_identifier_extension = true;
        let signed = params.signed_by(key, &self.key)?;
        // Signing succeeds even if the key belongs to another CA, but clients would not trust the result.
        certificate::verify(signed.der(), &self.certificate).map_err(IssueError::Mismatch)?;
        Ok(signed.pem())
    }
}

fn distinguished_name(common: &str) -> DistinguishedName {
    // A common name has at most 64 characters (RFC 5280, appendix A). Clients do not evaluate it.
    let mut name = DistinguishedName::new();
    name.push(DnType::CommonName, common.chars().take(64).collect::<String>());
    name
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::server::tls::Certificate;

    const NOW: OffsetDateTime = time::macros::datetime!(2026-11-21 10:00 UTC);

    fn facts(pem: &str) -> Facts {
        let chain = certificate::chain(pem.as_bytes()).unwrap();
        certificate::facts(&chain[0]).unwrap()
    }

    #[test]
    fn an_issued_certificate_contains_its_names_and_times() {
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
    fn a_new_certificate_has_the_same_ca() {
        let old = issue(&Names::of_service("old", "ns"), NOW, Lifetimes::default()).unwrap();
        let names = Names::of_service("new", "ns");
        let new = reissue(&old, &names, NOW + Duration::days(300), Lifetimes::default()).unwrap();
        assert_eq!(new.ca_cert, old.ca_cert);
        assert_eq!(facts(&new.cert).names, names);
        certificate::verify(&facts_of(&new.cert), &facts_of(&new.ca_cert)).unwrap();
        let stranger = issue(&names, NOW, Lifetimes::default()).unwrap();
        certificate::verify(&facts_of(&new.cert), &facts_of(&stranger.ca_cert)).unwrap_err();
    }

    #[test]
    fn no_certificate_outlives_its_ca() {
        let names = Names::of_service("bootlace", "ns");
        let lifetimes = Lifetimes { ca: Duration::days(100), serving: Duration::days(365) };
        let old = issue(&names, NOW, lifetimes).unwrap();
        assert_eq!(facts(&old.cert).not_after, NOW + Duration::days(100));
        let later = NOW + Duration::days(60);
        let renewed = reissue(&old, &names, later, lifetimes).unwrap();
        assert_eq!(facts(&renewed.cert).not_after, NOW + Duration::days(100));
        let next = ca(later, lifetimes).unwrap();
        let cross = facts(&cross(&next, &old).unwrap());
        assert_eq!(cross.not_after, NOW + Duration::days(100));
        assert_eq!((cross.subject, cross.issuer), (facts(&next.cert).subject, facts(&old.ca_cert).subject));
    }

    #[test]
    fn a_key_of_another_ca_cannot_sign() {
        let names = Names::of_service("bootlace", "ns");
        let (old, other) = (
            issue(&names, NOW, Lifetimes::default()).unwrap(),
            issue(&names, NOW, Lifetimes::default()).unwrap(),
        );
        let mixed = Issued { ca_key: other.ca_key, ..old };
        let Err(error) = reissue(&mixed, &names, NOW, Lifetimes::default()) else { panic!("it was signed") };
        assert!(matches!(error, IssueError::Ca(_) | IssueError::Mismatch(_)), "{error}");
    }

    fn facts_of(pem: &str) -> CertificateDer<'static> {
        certificate::chain(pem.as_bytes()).unwrap().remove(0)
    }

    #[test]
    fn an_error_contains_the_invalid_name() {
        let names = Names { dns: ["bøotlace.svc".to_owned()].into(), ..Names::default() };
        let Err(error) = issue(&names, NOW, Lifetimes::default()) else { panic!("it was made") };
        assert!(error.to_string().contains("bøotlace.svc"), "{error}");
    }
}
