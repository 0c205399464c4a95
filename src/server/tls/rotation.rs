//! When certificates and their CA are renewed, and in which order. Pure: the clock is an argument.
//!
//! A certificate is renewed when two thirds of its life are over. So is a CA, in steps, each of which is one write of the
//! Secret:
//!
//! 1. *Announced*: the new CA is trusted beside the old one, which still signs. Everybody who is told whom to trust is told
//!    of both.
//! 2. *In use*: once the API server has been told, the new CA signs. The serving certificate comes with the new CA signed by
//!    the old one, for clients that were told of the old one alone: pods that were running before.
//! 3. *Dropped*: the old CA is no longer trusted, once it has ended, or when somebody asks for it.

use std::time::Duration;

use rustls_pki_types::CertificateDer;
use time::OffsetDateTime;

use super::authority::{self, CLOCK_SKEW, Ca, IssueError, Issued, Lifetimes};
use super::certificate::{self, Facts};
use super::{Names, files};

/// The times that a rotation keeps to.
#[derive(Debug, Clone, Copy)]
pub struct Timing {
    /// How long certificates live.
    pub lifetimes: Lifetimes,
    /// How often is looked whether something is due, and a failed write is tried again.
    pub look: Duration,
    /// How long a new CA has to be in every webhook's caBundle before it signs. API servers learn of a changed
    /// configuration by a watch, which takes a moment, and some of several may lag.
    pub settle: Duration,
    /// How long a CA has to be in use before the one before it is dropped on request: until then mounted Secrets may still
    /// hold certificates of the old one. The kubelet takes up to two minutes, and [`files::EVERY`] comes on top.
    pub spread: Duration,
}

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

/// How long a new CA is announced before it signs where nobody can see who trusts it: somebody has to pass it on by hand.
const UNSEEN: time::Duration = time::Duration::DAY;

/// CAs that are kept beside the one that signs and the next: more happen only where somebody asks for one change after the
/// other, and every task pod's spec holds them all.
const MAX_PREVIOUS: usize = 3;

/// What somebody asks for, by [`bootlace_core::names::ANNOTATION_ROTATE`] on the Secret.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum RotationRequest {
    /// A new serving certificate, under the CA that there is.
    Certificate,
    /// A new CA, and a serving certificate under it.
    Ca,
    /// Earlier CAs are no longer trusted. Pods that were told of them alone can no longer reach the store.
    DropOldCas,
}

impl RotationRequest {
    /// As the annotation says it.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Certificate => "certificate",
            Self::Ca => "ca",
            Self::DropOldCas => "drop-old-cas",
        }
    }

    /// What the annotation asks for.
    #[must_use]
    pub fn read(text: &str) -> Option<Self> {
        [Self::Certificate, Self::Ca, Self::DropOldCas].into_iter().find(|one| one.as_str() == text)
    }
}

/// Whether those who verify the serving certificate trust all CAs of the Secret.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Published {
    /// They do.
    Everywhere,
    /// Some do not yet.
    NotYet,
    /// Nobody looks: caBundle is somebody else's to set.
    Unseen,
}

/// What a step makes of the Secret.
pub struct Change {
    /// The new content; nothing where everything is to be made anew.
    pub issued: Option<Issued>,
    /// Why.
    pub because: String,
    /// Whether this is what was asked for, so that the request is taken off.
    pub fulfils: bool,
}

impl Change {
    fn to(issued: Issued, because: &str) -> Self {
        Self { issued: Some(issued), because: because.to_owned(), fulfils: false }
    }
}

/// What is known of those who look at the Secret, and what they want.
#[derive(Debug, Clone, Copy)]
pub struct RotationContext<'a> {
    /// What the certificate has to be for.
    pub names: &'a Names,
    /// The time.
    pub now: OffsetDateTime,
    /// The times to keep to.
    pub timing: &'a Timing,
    /// Who trusts the CAs.
    pub published: Published,
    /// What was asked for.
    pub request: Option<RotationRequest>,
}

/// When two thirds of a certificate's life are over.
#[must_use]
pub fn is_due(facts: &Facts, now: OffsetDateTime) -> bool {
    let begun = facts.not_before + CLOCK_SKEW;
    now >= begun + (facts.not_after - begun) * 2 / 3
}

/// A CA's certificate, and what it says.
type Known = (CertificateDer<'static>, Facts);

/// The CAs of a Secret.
struct Cas {
    signing: Known,
    next: Option<(Known, Ca)>,
    /// The newest first.
    previous: Vec<Known>,
}

impl Cas {
    /// None where the first one cannot be read.
    fn of(issued: &Issued) -> Option<Self> {
        let chain = certificate::chain(issued.ca_cert.as_bytes()).ok()?;
        let mut all =
            chain.into_iter().filter_map(|der| certificate::facts(&der).ok().map(|facts| (der, facts)));
        let signing = all.next()?;
        let mut next = issued.next.as_ref().and_then(|next| Some((known(&next.cert)?, next.clone())));
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

    /// All that are to be trusted, as PEM.
    fn bundle(&self) -> String {
        let next = self.next.iter().map(|(next, _)| next);
        let all = std::iter::once(&self.signing).chain(next).chain(&self.previous);
        all.map(|(der, _)| certificate::pem(der)).collect()
    }
}

/// The next step of a Secret whose serving certificate is good; nothing where none is due.
///
/// # Errors
/// Where a certificate is due and cannot be made.
pub fn step(
    issued: &Issued,
    leaf: &Facts,
    around: RotationContext<'_>,
) -> Result<Option<Change>, IssueError> {
    let RotationContext { names, now, timing, request, .. } = around;
    let Some(cas) = Cas::of(issued) else { return Ok(None) };
    if cas.next.is_some() {
        if let Some(because) = promotion_because(&cas, around) {
            let promoted = promoted(issued, &cas, names, now, timing.lifetimes)?;
            let fulfils = request == Some(RotationRequest::Ca);
            return Ok(Some(Change { fulfils, ..Change::to(promoted, because) }));
        }
    } else if let Some(because) = announcement_because(issued, &cas, leaf, around) {
        return announced(issued, cas, now, timing.lifetimes).map(|issued| Some(Change::to(issued, because)));
    }
    if let Some(change) = dropped(issued, &cas, leaf, around) {
        return Ok(Some(change));
    }
    let is_asked = request == Some(RotationRequest::Certificate);
    // One that ends with its CA cannot be renewed to live longer, and the CA is renewed before it ends.
    let is_due = is_due(leaf, now) && leaf.not_after < cas.signing.1.not_after;
    if is_asked || is_due {
        let because =
            if is_asked { "it was asked for" } else { "two thirds of its certificate's life are over" };
        return match authority::reissue(issued, names, now, timing.lifetimes) {
            Ok(renewed) => Ok(Some(Change { fulfils: is_asked, ..Change::to(renewed, because) })),
            // It comes with the next CA.
            Err(IssueError::Ca(_) | IssueError::Mismatch(_)) if cas.next.is_some() => Ok(None),
            Err(error) => Err(error),
        };
    }
    Ok(None)
}

/// Makes the announced CA the one that signs, for a Secret whose signing CA cannot be used any more; nothing where none was
/// announced.
#[must_use]
pub fn rescue(issued: &Issued, around: RotationContext<'_>) -> Option<Change> {
    let cas = Cas::of(issued)?;
    let ((_, facts), _) = cas.next.as_ref()?;
    if facts.not_after <= around.now {
        return None;
    }
    let promoted = promoted(issued, &cas, around.names, around.now, around.timing.lifetimes).ok()?;
    Some(Change::to(promoted, "its CA cannot be used any more, and the next one was announced"))
}

fn announcement_because(
    issued: &Issued,
    cas: &Cas,
    leaf: &Facts,
    around: RotationContext<'_>,
) -> Option<&'static str> {
    if around.request == Some(RotationRequest::Ca) {
        return Some("it was asked for");
    }
    if is_due(&cas.signing.1, around.now) {
        return Some("two thirds of its CA's life are over");
    }
    let cannot_sign =
        || authority::reissue(issued, around.names, around.now, around.timing.lifetimes).is_err();
    (is_due(leaf, around.now) && cannot_sign()).then_some("its CA can sign no certificate any more")
}

fn announced(
    issued: &Issued,
    mut cas: Cas,
    now: OffsetDateTime,
    lifetimes: Lifetimes,
) -> Result<Issued, IssueError> {
    let next = authority::ca(now, lifetimes)?;
    cas.next = known(&next.cert).map(|known| (known, next.clone()));
    // The one that signs will be one of them.
    cas.previous.truncate(MAX_PREVIOUS - 1);
    Ok(Issued { ca_cert: cas.bundle(), next: Some(next), ..issued.clone() })
}

fn promotion_because(cas: &Cas, around: RotationContext<'_>) -> Option<&'static str> {
    let RotationContext { now, published, .. } = around;
    let ((_, next), _) = cas.next.as_ref()?;
    if next.not_after <= now {
        return None;
    }
    let begun = next.not_before + CLOCK_SKEW;
    let has_waited = now >= begun + UNSEEN.min((next.not_after - begun) / 12);
    match published {
        Published::Everywhere => Some("its next CA is trusted everywhere"),
        Published::Unseen if has_waited => Some("its next CA was announced long enough ago"),
        Published::Unseen | Published::NotYet => None,
    }
}

fn promoted(
    issued: &Issued,
    cas: &Cas,
    names: &Names,
    now: OffsetDateTime,
    lifetimes: Lifetimes,
) -> Result<Issued, IssueError> {
    let Some((next, ca)) = cas.next.clone() else { return Ok(issued.clone()) };
    // Where the old CA cannot sign any more, those who were told of it alone are lost. All others go on.
    let cross = authority::cross(&ca, issued).unwrap_or_default() + &issued.cross;
    let previous = std::iter::once(&cas.signing).chain(&cas.previous).take(MAX_PREVIOUS).cloned().collect();
    let cas = Cas { signing: next, next: None, previous };
    let promoted = Issued {
        ca_cert: cas.bundle(),
        ca_key: ca.key,
        next: None,
        cross: still_of_use(&cross, &cas),
        ..issued.clone()
    };
    authority::reissue(&promoted, names, now, lifetimes)
}

/// Without CAs that have ended, or, where that is asked for, without any but the one that signs and the next.
fn dropped(issued: &Issued, cas: &Cas, leaf: &Facts, around: RotationContext<'_>) -> Option<Change> {
    let RotationContext { now, timing, request, .. } = around;
    let is_asked =
        request == Some(RotationRequest::DropOldCas) && now >= leaf.not_before + CLOCK_SKEW + timing.spread;
    // An hour later than it says, for those whose clock is behind.
    let lives = |(_, facts): &&Known| facts.not_after + CLOCK_SKEW > now;
    let previous: Vec<_> = cas.previous.iter().filter(lives).filter(|_| !is_asked).cloned().collect();
    if !is_asked && previous.len() == cas.previous.len() {
        return None;
    }
    let because = if is_asked { "earlier CAs were asked to be dropped" } else { "an earlier CA has ended" };
    let cas = Cas { signing: cas.signing.clone(), next: cas.next.clone(), previous };
    let cross = still_of_use(&issued.cross, &cas);
    let leaf = certificate::chain(issued.cert.as_bytes()).ok()?.first().map(certificate::pem)?;
    let kept = Issued { ca_cert: cas.bundle(), cert: leaf + &cross, cross, ..issued.clone() };
    Some(Change { fulfils: is_asked, ..Change::to(kept, because) })
}

/// Those of the signed CAs whose signer is still trusted.
fn still_of_use(cross: &str, cas: &Cas) -> String {
    let trusted = |der: &CertificateDer<'_>| {
        let issuer = certificate::facts(der).ok().map(|facts| facts.issuer);
        issuer.is_some_and(|issuer| cas.previous.iter().any(|(_, ca)| ca.subject == issuer))
    };
    let chain = certificate::chain(cross.as_bytes()).unwrap_or_default();
    chain.iter().filter(|der| trusted(der)).map(certificate::pem).collect()
}

fn known(pem: &str) -> Option<Known> {
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

    /// Whether a client that trusts `roots`, and whose clock says `now`, takes `cert` with its chain.
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

    /// A Secret over many years, and everybody who looks at it.
    struct Years {
        timing: Timing,
        issued: Issued,
        /// What the store's pods have mounted: a step behind.
        mounted: String,
        /// What the API server trusts: a step behind.
        trusted: String,
        /// What pods were told when, and until when the oldest CA in it holds.
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
            // Each verification takes a while, and nothing changes in most turns.
            self.turns += 1;
            if before != self.issued || self.trusted != trusted || self.turns.is_multiple_of(30) {
                self.look(now);
            }
            (self.trusted, self.mounted) = (trusted, mounted);
            let ends = |der: &CertificateDer<'_>| certificate::facts(der).unwrap().not_after;
            let told = certificate::chain(self.issued.ca_cert.as_bytes()).unwrap();
            // A CA that has ended already is in the bundle for those whose clock is behind.
            let end = told.iter().map(ends).filter(|end| *end > now).min().unwrap();
            self.pods.retain(|(_, end)| *end > now);
            if self.pods.last().is_none_or(|(last, _)| *last != self.issued.ca_cert) {
                self.pods.push((self.issued.ca_cert.clone(), end));
            }
        }

        /// Everybody who calls now, with a clock that is an hour behind, right, or an hour ahead.
        fn look(&self, now: OffsetDateTime) {
            for skew in [-CLOCK_SKEW, Duration::ZERO, CLOCK_SKEW] {
                let clock = now + skew;
                trusts(&self.trusted, &self.issued.cert, clock)
                    .unwrap_or_else(|error| panic!("the API server at {now} ({skew}): {error}"));
                for (told, _) in self.pods.iter().filter(|(_, end)| *end > clock) {
                    for cert in [&self.mounted, &self.issued.cert] {
                        trusts(told, cert, clock)
                            .unwrap_or_else(|error| panic!("a pod at {now} ({skew}): {error}"));
                    }
                }
            }
            assert!(
                count(&self.issued.ca_cert) <= MAX_PREVIOUS + 2 && count(&self.issued.cross) <= MAX_PREVIOUS
            );
            let ca = known(&self.issued.ca_cert).unwrap().1;
            assert!(leaf(&self.issued).not_after <= ca.not_after, "a leaf outlives its CA");
        }
    }

    #[test]
    fn everybody_trusts_what_is_served_for_thirty_years() {
        let mut years = Years::new(Lifetimes::default());
        for day in 0..30 * 365 {
            years.turn(NOW + Duration::days(day), None);
        }
        // 6 years and 8 months each, and 8 months.
        assert_eq!((years.announced, years.promoted), (4, 4));
        assert!((44..=49).contains(&years.leaves), "{}", years.leaves);
    }

    #[test]
    fn short_lives_and_requests_on_top_change_nothing_of_that() {
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
        // A leaf that lives as long as its CA is renewed with it.
        let mut years = Years::new(Lifetimes { ca: Duration::days(9), serving: Duration::days(90) });
        for hour in 0..24 * 30 {
            years.turn(NOW + Duration::hours(hour), None);
        }
        assert_eq!((years.promoted, years.leaves), (4, 4));
    }

    #[test]
    fn a_new_ca_signs_once_it_is_trusted_everywhere_and_not_before() {
        let timing = Timing::default();
        let old = authority::issue(&names(), NOW, timing.lifetimes).unwrap();
        let asked = Some(RotationRequest::Ca);
        let change = next(&old, &timing, NOW, Published::Everywhere, asked).unwrap();
        assert!(!change.fulfils, "the request stays until the new CA signs");
        let announced = change.issued.unwrap();
        assert_eq!(announced.ca_cert, old.ca_cert.clone() + &announced.next.as_ref().unwrap().cert);
        assert!(announced.cert == old.cert && announced.ca_key == old.ca_key);
        assert!(next(&announced, &timing, NOW, Published::NotYet, asked).is_none());
        assert!(next(&announced, &timing, NOW, Published::Unseen, asked).is_none());
        let day = NOW + Duration::DAY;
        assert!(next(&announced, &timing, day, Published::NotYet, asked).is_none());
        let unseen = next(&announced, &timing, day, Published::Unseen, asked).unwrap();
        assert!(unseen.because.contains("long enough ago"), "{}", unseen.because);
        let change = next(&announced, &timing, NOW, Published::Everywhere, asked).unwrap();
        assert!(change.fulfils);
        let promoted = change.issued.unwrap();
        assert!(promoted.next.is_none() && count(&promoted.ca_cert) == 2 && count(&promoted.cert) == 2);
        let only_old = &old.ca_cert;
        trusts(only_old, &promoted.cert, NOW).unwrap();
        // Without the chain they would not.
        let alone = certificate::pem(&certificate::chain(promoted.cert.as_bytes()).unwrap()[0]);
        trusts(only_old, &alone, NOW).unwrap_err();
        // Dropped on request: only once mounted Secrets have come after.
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

    /// Written by the version before: one CA, which may sign serving certificates only, and nothing else.
    #[test]
    fn what_the_version_before_made_is_renewed_without_a_break() {
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
        assert!(
            years.pods.iter().any(|(told, _)| *told == old.ca_cert),
            "nobody was told of the old one alone"
        );
    }

    #[test]
    fn a_ca_that_cannot_sign_any_more_is_replaced_by_the_announced_one() {
        let timing = Timing::default();
        let mut old = authority::issue(&names(), NOW, timing.lifetimes).unwrap();
        old.ca_key.clear();
        assert!(next(&old, &timing, NOW, Published::Everywhere, None).is_none(), "nothing is due");
        let later = NOW + Duration::days(250);
        let announced = next(&old, &timing, later, Published::Everywhere, None).unwrap();
        assert!(announced.because.contains("can sign no certificate"), "{}", announced.because);
        let announced = announced.issued.unwrap();
        assert!(next(&announced, &timing, later, Published::NotYet, None).is_none());
        let promoted = next(&announced, &timing, later, Published::Everywhere, None).unwrap().issued.unwrap();
        trusts(&announced.ca_cert, &promoted.cert, later).unwrap();
        // The webhook was away until the old CA had ended.
        let names = names();
        let long_after = NOW + Duration::days(3653);
        let published = Published::NotYet;
        let around =
            RotationContext { names: &names, now: long_after, timing: &timing, published, request: None };
        let rescued = rescue(&announced, around).unwrap().issued.unwrap();
        trusts(&announced.ca_cert, &rescued.cert, long_after).unwrap();
        assert!(rescue(&old, around).is_none());
    }

    #[test]
    fn requests_are_read_as_they_are_written() {
        for request in [RotationRequest::Certificate, RotationRequest::Ca, RotationRequest::DropOldCas] {
            assert_eq!(RotationRequest::read(request.as_str()), Some(request));
            let value = clap::ValueEnum::to_possible_value(&request).unwrap();
            assert_eq!(value.get_name(), request.as_str());
        }
        assert_eq!(RotationRequest::read("everything"), None);
    }
}
