//! When certificates and their CA are renewed, and in which order. Pure functions: the time is an argument.
//!
//! A certificate is renewed after two thirds of its lifetime. A CA is too, in steps, each of which is one write of the Secret:
//!
//! 1. *Announced*: clients trust the new CA in addition to the old one, which still signs. All configuration for clients contains
//!    both.
//! 2. *In use*: when the API server trusts the new CA, the new CA signs. The chain of the serving certificate contains the new CA,
//!    signed by the old one, for clients that only trust the old one: pods that were running before.
//! 3. *Dropped*: the old CA is no longer trusted, when it has expired, or on request.

use std::time::Duration;

use rustls_pki_types::CertificateDer;
use time::OffsetDateTime;

use super::authority::{self, CLOCK_SKEW, Ca, IssueError, Issued, Lifetimes};
use super::certificate::{self, Facts};
use super::{Names, files};

/// The times of a rotation.
#[derive(Debug, Clone, Copy)]
pub struct Timing {
    /// The lifetimes of certificates.
    pub lifetimes: Lifetimes,
    /// How often the state is checked, and a failed write is retried.
    pub look: Duration,
    /// How long a new CA must be in the caBundle of every webhook before it signs. API servers get a changed configuration from a
    /// watch, and some of them can be late.
    pub settle: Duration,
    /// How long a CA must be in use before the previous one is dropped on request, because mounted Secrets can still contain
    /// certificates of the old one. The kubelet needs up to two minutes, and the process up to [`files::EVERY`].
    pub spread: Duration,
}

/// The reason to renew a certificate.
pub(super) const CERTIFICATE_DUE: &str = "its certificate is past two thirds of its lifetime";

impl Default for Timing {
    fn default() -> Self {
        Self {
            lifetimes: Lifetimes::default(),
            look: Duration::from_secs(5),
            settle: Duration::from_secs(10),
            spread: Duration::from_mins(3) + files::EVERY,
        }
    }
}

/// How long a new CA is announced before it signs, if it is unknown which CAs the API server trusts: an administrator has to
/// distribute it.
const ANNOUNCEMENT_PERIOD: time::Duration = time::Duration::DAY;

/// How many previous CAs are kept in addition to the signing and the next one. More can only exist after several requests in a
/// row, and the spec of every task pod contains all of them.
const MAX_PREVIOUS: usize = 3;

/// A request in the annotation [`bootlace_core::names::ANNOTATION_ROTATE`] of the Secret.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum RotationRequest {
    /// Issue a new serving certificate of the current CA.
    Certificate,
    /// Issue a new CA, and a serving certificate of this CA.
    Ca,
    /// Stop trusting earlier CAs. Pods that only trust those can no longer use the store.
    DropOldCas,
}

impl RotationRequest {
    /// The value of the annotation.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Certificate => "certificate",
            Self::Ca => "ca",
            Self::DropOldCas => "drop-old-cas",
        }
    }

    /// Parses the value of the annotation.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        [Self::Certificate, Self::Ca, Self::DropOldCas].into_iter().find(|one| one.as_str() == text)
    }
}

/// Whether the API server trusts all CAs of the Secret.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Published {
    /// All API servers do.
    Everywhere,
    /// Some API servers do not yet.
    NotYet,
    /// Another program sets the caBundle.
    Unknown,
}

/// A change of the Secret.
pub struct Change {
    /// The new content; `None` if everything must be issued again.
    pub issued: Option<Issued>,
    /// Why.
    pub reason: String,
    /// Whether this change completes the request, so that its annotation is removed.
    pub fulfils: bool,
}

impl Change {
    fn new(issued: Issued, reason: &str) -> Self {
        Self { issued: Some(issued), reason: reason.to_owned(), fulfils: false }
    }
}

/// The conditions of a rotation.
#[derive(Debug, Clone, Copy)]
pub struct RotationContext<'a> {
    /// The required names of the certificate.
    pub names: &'a Names,
    /// The current time.
    pub now: OffsetDateTime,
    /// The times of a rotation.
    pub timing: &'a Timing,
    /// Whether the API server trusts the CAs.
    pub published: Published,
    /// The request in the annotation.
    pub request: Option<RotationRequest>,
}

/// Whether a certificate is past two thirds of its lifetime.
#[must_use]
pub fn is_due(facts: &Facts, now: OffsetDateTime) -> bool {
    let begun = facts.not_before + CLOCK_SKEW;
    now >= begun + (facts.not_after - begun) * 2 / 3
}

/// The certificate of a CA, and its fields.
type CaCertificate = (CertificateDer<'static>, Facts);

/// The CAs of a Secret.
struct Cas {
    signing: CaCertificate,
    next: Option<(CaCertificate, Ca)>,
    /// The newest first.
    previous: Vec<CaCertificate>,
}

impl Cas {
    /// `None` if the first one is invalid.
    fn parse(issued: &Issued) -> Option<Self> {
        let chain = certificate::chain(issued.ca_cert.as_bytes()).ok()?;
        let mut all =
            chain.into_iter().filter_map(|der| certificate::facts(&der).ok().map(|facts| (der, facts)));
        let signing = all.next()?;
        let mut next =
            issued.next.as_ref().and_then(|next| Some((ca_certificate(&next.cert)?, next.clone())));
        let mut previous = Vec::new();
        let mut is_announced = false;
        for one in all {
            if next.as_ref().is_some_and(|(next, _)| next.0 == one.0) {
                is_announced = true;
            } else if one.0 != signing.0 {
                previous.push(one);
            }
        }
        if !is_announced {
            next = None;
        }
        Some(Self { signing, next, previous })
    }

    /// All trusted CAs, in PEM format.
    fn bundle(&self) -> String {
        let next = self.next.iter().map(|(next, _)| next);
        let all = std::iter::once(&self.signing).chain(next).chain(&self.previous);
        all.map(|(der, _)| certificate::pem(der)).collect()
    }
}

/// The next change of a Secret whose serving certificate is valid; `None` if nothing is due.
///
/// # Errors
/// A certificate is due, but cannot be issued.
pub fn step(
    issued: &Issued,
    leaf: &Facts,
    context: RotationContext<'_>,
) -> Result<Option<Change>, IssueError> {
    let RotationContext { names, now, timing, request, .. } = context;
    let Some(cas) = Cas::parse(issued) else { return Ok(None) };
    if cas.next.is_some() {
        if let Some(reason) = promotion_reason(&cas, context) {
            let promoted = promote(issued, &cas, names, now, timing.lifetimes)?;
            let fulfils = request == Some(RotationRequest::Ca);
            return Ok(Some(Change { fulfils, ..Change::new(promoted, reason) }));
        }
    } else if let Some(reason) = announcement_reason(issued, &cas, leaf, context) {
        return announce(issued, cas, now, timing.lifetimes).map(|issued| Some(Change::new(issued, reason)));
    }
    if let Some(change) = drop_previous(issued, &cas, leaf, context) {
        return Ok(Some(change));
    }
    let is_requested = request == Some(RotationRequest::Certificate);
    // If it expires together with its CA, a new one would not expire later, and the CA is renewed before that.
    let is_due = is_due(leaf, now) && leaf.not_after < cas.signing.1.not_after;
    if is_requested || is_due {
        let reason = if is_requested { "it was requested" } else { CERTIFICATE_DUE };
        return match authority::reissue(issued, names, now, timing.lifetimes) {
            Ok(renewed) => Ok(Some(Change { fulfils: is_requested, ..Change::new(renewed, reason) })),
            // The next CA will issue it.
            Err(IssueError::Ca(_) | IssueError::Mismatch(_)) if cas.next.is_some() => Ok(None),
            Err(error) => Err(error),
        };
    }
    Ok(None)
}

/// Promotes the announced CA, for a Secret whose signing CA is no longer valid; `None` if no CA was announced.
#[must_use]
pub fn rescue(issued: &Issued, context: RotationContext<'_>) -> Option<Change> {
    let cas = Cas::parse(issued)?;
    let ((_, facts), _) = cas.next.as_ref()?;
    if facts.not_after <= context.now {
        return None;
    }
    let promoted = promote(issued, &cas, context.names, context.now, context.timing.lifetimes).ok()?;
    Some(Change::new(promoted, "its CA is no longer valid, and the next one was announced"))
}

fn announcement_reason(
    issued: &Issued,
    cas: &Cas,
    leaf: &Facts,
    context: RotationContext<'_>,
) -> Option<&'static str> {
    if context.request == Some(RotationRequest::Ca) {
        return Some("it was requested");
    }
    if is_due(&cas.signing.1, context.now) {
        return Some("its CA is past two thirds of its lifetime");
    }
    let cannot_sign =
        || authority::reissue(issued, context.names, context.now, context.timing.lifetimes).is_err();
    (is_due(leaf, context.now) && cannot_sign()).then_some("its CA can no longer sign certificates")
}

fn announce(
    issued: &Issued,
    mut cas: Cas,
    now: OffsetDateTime,
    lifetimes: Lifetimes,
) -> Result<Issued, IssueError> {
    let next = authority::ca(now, lifetimes)?;
    cas.next = ca_certificate(&next.cert).map(|certificate| (certificate, next.clone()));
    // The signing CA will become one of them.
    cas.previous.truncate(MAX_PREVIOUS - 1);
    Ok(Issued { ca_cert: cas.bundle(), next: Some(next), ..issued.clone() })
}

fn promotion_reason(cas: &Cas, context: RotationContext<'_>) -> Option<&'static str> {
    let RotationContext { now, published, .. } = context;
    let ((_, next), _) = cas.next.as_ref()?;
    if next.not_after <= now {
        return None;
    }
    let begun = next.not_before + CLOCK_SKEW;
    let has_waited = now >= begun + ANNOUNCEMENT_PERIOD.min((next.not_after - begun) / 12);
    match published {
        Published::Everywhere => Some("all API servers trust its next CA"),
        Published::Unknown if has_waited => Some("the announcement period of its next CA has ended"),
        Published::Unknown | Published::NotYet => None,
    }
}

fn promote(
    issued: &Issued,
    cas: &Cas,
    names: &Names,
    now: OffsetDateTime,
    lifetimes: Lifetimes,
) -> Result<Issued, IssueError> {
    let Some((next, ca)) = cas.next.clone() else { return Ok(issued.clone()) };
    // If the old CA can no longer sign, clients that only trust the old CA lose their trust. All others do not.
    let cross = authority::cross(&ca, issued).unwrap_or_default() + &issued.cross;
    let previous = std::iter::once(&cas.signing).chain(&cas.previous).take(MAX_PREVIOUS).cloned().collect();
    let cas = Cas { signing: next, next: None, previous };
    let promoted = Issued {
        ca_cert: cas.bundle(),
        ca_key: ca.key,
        next: None,
        cross: still_trusted(&cross, &cas),
        ..issued.clone()
    };
    authority::reissue(&promoted, names, now, lifetimes)
}

/// Removes expired CAs, or, on request, all CAs except the signing one and the next one.
fn drop_previous(issued: &Issued, cas: &Cas, leaf: &Facts, context: RotationContext<'_>) -> Option<Change> {
    let RotationContext { now, timing, request, .. } = context;
    let is_requested =
        request == Some(RotationRequest::DropOldCas) && now >= leaf.not_before + CLOCK_SKEW + timing.spread;
    // An hour after the expiration, for clients whose clock is behind.
    let is_valid = |(_, facts): &&CaCertificate| facts.not_after + CLOCK_SKEW > now;
    let previous: Vec<_> = cas.previous.iter().filter(is_valid).filter(|_| !is_requested).cloned().collect();
    if !is_requested && previous.len() == cas.previous.len() {
        return None;
    }
    let reason = if is_requested { "a request to drop earlier CAs" } else { "an earlier CA has expired" };
    let cas = Cas { signing: cas.signing.clone(), next: cas.next.clone(), previous };
    let cross = still_trusted(&issued.cross, &cas);
    let leaf = certificate::chain(issued.cert.as_bytes()).ok()?.first().map(certificate::pem)?;
    let kept = Issued { ca_cert: cas.bundle(), cert: leaf + &cross, cross, ..issued.clone() };
    Some(Change { fulfils: is_requested, ..Change::new(kept, reason) })
}

/// The cross-signed CAs whose issuer is still trusted.
fn still_trusted(cross: &str, cas: &Cas) -> String {
    let is_trusted = |der: &CertificateDer<'_>| {
        let issuer = certificate::facts(der).ok().map(|facts| facts.issuer);
        issuer.is_some_and(|issuer| cas.previous.iter().any(|(_, ca)| ca.subject == issuer))
    };
    let chain = certificate::chain(cross.as_bytes()).unwrap_or_default();
    chain.iter().filter(|der| is_trusted(der)).map(certificate::pem).collect()
}

fn ca_certificate(pem: &str) -> Option<CaCertificate> {
    let der = certificate::chain(pem.as_bytes()).ok()?.into_iter().next()?;
    let facts = certificate::facts(&der).ok()?;
    Some((der, facts))
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use rustls::client::WebPkiServerVerifier;
    use rustls::client::danger::ServerCertVerifier as _;
    use rustls_pki_types::{ServerName, UnixTime};
    use time::Duration;

    use super::*;
    use crate::server::tls::Certificate;

    const NOW: OffsetDateTime = time::macros::datetime!(2026-11-21 10:00 UTC);
    const HOST: &str = "bootlace.ns.svc";

    fn names() -> Names {
        Names::of_service("bootlace", "ns")
    }

    fn leaf(issued: &Issued) -> Facts {
        Certificate::from_pem(issued.cert.as_bytes(), issued.key.as_bytes()).unwrap().facts
    }

    fn next(
        issued: &Issued,
        timing: &Timing,
        now: OffsetDateTime,
        published: Published,
        request: Option<RotationRequest>,
    ) -> Option<Change> {
        let names = names();
        step(issued, &leaf(issued), RotationContext { names: &names, now, timing, published, request })
            .unwrap()
    }

    /// Whether a client that trusts `roots`, at the time `now`, accepts `cert` with its chain.
    fn trusts(roots: &str, cert: &str, now: OffsetDateTime) -> Result<(), String> {
        let mut store = rustls::RootCertStore::empty();
        for root in certificate::chain(roots.as_bytes()).unwrap() {
            store.add(root).unwrap();
        }
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let verifier = WebPkiServerVerifier::builder_with_provider(store.into(), provider).build().unwrap();
        let chain = certificate::chain(cert.as_bytes()).unwrap();
        let (leaf, rest) = chain.split_first().unwrap();
        let host = ServerName::try_from(HOST).unwrap();
        let now = UnixTime::since_unix_epoch(Duration::seconds(now.unix_timestamp()).unsigned_abs());
        verifier.verify_server_cert(leaf, rest, &host, &[], now).map(drop).map_err(|error| error.to_string())
    }

    fn count(pem: &str) -> usize {
        certificate::chain(pem.as_bytes()).map_or(0, |chain| chain.len())
    }

    /// Simulates a Secret over many years, and all its clients.
    struct Years {
        timing: Timing,
        issued: Issued,
        /// The certificate that the pods of the store have mounted, one step late.
        mounted: String,
        /// The CAs that the API server trusts, one step late.
        trusted: String,
        /// The CAs that pods trust, and the earliest expiration of these CAs.
        pods: Vec<(String, OffsetDateTime)>,
        announced: usize,
        promoted: usize,
        leaves: usize,
        turns: usize,
    }

    impl Years {
        fn new(lifetimes: Lifetimes) -> Self {
            let issued = authority::issue(&names(), NOW, lifetimes).unwrap();
            Self {
                timing: Timing { lifetimes, ..Timing::default() },
                mounted: issued.cert.clone(),
                trusted: issued.ca_cert.clone(),
                issued,
                pods: Vec::new(),
                announced: 0,
                promoted: 0,
                leaves: 0,
                turns: 0,
            }
        }

        fn turn(&mut self, now: OffsetDateTime, request: Option<RotationRequest>) {
            let everywhere = self.trusted == self.issued.ca_cert;
            let published = if everywhere { Published::Everywhere } else { Published::NotYet };
            let (before, trusted, mounted) =
                (self.issued.clone(), self.issued.ca_cert.clone(), self.issued.cert.clone());
            if let Some(change) = next(&self.issued, &self.timing, now, published, request) {
                self.issued = change.issued.unwrap();
                self.announced += usize::from(self.issued.next.is_some() && before.next.is_none());
                self.promoted += usize::from(self.issued.ca_key != before.ca_key);
                self.leaves += usize::from(self.issued.key != before.key);
            }
            // Verification is slow, and nothing changes in most turns.
            self.turns += 1;
            if before != self.issued || self.trusted != trusted || self.turns.is_multiple_of(30) {
                self.verify(now);
            }
            (self.trusted, self.mounted) = (trusted, mounted);
            let expires = |der: &CertificateDer<'_>| certificate::facts(der).unwrap().not_after;
            let bundle = certificate::chain(self.issued.ca_cert.as_bytes()).unwrap();
            // The bundle can contain a CA that has expired, for clients whose clock is behind.
            let end = bundle.iter().map(expires).filter(|end| *end > now).min().unwrap();
            self.pods.retain(|(_, end)| *end > now);
            if self.pods.last().is_none_or(|(last, _)| *last != self.issued.ca_cert) {
                self.pods.push((self.issued.ca_cert.clone(), end));
            }
        }

        /// Verifies the certificates as all clients do, with a clock that is an hour behind, correct, or an hour ahead.
        fn verify(&self, now: OffsetDateTime) {
            for skew in [-CLOCK_SKEW, Duration::ZERO, CLOCK_SKEW] {
                let clock = now + skew;
                trusts(&self.trusted, &self.issued.cert, clock)
                    .unwrap_or_else(|error| panic!("the API server at {now} ({skew}): {error}"));
                for (bundle, _) in self.pods.iter().filter(|(_, end)| *end > clock) {
                    for cert in [&self.mounted, &self.issued.cert] {
                        trusts(bundle, cert, clock)
                            .unwrap_or_else(|error| panic!("a pod at {now} ({skew}): {error}"));
                    }
                }
            }
            assert!(
                count(&self.issued.ca_cert) <= MAX_PREVIOUS + 2 && count(&self.issued.cross) <= MAX_PREVIOUS
            );
            let ca = ca_certificate(&self.issued.ca_cert).unwrap().1;
            assert!(leaf(&self.issued).not_after <= ca.not_after, "a leaf outlives its CA");
        }
    }

    #[test]
    fn all_clients_trust_the_certificate_for_thirty_years() {
        let mut years = Years::new(Lifetimes::default());
        for day in 0..30 * 365 {
            years.turn(NOW + Duration::days(day), None);
        }
        // 6 years and 8 months each, and 8 months.
        assert_eq!((years.announced, years.promoted), (4, 4));
        assert!((44..=49).contains(&years.leaves), "{}", years.leaves);
    }

    #[test]
    fn all_clients_trust_certificates_with_short_lifetimes_and_requests() {
        let lifetimes = Lifetimes { ca: Duration::days(9), serving: Duration::days(3) };
        let mut years = Years::new(lifetimes);
        for hour in 0..24 * 30 {
            let request = match hour % 100 {
                20 => Some(RotationRequest::Certificate),
                50..=51 => Some(RotationRequest::Ca),
                _ => None,
            };
            years.turn(NOW + Duration::hours(hour), request);
        }
        assert!(years.promoted >= 7 && years.leaves >= 14, "{} {}", years.promoted, years.leaves);
        // A leaf that expires together with its CA is renewed with it.
        let mut years = Years::new(Lifetimes { ca: Duration::days(9), serving: Duration::days(90) });
        for hour in 0..24 * 30 {
            years.turn(NOW + Duration::hours(hour), None);
        }
        assert_eq!((years.promoted, years.leaves), (4, 4));
    }

    #[test]
    fn a_new_ca_signs_when_all_api_servers_trust_it_and_not_before() {
        let timing = Timing::default();
        let old = authority::issue(&names(), NOW, timing.lifetimes).unwrap();
        let requested = Some(RotationRequest::Ca);
        let change = next(&old, &timing, NOW, Published::Everywhere, requested).unwrap();
        assert!(!change.fulfils, "the request stays until the new CA signs");
        let announced = change.issued.unwrap();
        assert_eq!(announced.ca_cert, old.ca_cert.clone() + &announced.next.as_ref().unwrap().cert);
        assert!(announced.cert == old.cert && announced.ca_key == old.ca_key);
        assert!(next(&announced, &timing, NOW, Published::NotYet, requested).is_none());
        assert!(next(&announced, &timing, NOW, Published::Unknown, requested).is_none());
        let day = NOW + Duration::DAY;
        assert!(next(&announced, &timing, day, Published::NotYet, requested).is_none());
        let waited = next(&announced, &timing, day, Published::Unknown, requested).unwrap();
        assert!(waited.reason.contains("announcement period"), "{}", waited.reason);
        let change = next(&announced, &timing, NOW, Published::Everywhere, requested).unwrap();
        assert!(change.fulfils);
        let promoted = change.issued.unwrap();
        assert!(promoted.next.is_none() && count(&promoted.ca_cert) == 2 && count(&promoted.cert) == 2);
        let only_old = &old.ca_cert;
        trusts(only_old, &promoted.cert, NOW).unwrap();
        // Without the chain, they would not trust it.
        let alone = certificate::pem(&certificate::chain(promoted.cert.as_bytes()).unwrap()[0]);
        trusts(only_old, &alone, NOW).unwrap_err();
        // Dropped on request, but only after mounted Secrets were updated.
        let drop = Some(RotationRequest::DropOldCas);
        assert!(next(&promoted, &timing, NOW + Duration::minutes(3), Published::Everywhere, drop).is_none());
        let later = NOW + Duration::minutes(4);
        let dropped = next(&promoted, &timing, later, Published::Everywhere, drop).unwrap();
        assert!(dropped.fulfils);
        let dropped = dropped.issued.unwrap();
        assert!(dropped.cross.is_empty() && count(&dropped.cert) == 1 && count(&dropped.ca_cert) == 1);
        assert_eq!(dropped.key, promoted.key);
        trusts(only_old, &dropped.cert, NOW).unwrap_err();
        trusts(&promoted.ca_cert, &dropped.cert, NOW).unwrap();
    }

    /// The previous version issued a single CA, which may only sign serving certificates.
    #[test]
    fn the_certificates_of_the_previous_version_are_renewed_without_an_interruption() {
        let timing = Timing::default();
        let mut params = rcgen::CertificateParams::default();
        params.distinguished_name.push(rcgen::DnType::CommonName, "bootlace CA 1795255200");
        params.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Constrained(0));
        params.key_usages = vec![rcgen::KeyUsagePurpose::KeyCertSign, rcgen::KeyUsagePurpose::CrlSign];
        params.not_before = NOW - CLOCK_SKEW;
        params.not_after = NOW + Duration::days(3652);
        let key = rcgen::KeyPair::generate().unwrap();
        let cert = params.self_signed(&key).unwrap().pem();
        let ca = Ca { cert, key: key.serialize_pem() };
        let old = authority::under(ca, &names(), NOW, timing.lifetimes).unwrap();
        assert_eq!(crate::server::tls::secret_state::data(&old).len(), 4);
        let mut years = Years { issued: old.clone(), ..Years::new(timing.lifetimes) };
        (years.trusted, years.mounted) = (old.ca_cert.clone(), old.cert);
        for day in 0..3600 {
            years.turn(NOW + Duration::days(day), None);
        }
        assert_eq!(years.promoted, 1);
        assert!(years.pods.iter().any(|(bundle, _)| *bundle == old.ca_cert), "no pod only trusts the old CA");
    }

    #[test]
    fn a_ca_that_can_no_longer_sign_is_replaced_by_the_announced_one() {
        let timing = Timing::default();
        let mut old = authority::issue(&names(), NOW, timing.lifetimes).unwrap();
        old.ca_key.clear();
        assert!(next(&old, &timing, NOW, Published::Everywhere, None).is_none(), "nothing is due");
        let later = NOW + Duration::days(250);
        let announced = next(&old, &timing, later, Published::Everywhere, None).unwrap();
        assert!(announced.reason.contains("can no longer sign"), "{}", announced.reason);
        let announced = announced.issued.unwrap();
        assert!(next(&announced, &timing, later, Published::NotYet, None).is_none());
        let promoted = next(&announced, &timing, later, Published::Everywhere, None).unwrap().issued.unwrap();
        trusts(&announced.ca_cert, &promoted.cert, later).unwrap();
        // The webhook did not run until the old CA had expired.
        let names = names();
        let long_after = NOW + Duration::days(3653);
        let published = Published::NotYet;
        let context =
            RotationContext { names: &names, now: long_after, timing: &timing, published, request: None };
        let rescued = rescue(&announced, context).unwrap().issued.unwrap();
        trusts(&announced.ca_cert, &rescued.cert, long_after).unwrap();
        assert!(rescue(&old, context).is_none());
    }

    #[test]
    fn requests_are_parsed() {
        for request in [RotationRequest::Certificate, RotationRequest::Ca, RotationRequest::DropOldCas] {
            assert_eq!(RotationRequest::parse(request.as_str()), Some(request));
            let value = clap::ValueEnum::to_possible_value(&request).unwrap();
            assert_eq!(value.get_name(), request.as_str());
        }
        assert_eq!(RotationRequest::parse("everything"), None);
    }
}
