//! Makes the CA and the serving certificate. Pure but for the randomness of keys: the time is an argument.

use rcgen::{
    BasicConstraints, CertificateParams, DistinguishedName, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer,
    KeyPair, KeyUsagePurpose, SanType,
};
use rustls_pki_types::CertificateDer;
use time::{Duration, OffsetDateTime};

use super::Names;
use super::certificate::{self, CertificateError, Facts};

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
pub const CLOCK_SKEW: Duration = Duration::hours(1);

/// A CA with its key, as PEM. Not `Debug`, because it holds the key.
#[derive(Clone, PartialEq, Eq)]
pub struct Ca {
    /// The certificate.
    pub cert: String,
    /// The key, PKCS #8.
    pub key: String,
}

/// A CA and a serving certificate that it signed, all as PEM. Not `Debug`, because it holds the keys.
#[derive(Clone, PartialEq, Eq)]
pub struct Issued {
    /// The certificates of all CAs that are to be trusted; first the one that signs.
    pub ca_cert: String,
    /// The key of the one that signs, PKCS #8.
    pub ca_key: String,
    /// The serving certificate, followed by `cross`.
    pub cert: String,
    /// The serving certificate's key, PKCS #8.
    pub key: String,
    /// The CA that will sign once everybody trusts it. Its certificate is in `ca_cert` too.
    pub next: Option<Ca>,
    /// The CA that signs, signed by the CA before it, and so on: by them a client that trusts an earlier CA alone finds
    /// its way to it. Empty before the first change of the CA.
    pub cross: String,
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
    /// The CA's key is another CA's.
    #[error("the CA's certificate or key cannot be used ({0})")]
    Mismatch(#[source] CertificateError),
    /// The library cannot make it.
    #[error("no certificate could be made ({0})")]
    Other(#[from] rcgen::Error),
}

/// Makes a new CA.
///
/// # Errors
/// None that is known: the library's.
pub fn ca(now: OffsetDateTime, lifetimes: Lifetimes) -> Result<Ca, IssueError> {
    // The time keeps the names of two generations of CAs apart: a client that trusts both finds the right one
    // by its name.
    let mut params = ca_params(&format!("bootlace CA {}", now.unix_timestamp_nanos() / 1_000_000));
    params.not_before = now - CLOCK_SKEW;
    params.not_after = now + lifetimes.ca;
    let key = KeyPair::generate()?;
    Ok(Ca { cert: params.self_signed(&key)?.pem(), key: key.serialize_pem() })
}

fn ca_params(name: &str) -> CertificateParams {
    let mut params = CertificateParams::default();
    params.distinguished_name = named(name);
    // Not constrained to sign serving certificates only: it signs the CA that comes after it.
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params.key_usages =
        vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign, KeyUsagePurpose::DigitalSignature];
    params
}

/// Makes a new CA, and under it a certificate for `names`.
///
/// # Errors
/// Where a name cannot stand in a certificate.
pub fn issue(names: &Names, now: OffsetDateTime, lifetimes: Lifetimes) -> Result<Issued, IssueError> {
    under(ca(now, lifetimes)?, names, now, lifetimes)
}

/// Makes a certificate for `names` under a CA that is the only one to be trusted.
///
/// # Errors
/// Where the CA cannot be used, or a name cannot stand in a certificate.
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

/// Makes a new certificate for `names` under the CA that signs in `issued`. It ends no later than that CA.
///
/// # Errors
/// Where the CA cannot be used, or a name cannot stand in a certificate.
pub fn reissue(
    issued: &Issued,
    names: &Names,
    now: OffsetDateTime,
    lifetimes: Lifetimes,
) -> Result<Issued, IssueError> {
    let authority = signing(issued)?;
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
    params.not_before = now - CLOCK_SKEW;
    params.not_after = (now + lifetimes.serving).min(authority.facts.not_after);
    let key = KeyPair::generate()?;
    let cert = authority.sign(params, &key)? + &issued.cross;
    Ok(Issued { cert, key: key.serialize_pem(), ..issued.clone() })
}

/// Signs the certificate of `next` with the CA that signs in `issued`. It ends when the first of the two does.
///
/// # Errors
/// Where one of them cannot be used.
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
        // With another CA's key beside the certificate this signs, and nobody trusts what it signed.
        certificate::verify(signed.der(), &self.certificate).map_err(IssueError::Mismatch)?;
        Ok(signed.pem())
    }
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
    fn a_key_of_another_ca_signs_nothing() {
        let names = Names::of_service("bootlace", "ns");
        let (old, other) = (
            issue(&names, NOW, Lifetimes::default()).unwrap(),
            issue(&names, NOW, Lifetimes::default()).unwrap(),
        );
        let mixed = Issued { ca_key: other.ca_key, ..old };
        let Err(error) = reissue(&mixed, &names, NOW, Lifetimes::default()) else { panic!("it was signed") };
        assert!(error.to_string().contains("CA's certificate or key cannot be used"), "{error}");
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
