//! A review: from the body of the request to the response, and the data for metrics and logs.

use std::collections::BTreeMap;
use std::fmt;

use super::decide::{UNEXPECTED_LOOKUP, decide, internal_error};
use super::decision::{Decision, Injection, LookupResults, PendingLookup, Reordering};
use crate::code::Code;
use crate::input::ResolvedInput;
use crate::plan::{AdmissionContext, PreparedProfiles};
use crate::review::{self, MalformedReview, ParsedReview, Refusal, ReviewRequest, ReviewResponse};
use crate::selection::SkipReason;
use crate::shorten::shorten;

/// Outcome of a review, for metrics and logs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ReviewOutcome {
    /// The pod is injected.
    Injected,
    /// The pod was already injected, and its init containers are reordered.
    Reordered,
    /// The pod was already injected, and is signed.
    Signed,
    /// The pod does not change, for this reason.
    Skipped(SkipReason),
    /// The pod is refused.
    Refused,
    /// The review is not about the creation of a pod.
    NotForUs,
    /// The review cannot be parsed.
    Malformed,
}

impl ReviewOutcome {
    /// The outcome as the label of a metric.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Injected => "injected",
            Self::Reordered => "reordered",
            Self::Signed => "signed",
            Self::Skipped(_) => "skipped",
            Self::Refused => "refused",
            Self::NotForUs => "not_for_us",
            Self::Malformed => "malformed",
        }
    }

    /// The reason as the label of a metric: why a pod was skipped, else empty.
    #[must_use]
    pub fn reason(self) -> &'static str {
        match self {
            Self::Skipped(skip) => skip.as_str(),
            _ => "",
        }
    }
}

impl fmt::Display for ReviewOutcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// A review with its response, and the data for metrics and logs.
#[derive(Debug, Clone, PartialEq)]
pub struct Answered {
    /// The response.
    pub response: ReviewResponse,
    /// The outcome.
    pub outcome: ReviewOutcome,
    /// The pod of the review; empty if it cannot be parsed.
    pub subject: Subject,
}

/// The pod of a review, for logs.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Subject {
    /// The namespace of the request.
    pub namespace: String,
    /// The name of the pod, or the `generateName` from which the API server generates it.
    pub pod: String,
    /// The profile that the pod boots with, or for which it was refused; `None` if the pod does not change or
    /// there is no such profile.
    pub profile: Option<String>,
}

/// Reviews a request: `body` is the body that the API server sent. The response is well-formed for any input.
/// Lookups are not available.
#[must_use]
pub fn review(body: &[u8], profiles: &PreparedProfiles) -> Answered {
    review_with(body, profiles, &LookupResults::default()).unwrap_or_else(|_| {
        let response = ReviewResponse::refuse(String::new(), internal_error(&UNEXPECTED_LOOKUP));
        Answered { response, outcome: ReviewOutcome::Refused, subject: Subject::default() }
    })
}

/// Like [`review()`], with lookups: `found` contains the results for this review so far.
///
/// # Errors
/// The lookup that is required. When its result is in `found`, the next call returns a response or requires
/// another lookup.
pub fn review_with(
    body: &[u8],
    profiles: &PreparedProfiles,
    found: &LookupResults,
) -> Result<Answered, Box<PendingLookup>> {
    let (response, outcome, subject) = match review::parse(body) {
        Ok(ParsedReview::Pod(mut request)) => {
            let mut subject = subject(&mut request);
            let ReviewRequest { uid, object, namespace: _ } = request;
            let origin = AdmissionContext { namespace: &subject.namespace, uid: Some(&uid) };
            let decision = decide(object, origin, profiles, found, |_, _| ())?;
            let (response, outcome, profile) = answer_pod(uid, decision);
            subject.profile = profile;
            (response, outcome, subject)
        }
        Ok(ParsedReview::NotForUs { uid, warning }) => {
            let response = ReviewResponse { uid, warnings: vec![warning], ..ReviewResponse::default() };
            (response, ReviewOutcome::NotForUs, Subject::default())
        }
        Err(MalformedReview { uid, message }) => {
            let response = ReviewResponse::refuse(uid, Refusal::new(Code::ReviewMalformed, &message));
            (response, ReviewOutcome::Malformed, Subject::default())
        }
    };
    Ok(Answered { response, outcome, subject })
}

/// Maximum characters of the name of an object, which the API server only validates after admission.
const MAX_NAME_CHARS: usize = 253;

fn subject(request: &mut ReviewRequest<'_>) -> Subject {
    let name = |field| {
        let name = request.object.as_object()?.get("metadata")?.as_object()?.get(field)?.as_str()?;
        (!name.is_empty()).then(|| name.to_owned())
    };
    let pod = name("name").or_else(|| name("generateName")).unwrap_or_default();
    let pod = pod.chars().take(MAX_NAME_CHARS).collect();
    Subject { namespace: std::mem::take(&mut request.namespace), pod, profile: None }
}

fn answer_pod(uid: String, decision: Decision<()>) -> (ReviewResponse, ReviewOutcome, Option<String>) {
    match decision {
        // The pod would wait forever for an object with such a name.
        Decision::Inject(injection) if !injection.unresolved.is_empty() => {
            let message =
                format!("bootlace: lookups are not available now: {}", injection.unresolved.join("; "));
            let refusal = Refusal::new(Code::LookupUnavailable, &message);
            (ReviewResponse::refuse(uid, refusal), ReviewOutcome::Refused, Some(injection.profile.name))
        }
        Decision::Inject(injection) => {
            let Injection { profile, overlays, warnings, patch, reason, named_by, resolved, .. } = *injection;
            let mut audit = BTreeMap::from([
                ("profile", format!("{} generation {}: {named_by}", profile.name, profile.generation)),
                ("reason", reason.to_string()),
            ]);
            if !overlays.is_empty() {
                let names: Vec<_> = overlays.iter().map(|overlay| overlay.name.as_str()).collect();
                audit.insert("overlays", names.join(", "));
            }
            if !resolved.is_empty() {
                let resolved: Vec<_> = resolved.iter().map(ResolvedInput::to_string).collect();
                audit.insert("pipes", resolved.join(", "));
            }
            let audit = audit.into_iter().map(|(name, text)| (name, shorten(text).into_owned())).collect();
            let warnings = warnings.into_iter().map(|warning| shorten(warning).into_owned()).collect();
            let response = ReviewResponse { uid, patch, warnings, audit, refusal: None };
            (response, ReviewOutcome::Injected, Some(profile.name))
        }
        Decision::Reorder(reordering) => {
            let Reordering { behind, signed, patch, pod: () } = *reordering;
            let mut audit = BTreeMap::new();
            if signed {
                let reason = "it was already injected, and its configuration is what Bootlace would inject";
                audit.insert("signed", reason.to_owned());
            }
            if !behind.is_empty() {
                audit.insert(
                    "reordered",
                    format!("boot moved after {}, which were added later", behind.join(", ")),
                );
            }
            let outcome = if behind.is_empty() { ReviewOutcome::Signed } else { ReviewOutcome::Reordered };
            (ReviewResponse { uid, patch, audit, ..ReviewResponse::default() }, outcome, None)
        }
        Decision::Skip(skip) => {
            let audit = [("skipped", skip.to_string())].into();
            (ReviewResponse { uid, audit, ..ReviewResponse::default() }, ReviewOutcome::Skipped(skip), None)
        }
        Decision::Refuse(mut refusal) => {
            let profile = refusal.profile.take();
            (ReviewResponse::refuse(uid, refusal), ReviewOutcome::Refused, profile)
        }
    }
}
