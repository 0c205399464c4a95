//! The routes, and one audit line a request: who asked for what, and what came of it. Never a value.

use std::ops::ControlFlow;
use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::Router;
use axum::body::Body;
use axum::extract::{Path, State};
use axum::http::header::{ALLOW, CONNECTION, CONTENT_TYPE, HeaderValue, RETRY_AFTER, WWW_AUTHENTICATE};
use axum::http::{HeaderMap, Response, StatusCode};
use axum::routing::{get, post, put};
use k8s_openapi::api::core::v1::{Pod, Secret};
use k8s_openapi::api::events::v1::Event;
use k8s_openapi::jiff::Timestamp;
use kube::api::PostParams;
use kube::{Api, Client, ResourceExt as _};
use serde::Serialize;
use serde::de::DeserializeOwned;
use tokio::sync::{Semaphore, SemaphorePermit};
use tokio::time::timeout;
use tracing::{debug, info, warn};

use super::api_error::ApiError;
use super::body;
use super::caller::{Caller, CallerVerifier, PodIdentity};
use super::event::EventQuota;
use super::metrics::StoreMetrics;
use super::pipe::awaited::AwaitedSearch;
use super::pipe::{self, PipeWriter};
use super::shares::{QuotaPermit, RequestQuota};
use super::signing::VerificationKeys;
use super::{authorize, env, event};
use crate::server::memory;
use crate::server::metrics::Counted;
use crate::server::sampler::Sampler;
use crate::store_client::protocol::{
    AwaitedResponse, EnvRequest, EnvStored, ErrorResponse, EventRequest, OutputRequest, OutputStored,
    PATH_AWAITED, PATH_ENV, PATH_EVENTS, PATH_PIPES, REQUEST_TIMEOUT,
};
use bootlace_core::json_error;
use bootlace_core::output::{DataError, data, run_label};
use bootlace_core::signature::Specs;

/// Requests that are answered at once, bodies that are still on their way not included; more wait. Each waits for the API
/// server most of its time.
const AT_ONCE: usize = 64;
/// How long a request waits for its turn.
const TURN: Duration = Duration::from_secs(5);
/// Lines that are written at once about callers that are not known, and in what time there is one more.
const STRANGERS: u32 = 20;
const STRANGERS_EVERY: Duration = Duration::from_secs(3);

/// What requests are answered with.
pub struct StoreService {
    client: Client,
    callers: CallerVerifier,
    verifying: VerificationKeys,
    keeper: PipeWriter,
    metrics: Arc<StoreMetrics>,
    slots: Semaphore,
    /// For bodies over [`body::LARGE`], which take several times their size.
    large: Semaphore,
    shares: RequestQuota,
    notes: EventQuota,
    strangers: Sampler,
}

impl StoreService {
    /// Answers with the rights of `client`, for pods that are signed with what `verifying` knows.
    #[must_use]
    pub fn new(client: Client, metrics: Arc<StoreMetrics>, verifying: VerificationKeys) -> Arc<Self> {
        Arc::new(Self {
            callers: CallerVerifier::new(client.clone()),
            verifying,
            keeper: PipeWriter::new(client.clone()),
            client,
            metrics,
            slots: Semaphore::new(AT_ONCE),
            large: Semaphore::new(memory::LARGE_BODIES),
            shares: RequestQuota::default(),
            notes: EventQuota::default(),
            strangers: Sampler::new(STRANGERS, STRANGERS_EVERY),
        })
    }

    /// The routes.
    pub fn router(self: Arc<Self>) -> Router {
        let elsewhere = async || refuse(StatusCode::METHOD_NOT_ALLOWED, "MethodNotAllowed", METHODS);
        Router::new()
            .route(PATH_ENV, put(put_env).fallback(elsewhere))
            .route(&format!("{PATH_PIPES}{{key}}"), put(put_pipe).fallback(elsewhere))
            .route(&format!("{PATH_AWAITED}{{object}}"), get(get_awaited).fallback(elsewhere))
            .route(PATH_EVENTS, post(post_event).fallback(elsewhere))
            .fallback(async || refuse(StatusCode::NOT_FOUND, "NotFound", METHODS))
            .with_state(self)
    }

    /// Does `work` in bounded time, and tells of it.
    async fn answer(
        &self,
        audit: &mut Audit,
        work: impl AsyncFnOnce(&mut Audit) -> Result<Response<Body>, ApiError>,
    ) -> Response<Body> {
        let started = Instant::now();
        let _in_flight = Counted::of(&self.metrics.in_flight);
        let result = timeout(REQUEST_TIMEOUT, work(audit)).await.unwrap_or_else(|_| {
            let seconds = REQUEST_TIMEOUT.as_secs();
            Err(ApiError::unavailable(format!("the API server did not answer within {seconds} s: try again")))
        });
        let (status, reason) = match &result {
            Ok(response) => (response.status(), ""),
            Err(denial) => (denial.status, denial.reason),
        };
        self.metrics.answered(audit.request, status, reason, started.elapsed());
        self.tell(audit, result.as_ref().err());
        result.unwrap_or_else(|denial| denied(&denial))
    }

    /// Writes the audit line. Of callers that are not known only some: anybody can send such requests.
    fn tell(&self, audit: &Audit, denial: Option<&ApiError>) {
        let unknown = denial.is_some_and(|denial| denial.status == StatusCode::UNAUTHORIZED);
        if !unknown {
            return audit.write(denial);
        }
        if let Some(unsaid) = self.strangers.may_say(Instant::now()) {
            if unsaid > 0 {
                warn!(requests = unsaid, "denied to callers that are not known, without a line each");
            }
            audit.write(denial);
        }
    }

    /// One of the requests that are answered at once.
    async fn slot(&self) -> Result<SemaphorePermit<'_>, ApiError> {
        match timeout(TURN, self.slots.acquire()).await {
            Ok(Ok(slot)) => Ok(slot),
            _ => Err(ApiError::unavailable("the store answers as many requests as it can: try again")),
        }
    }

    /// The pod that asks, in the audit line too. Nobody has deleted it.
    async fn caller(
        &self,
        headers: &HeaderMap,
        audit: &mut Audit,
    ) -> Result<(Caller, QuotaPermit<'_>), ApiError> {
        let (caller, share) = self.caller_in_grace(headers, audit).await?;
        caller.check_not_deleted()?;
        Ok((caller, share))
    }

    /// The same for a pod that may be in the grace period before its deletion.
    async fn caller_in_grace(
        &self,
        headers: &HeaderMap,
        audit: &mut Audit,
    ) -> Result<(Caller, QuotaPermit<'_>), ApiError> {
        let slot = self.slot().await?;
        let id = self.callers.identify(headers).await?;
        audit.caller = Some(id.clone());
        let share = self.shares.take(&id)?;
        // Pods are read in turns of their own: those that wait for one must not hold all slots.
        drop(slot);
        Ok((self.callers.pod(id).await?, share))
    }

    /// What the webhook gave the pod.
    fn specs<'p>(&self, id: &PodIdentity, pod: &'p Pod) -> Result<Specs<'p>, ApiError> {
        authorize::specs(pod, &id.namespace, &self.verifying.get())
    }

    /// The body, read only for a pod that may send it, and the turn in which it is answered. Turns are taken once the body is
    /// there, so that a sender which stalls holds none.
    async fn read<T: DeserializeOwned>(&self, body: Body) -> Result<(T, Turn<'_>), ApiError> {
        let bytes = body::read(body).await?;
        let large = if bytes.len() > body::LARGE { self.large.acquire().await.ok() } else { None };
        let slot = self.slot().await?;
        let content = serde_json::from_slice(&bytes).map_err(|error| {
            let what = json_error::describe(&error);
            ApiError::bad_request(format!("the body is not what this store understands: {what}"))
        })?;
        Ok((content, Turn { _slot: slot, _large: large }))
    }

    async fn store_env(
        &self,
        headers: &HeaderMap,
        body: Body,
        audit: &mut Audit,
    ) -> Result<Response<Body>, ApiError> {
        let (Caller { id, mut pod }, _share) = self.caller(headers, audit).await?;
        let name = authorize::env_secret(&pod, &self.specs(&id, &pod)?)?;
        audit.object.clone_from(&name);
        release(&mut pod);
        let (asked, _turn): (EnvRequest, _) = self.read(body).await?;
        audit.size = format!("{} variables, {} bytes", asked.env.len(), env::size(&asked));
        env::check(&asked)?;
        let secrets: Api<Secret> = Api::namespaced(self.client.clone(), &id.namespace);
        let created = match secrets.create(&PostParams::default(), &env::secret(&name, &pod, asked.env)).await
        {
            Ok(_) => true,
            Err(kube::Error::Api(status)) if status.code == 409 => false,
            Err(error) => {
                return Err(ApiError::of_api(
                    &format!("Secret {}/{name} cannot be created", id.namespace),
                    &error,
                ));
            }
        };
        audit.outcome = if created { "created" } else { "was there already" };
        let booted_before = authorize::earlier_boots(&pod) > 0;
        Ok(json(StatusCode::OK, &EnvStored { secret: name, created, booted_before }))
    }

    async fn store_pipe(
        &self,
        headers: &HeaderMap,
        key: &str,
        body: Body,
        audit: &mut Audit,
    ) -> Result<Response<Body>, ApiError> {
        let (Caller { id, mut pod }, _share) = self.caller_in_grace(headers, audit).await?;
        let told = pipe::grant::spec(&self.specs(&id, &pod)?)?;
        release(&mut pod);
        pipe::grant::key(&told, key)?;
        let (asked, _turn): (OutputRequest, _) = self.read(body).await?;
        let OutputRequest { container, kind, files } = asked;
        audit.size = format!("{} files, {} bytes", files.len(), data::size(&files));
        let declared = pipe::grant::output(&told, key, &container, kind)?;
        let size = data::check(&files).map_err(|error| {
            let message = format!("output {key}: {error}");
            match error {
                DataError::TooLarge(_) => ApiError::too_large(message),
                DataError::Empty | DataError::Name(_) | DataError::TooMany(_) => ApiError::invalid(message),
            }
        })?;
        let now = Timestamp::now();
        let wanted = pipe::objects::pipe(&pod, &told, declared, &files, size, now);
        let name = wanted.name_any();
        audit.object.clone_from(&name);
        let created = self.keeper.keep(&id.namespace, &wanted, files, told.quota, now).await?;
        audit.outcome = if created { "created" } else { "was there already" };
        Ok(json(StatusCode::OK, &OutputStored { pipe: name, created }))
    }

    /// Whether there is what the pod waits for. Asked every few seconds by each pod that waits, and answered at once from
    /// its run's Pipes, page by page: holding the request until something changes would take a slot or a watch a pod.
    async fn awaited(
        &self,
        headers: &HeaderMap,
        object: &str,
        audit: &mut Audit,
    ) -> Result<Response<Body>, ApiError> {
        let (Caller { id, pod }, _share) = self.caller(headers, audit).await?;
        let awaits = pipe::grant::awaits(&self.specs(&id, &pod)?, object)?;
        drop(pod);
        audit.object.clone_from(&awaits.object);
        // Without a slot: the turns for pages bound what is held, and many that wait for a turn must not hold all slots.
        let mut search = AwaitedSearch::new(&awaits);
        let visit = |pipe| {
            search.add(pipe);
            ControlFlow::Continue(())
        };
        let run = run_label(&awaits.from);
        self.keeper.pages().each(Some(&id.namespace), Some(&run), visit).await.map_err(|error| {
            let doing = format!("Pipes of {} cannot be listed", id.namespace);
            ApiError { message: pipe::failed(&doing, &error), ..ApiError::of_api(&doing, &error) }
        })?;
        let waited = search.outcome();
        audit.outcome = match waited {
            AwaitedResponse::NotYet { .. } => NOT_YET,
            AwaitedResponse::Stored { .. } => "is there",
            AwaitedResponse::Never { .. } => "will not be there",
        };
        Ok(json(StatusCode::OK, &waited))
    }

    async fn report(
        &self,
        headers: &HeaderMap,
        body: Body,
        audit: &mut Audit,
    ) -> Result<Response<Body>, ApiError> {
        let (Caller { id, mut pod }, _share) = self.caller(headers, audit).await?;
        self.specs(&id, &pod)?;
        release(&mut pod);
        let (report, _turn): (EventRequest, _) = self.read(body).await?;
        if !self.notes.may_send(&report, &id) {
            audit.outcome = "left out: the pod has sent enough of them";
            return Ok(no_content());
        }
        let event = event::event(&report, &id, &pod, Timestamp::now());
        audit.object = event.metadata.name.clone().unwrap_or_default();
        let events: Api<Event> = Api::namespaced(self.client.clone(), &id.namespace);
        audit.outcome = match events.create(&PostParams::default(), &event).await {
            Ok(_) => "created",
            Err(kube::Error::Api(status)) if status.code == 409 => "was there already",
            Err(error) => {
                let doing = format!("an Event on pod {}/{} cannot be created", id.namespace, id.name);
                return Err(ApiError::of_api(&doing, &error));
            }
        };
        Ok(no_content())
    }
}

/// Lets go of what a pod is told, which can be long, once it is read: a body may take its time.
fn release(pod: &mut Pod) {
    pod.spec = None;
}

fn no_content() -> Response<Body> {
    let mut response = Response::new(Body::empty());
    *response.status_mut() = StatusCode::NO_CONTENT;
    response
}

async fn put_env(State(service): State<Arc<StoreService>>, headers: HeaderMap, body: Body) -> Response<Body> {
    let mut audit = Audit::of("PUT /v1/env");
    service.answer(&mut audit, async |audit| service.store_env(&headers, body, audit).await).await
}

async fn put_pipe(
    State(service): State<Arc<StoreService>>,
    Path(key): Path<String>,
    headers: HeaderMap,
    body: Body,
) -> Response<Body> {
    let mut audit = Audit::of("PUT /v1/pipes");
    service.answer(&mut audit, async |audit| service.store_pipe(&headers, &key, body, audit).await).await
}

async fn get_awaited(
    State(service): State<Arc<StoreService>>,
    Path(object): Path<String>,
    headers: HeaderMap,
) -> Response<Body> {
    let mut audit = Audit::of("GET /v1/awaited");
    service.answer(&mut audit, async |audit| service.awaited(&headers, &object, audit).await).await
}

async fn post_event(
    State(service): State<Arc<StoreService>>,
    headers: HeaderMap,
    body: Body,
) -> Response<Body> {
    let mut audit = Audit::of("POST /v1/events");
    service.answer(&mut audit, async |audit| service.report(&headers, body, audit).await).await
}

/// One of the requests that are answered at once, with one of the large bodies where it has one.
struct Turn<'a> {
    _slot: SemaphorePermit<'a>,
    _large: Option<SemaphorePermit<'a>>,
}

/// What the audit line says.
#[derive(Default)]
struct Audit {
    request: &'static str,
    caller: Option<PodIdentity>,
    object: String,
    size: String,
    outcome: &'static str,
}

impl Audit {
    fn of(request: &'static str) -> Self {
        Self { request, ..Self::default() }
    }

    fn write(&self, denial: Option<&ApiError>) {
        let Self { request, object, size, outcome, .. } = self;
        let caller =
            |part: fn(&PodIdentity) -> &String| self.caller.as_ref().map_or("", |caller| part(caller));
        let (namespace, pod, uid) = (caller(|id| &id.namespace), caller(|id| &id.name), caller(|id| &id.uid));
        match denial {
            // Said again and again.
            None if *outcome == NOT_YET => debug!(request, namespace, pod, uid, object, "{outcome}"),
            None => info!(request, namespace, pod, uid, object, size, "{outcome}"),
            Some(denial) => {
                let code = denial.status.as_u16();
                warn!(request, namespace, pod, uid, object, size, code, reason = denial.message, "denied");
            }
        }
    }
}

/// What comes of asking for what is still waited for.
const NOT_YET: &str = "is not there yet";

const METHODS: &str = "nothing is here: a pod's env goes to PUT /v1/env, an output to PUT /v1/pipes/{key}, Events to \
                       POST /v1/events, what is waited for is asked for with GET /v1/awaited/{object}, and probes and \
                       metrics are on the other port";

fn denied(denial: &ApiError) -> Response<Body> {
    let mut response = refuse(denial.status, denial.reason, &denial.message);
    let headers = response.headers_mut();
    match denial.status {
        StatusCode::UNAUTHORIZED => headers.insert(WWW_AUTHENTICATE, HeaderValue::from_static("Bearer")),
        StatusCode::SERVICE_UNAVAILABLE | StatusCode::TOO_MANY_REQUESTS => {
            headers.insert(RETRY_AFTER, HeaderValue::from_static("1"))
        }
        // The rest of the body is still on its way.
        StatusCode::REQUEST_TIMEOUT | StatusCode::PAYLOAD_TOO_LARGE => {
            headers.insert(CONNECTION, HeaderValue::from_static("close"))
        }
        _ => None,
    };
    response
}

fn refuse(status: StatusCode, reason: &str, message: &str) -> Response<Body> {
    let mut response =
        json(status, &ErrorResponse { reason: reason.to_owned(), message: message.to_owned() });
    if status == StatusCode::METHOD_NOT_ALLOWED {
        response.headers_mut().insert(ALLOW, HeaderValue::from_static("GET, PUT, POST"));
    }
    response
}

fn json(status: StatusCode, body: &impl Serialize) -> Response<Body> {
    // Strings and booleans: it cannot fail.
    let mut response = Response::new(Body::from(serde_json::to_vec(body).unwrap_or_default()));
    *response.status_mut() = status;
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    response
}
