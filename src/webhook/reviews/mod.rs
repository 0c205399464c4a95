//! `POST /mutate`: responds to any body with an `AdmissionReview`.

mod body;

use std::sync::Arc;
use std::time::Instant;

use axum::Router;
use axum::body::Body;
use axum::extract::{Extension, State};
use axum::http::header::{ALLOW, CONNECTION, CONTENT_TYPE, HeaderValue, RETRY_AFTER};
use axum::http::{Response, StatusCode};
use axum::response::IntoResponse as _;
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

/// The path for requests of the API server.
pub const PATH: &str = "/mutate";

/// The handler of reviews.
pub struct Reviews {
    profiles: Arc<ActiveProfiles>,
    metrics: Arc<WebhookMetrics>,
    lookups: Arc<Lookups>,
    callers: CallerPolicy,
    large: Arc<Semaphore>,
}

/// Which callers get a response, and which one.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum CallerPolicy {
    /// Any caller.
    #[default]
    Any,
    /// Callers with a certificate for one of these names.
    Named {
        /// The names.
        names: Vec<String>,
        /// Whether other callers get a response without lookups.
        others: bool,
    },
}

/// The response to a caller.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Trust {
    /// A complete response.
    Full,
    /// A response without lookups.
    NoLookups,
    /// An error.
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
    /// A handler that uses the active `profiles` and `lookups`.
    #[must_use]
    pub fn new(
        profiles: Arc<ActiveProfiles>,
        metrics: Arc<WebhookMetrics>,
        lookups: Arc<Lookups>,
    ) -> Arc<Self> {
        let large = Arc::new(Semaphore::new(memory::LARGE_REVIEWS));
        Arc::new(Self { profiles, metrics, lookups, callers: CallerPolicy::Any, large })
    }

    /// The same handler for these callers.
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

    /// Responds to a review, with the lookups that it needs.
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
                // Parsing needs milliseconds, so it runs on another thread than the connections.
                let Ok(answer) = tokio::task::spawn_blocking(answer).await else {
                    let text = "internal error: failed to process the review";
                    return plain_text(StatusCode::INTERNAL_SERVER_ERROR, text);
                };
                answer
            } else {
                admission::review_with(&collected.bytes, &recipes, &found)
            };
            match answer {
                Ok(answered) => return self.respond(&answered, started),
                Err(lookup) => self.lookups.add(*lookup, &mut found, &self.metrics).await,
            }
        }
        self.respond(&admission::review(&collected.bytes, &recipes), started)
    }

    /// Writes the response, its metrics and its log line.
    fn respond(&self, answered: &Answered, started: Instant) -> Response<Body> {
        let json = answered.response.to_json();
        self.metrics.answered(answered.outcome, started.elapsed());
        if let Some(profile) = &answered.subject.profile {
            self.metrics.used(profile, answered.outcome);
        }
        log(answered);
        match json {
            Ok(json) => ([(CONTENT_TYPE, "application/json")], json).into_response(),
            Err(error) => {
                error!(%error, "internal error: failed to serialize a response: please report this bug");
                plain_text(
                    StatusCode::INTERNAL_SERVER_ERROR,
                    "internal error: failed to serialize the response",
                )
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
        return plain_text(
            StatusCode::FORBIDDEN,
            "forbidden: a review needs the client certificate of the API server (--client-ca, --client-names)",
        );
    }
    let Some(recipes) = reviews.profiles.get() else {
        reviews.metrics.not_ready.inc();
        let mut response = plain_text(
            StatusCode::SERVICE_UNAVAILABLE,
            "not ready: BootProfiles and namespaces are not listed yet: try again",
        );
        // With this header, the API server repeats the request.
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

/// Logs a line for a pod that was changed or refused; others only at the level debug.
fn log(answered: &Answered) {
    let Answered { subject, outcome, response } = answered;
    // A caller other than the API server can send any text.
    let (namespace, pod) = (&*shorten(&*subject.namespace), subject.pod.as_str());
    match outcome {
        ReviewOutcome::Injected => {
            let reason = response.audit.get("reason").map(String::as_str);
            info!(namespace, pod, reason, "injected");
        }
        ReviewOutcome::Reordered => {
            let reordered = response.audit.get("reordered").map(String::as_str);
            info!(namespace, pod, reordered, "reordered");
        }
        ReviewOutcome::Signed => info!(namespace, pod, "signed"),
        ReviewOutcome::Refused | ReviewOutcome::Malformed => {
            let reason = response.refusal.as_ref().map(|refusal| refusal.message.as_str());
            info!(namespace, pod, reason, "{outcome}");
        }
        ReviewOutcome::Skipped(skip) => debug!(namespace, pod, reason = skip.as_str(), "skipped"),
        ReviewOutcome::NotForUs => debug!(uid = response.uid, "not the creation of a pod"),
    }
}

async fn only_post() -> Response<Body> {
    let mut response =
        plain_text(StatusCode::METHOD_NOT_ALLOWED, "method not allowed: send an AdmissionReview with POST");
    response.headers_mut().insert(ALLOW, HeaderValue::from_static("POST"));
    response
}

async fn only_mutate() -> Response<Body> {
    plain_text(
        StatusCode::NOT_FOUND,
        "not found: reviews are at /mutate, probes and metrics on the status port",
    )
}

fn plain_text(status: StatusCode, text: &'static str) -> Response<Body> {
    (status, format!("{text}\n")).into_response()
}
