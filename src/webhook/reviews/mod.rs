//! `POST /mutate`: a body in, an `AdmissionReview` out, whatever the body is.

mod body;

use std::sync::Arc;
use std::time::Instant;

use axum::Router;
use axum::body::Body;
use axum::extract::{Extension, State};
use axum::http::header::{ALLOW, CONNECTION, CONTENT_TYPE, HeaderName, HeaderValue, RETRY_AFTER};
use axum::http::{Response, StatusCode};
use axum::routing::post;
use tokio::sync::Semaphore;
use tracing::{debug, error, info};

use self::body::Collected;
use super::lookups::{Lookups, ROUNDS};
use super::metrics::WebhookMetrics;
use super::profiles::ActiveProfiles;
use crate::server::memory;
use crate::server::metrics::Counted;
use crate::server::tls::Peer;
use bootlace_core::admission::{self, Answered, LookupResults, ReviewOutcome};
use bootlace_core::plan::PreparedProfiles;
use bootlace_core::shorten::shorten;

/// The path that the API server posts to.
pub const PATH: &str = "/mutate";

/// What reviews are answered from.
pub struct Reviews {
    profiles: Arc<ActiveProfiles>,
    metrics: Arc<WebhookMetrics>,
    lookups: Arc<Lookups>,
    callers: CallerPolicy,
    large: Arc<Semaphore>,
}

/// Who is answered, and how.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum CallerPolicy {
    /// Everybody.
    #[default]
    Any,
    /// Who has shown a certificate with one of these names.
    Named {
        /// The names.
        names: Vec<String>,
        /// Whether others are answered from what is known already. Nothing is looked up for them.
        others: bool,
    },
}

/// How a caller is answered.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Trust {
    /// In full.
    Full,
    /// Without looking anything up.
    NoLookups,
    /// Not at all.
    None,
}

impl CallerPolicy {
    fn trust(&self, peer: &Peer) -> Trust {
        match self {
            Self::Named { names, others } if !peer.is_one_of(names) => {
                if *others {
                    Trust::NoLookups
                } else {
                    Trust::None
                }
            }
            Self::Any | Self::Named { .. } => Trust::Full,
        }
    }
}

impl Reviews {
    /// Answers from `profiles`, as they are when a review comes, and from what `lookups` can find.
    #[must_use]
    pub fn new(
        profiles: Arc<ActiveProfiles>,
        metrics: Arc<WebhookMetrics>,
        lookups: Arc<Lookups>,
    ) -> Arc<Self> {
        let large = Arc::new(Semaphore::new(memory::LARGE_REVIEWS));
        Arc::new(Self { profiles, metrics, lookups, callers: CallerPolicy::Any, large })
    }

    /// The same, for these callers.
    #[must_use]
    pub fn for_callers(self: Arc<Self>, callers: CallerPolicy) -> Arc<Self> {
        let Self { profiles, metrics, lookups, large, .. } = &*self;
        let (profiles, metrics) = (Arc::clone(profiles), Arc::clone(metrics));
        Arc::new(Self { profiles, metrics, lookups: Arc::clone(lookups), large: Arc::clone(large), callers })
    }

    /// The routes of the review port.
    pub fn router(self: Arc<Self>) -> Router {
        Router::new().route(PATH, post(mutate).fallback(only_post)).fallback(only_mutate).with_state(self)
    }

    /// Answers a review, and looks up what that takes.
    async fn answer(
        &self,
        collected: &Collected,
        recipes: Arc<PreparedProfiles>,
        trust: Trust,
    ) -> Response<Body> {
        let started = Instant::now();
        let mut found = if trust == Trust::Full { self.lookups.begin() } else { LookupResults::default() };
        for _ in 0..ROUNDS {
            let answer = if collected.is_large() {
                let (body, recipes, found) = (collected.bytes.clone(), Arc::clone(&recipes), found.clone());
                let answer = move || admission::review_with(&body, &recipes, &found);
                // Parsing takes milliseconds here: not on a thread that others' connections wait for.
                let Ok(answer) = tokio::task::spawn_blocking(answer).await else {
                    let text = "The review could not be answered.";
                    return sentence(StatusCode::INTERNAL_SERVER_ERROR, text);
                };
                answer
            } else {
                admission::review_with(&collected.bytes, &recipes, &found)
            };
            match answer {
                Ok(answered) => return self.tell(&answered, started),
                Err(lookup) => self.lookups.add(*lookup, &mut found, &self.metrics).await,
            }
        }
        self.tell(&admission::review(&collected.bytes, &recipes), started)
    }

    /// Writes the answer, and counts and logs it.
    fn tell(&self, answered: &Answered, started: Instant) -> Response<Body> {
        let json = answered.response.to_json();
        self.metrics.answered(answered.outcome, started.elapsed());
        if let Some(profile) = &answered.subject.profile {
            self.metrics.used(profile, answered.outcome);
        }
        log(answered);
        match json {
            Ok(json) => reply(StatusCode::OK, (CONTENT_TYPE, "application/json"), json),
            Err(error) => {
                error!(%error, "an answer cannot be written as JSON: report this as a defect of Bootlace");
                sentence(StatusCode::INTERNAL_SERVER_ERROR, "The answer cannot be written as JSON.")
            }
        }
    }
}

async fn mutate(
    State(reviews): State<Arc<Reviews>>,
    peer: Option<Extension<Peer>>,
    body: Body,
) -> Response<Body> {
    let trust = reviews.callers.trust(&peer.map(|Extension(peer)| peer).unwrap_or_default());
    if trust == Trust::None {
        reviews.metrics.unknown_callers.inc();
        return sentence(
            StatusCode::FORBIDDEN,
            "Reviews are taken from the API server alone: call with its client certificate (--client-ca, --client-names).",
        );
    }
    let Some(recipes) = reviews.profiles.get() else {
        reviews.metrics.not_ready.inc();
        let mut response = sentence(
            StatusCode::SERVICE_UNAVAILABLE,
            "No BootProfiles and namespaces have been listed yet: try again.",
        );
        // The API server tries again by itself where it is told when.
        response.headers_mut().insert(RETRY_AFTER, HeaderValue::from_static("1"));
        return response;
    };
    let _in_flight = Counted::of(&reviews.metrics.in_flight);
    let collected = body::collect(body, &reviews.large).await;
    let mut response = reviews.answer(&collected, recipes, trust).await;
    if collected.endless {
        response.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
    }
    response
}

/// One line for a pod that was changed or turned away; for all others only where somebody debugs.
fn log(answered: &Answered) {
    let Answered { subject, outcome, response } = answered;
    // Anybody's to write, where the caller is not the API server.
    let (namespace, pod) = (&*shorten(&*subject.namespace), subject.pod.as_str());
    match outcome {
        ReviewOutcome::Injected => {
            let because = response.audit.get("because").map(String::as_str);
            info!(namespace, pod, because, "injected");
        }
        ReviewOutcome::Reordered => {
            let how = response.audit.get("reordered").map(String::as_str);
            info!(namespace, pod, how, "reordered");
        }
        ReviewOutcome::Signed => info!(namespace, pod, "signed"),
        ReviewOutcome::Refused | ReviewOutcome::Malformed => {
            let reason = response.refusal.as_ref().map(|refusal| refusal.message.as_str());
            info!(namespace, pod, reason, "{outcome}");
        }
        ReviewOutcome::Skipped(skip) => debug!(namespace, pod, reason = skip.as_str(), "skipped"),
        ReviewOutcome::NotForUs => debug!(uid = response.uid, "not for us"),
    }
}

async fn only_post() -> Response<Body> {
    reply(
        StatusCode::METHOD_NOT_ALLOWED,
        (ALLOW, "POST"),
        "This path takes an AdmissionReview by POST, from a Kubernetes API server.\n",
    )
}

async fn only_mutate() -> Response<Body> {
    sentence(
        StatusCode::NOT_FOUND,
        "Nothing is here: reviews go to /mutate, and probes and metrics to the other port.",
    )
}

fn sentence(status: StatusCode, text: &'static str) -> Response<Body> {
    reply(status, (CONTENT_TYPE, "text/plain; charset=utf-8"), format!("{text}\n"))
}

fn reply(
    status: StatusCode,
    (name, value): (HeaderName, &'static str),
    body: impl Into<Body>,
) -> Response<Body> {
    let mut response = Response::new(body.into());
    *response.status_mut() = status;
    response.headers_mut().insert(name, HeaderValue::from_static(value));
    response
}
