//! When certificates and their CA are renewed, and in which order. Pure functions: the time is an argument.
//!
//! A certificate is renewed after two thirds of its lifetime. A CA is too, in steps, each of which is one
//! write of the Secret:
//!
//! 1. *Announced*: clients trust the new CA in addition to the old one, which still signs. All configuration
//!    for clients contains both.
//! 2. *In use*: when the API server trusts the new CA, the new CA signs. The chain of the serving certificate
//!    contains the new CA, signed by the old one, for clients that only trust the old one: pods that were
//!    running before.
//! 3. *Dropped*: the old CA is no longer trusted, when it has expired, or on request.

mod cas;
#[cfg(test)]
mod tests;

use std::time::Duration;

use time::OffsetDateTime;

use super::authority::{self, CLOCK_SKEW, IssueError, Issued, Lifetimes};
use super::certificate::{self, Facts};
use super::{Names, files};
use cas::{CaCertificate, Cas, ca_certificate};

/// The times of a rotation.
#[derive(Debug, Clone, Copy)]
pub struct Timing {
    /// The lifetimes of certificates.
    pub lifetimes: Lifetimes,
    /// How often the state is checked, and a failed write is retried.
    pub look: Duration,
    /// How long a new CA must be in the caBundle of every webhook before it signs. API servers get a changed
    /// configuration from a watch, and some of them can be late.
    pub settle: Duration,
    /// How long a CA must be in use before the previous one is dropped on request, because mounted Secrets
    /// can still contain certificates of the old one. The kubelet needs up to two minutes, and the process up
    /// to [`files::EVERY`].
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

/// How long a new CA is announced before it signs, if it is unknown which CAs the API server trusts: an
/// administrator has to distribute it.
const ANNOUNCEMENT_PERIOD: time::Duration = time::Duration::DAY;

/// How many previous CAs are kept in addition to the signing and the next one. More can only exist after
/// several requests in a row, and the spec of every task pod contains all of them.
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
    // If it expires together with its CA, a new one would not expire later, and the CA is renewed before
    // that.
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

/// Promotes the announced CA, for a Secret whose signing CA is no longer valid; `None` if no CA was
/// announced.
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
    // If the old CA can no longer sign, clients that only trust the old CA lose their trust. All others do
    // not.
    let cross = authority::cross(&ca, issued).unwrap_or_default() + &issued.cross;
    let previous = std::iter::once(&cas.signing).chain(&cas.previous).take(MAX_PREVIOUS).cloned().collect();
    let cas = Cas { signing: next, next: None, previous };
    let promoted = Issued {
        ca_cert: cas.bundle(),
        ca_key: ca.key,
        next: None,
        cross: cas.still_trusted(&cross),
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
    let cross = cas.still_trusted(&issued.cross);
    let leaf = certificate::chain(issued.cert.as_bytes()).ok()?.first().map(certificate::pem)?;
    let kept = Issued { ca_cert: cas.bundle(), cert: leaf + &cross, cross, ..issued.clone() };
    Some(Change { fulfils: is_requested, ..Change::new(kept, reason) })
}
