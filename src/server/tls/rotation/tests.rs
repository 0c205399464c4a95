use std::sync::Arc;

use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::ServerCertVerifier as _;
use rustls_pki_types::{CertificateDer, ServerName, UnixTime};
use time::Duration;

use super::*;
use crate::server::tls::Certificate;
use crate::server::tls::authority::Ca;

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
    step(issued, &leaf(issued), RotationContext { names: &names, now, timing, published, request }).unwrap()
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

    /// Verifies the certificates as all clients do, with a clock that is an hour behind, correct, or an
    /// hour ahead.
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
        assert!(count(&self.issued.ca_cert) <= MAX_PREVIOUS + 2 && count(&self.issued.cross) <= MAX_PREVIOUS);
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
