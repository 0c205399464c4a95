//! The routes, and one audit line for each request: the caller, the request and the outcome, but no values.
//!
//! Slots and the timeout are not layers of tower: a request has no slot while its body is received, and a
//! timeout has a code and an audit line with the caller.

use std::ops::ControlFlow;
use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::body::Body;
use axum::extract::{Path, State};
use axum::http::header::{ALLOW, CONNECTION, HeaderValue, RETRY_AFTER, WWW_AUTHENTICATE};
use axum::http::{HeaderMap, Response, StatusCode};
use axum::response::IntoResponse as _;
use axum::routing::{get, post, put};
use axum::{Json, Router};
use k8s_openapi::api::core::v1::{Pod, Secret};
use k8s_openapi::api::events::v1::Event;
use k8s_openapi::jiff::Timestamp;
use kube::api::PostParams;
use kube::{Api, Client, ResourceExt as _};
use serde::de::DeserializeOwned;
use tokio::sync::{Semaphore, SemaphorePermit};
use tokio::time::timeout;
use tracing::warn;

use super::abort::AbortRecorder;
use super::api_error::ApiError;
use super::audit::{Audit, NOT_YET};
use super::body::{self, read_body};
use super::caller::{Caller, CallerVerifier, PodIdentity};
use super::event::EventQuota;
use super::metrics::StoreMetrics;
use super::pipe::awaited::AwaitedSearch;
use super::pipe::{self, PipeWriter};
use super::progress::ProgressWriter;
use super::request_quota::{QuotaPermit, RequestQuota};
use super::signing::VerificationKeys;
use super::{abort, authorize, env, event};
use crate::server::memory;
use crate::server::metrics::Counted;
use crate::server::sampler::Sampler;
use crate::store_client::protocol::{
    AbortRequest, AwaitedResponse, EnvRequest, EnvStored, ErrorResponse, EventRequest, OutputRequest,
    OutputStored, PATH_ABORTS, PATH_AWAITED, PATH_ENV, PATH_EVENTS, PATH_PIPES, PATH_PROGRESS,
    ProgressRequest, REQUEST_TIMEOUT,
};
use bootlace_core::abort::Abort;
use bootlace_core::code::Code;
use bootlace_core::json_error;
use bootlace_core::output::{DataError, data, run_label};
use bootlace_core::signature::Specs;

/// Requests that are processed concurrently, not counting those whose body is still being received; others
/// wait. Most of the time, a request waits for the API server.
const MAX_CONCURRENT: usize = 64;
/// How long a request waits for a slot.
const SLOT_TIMEOUT: Duration = Duration::from_secs(5);
/// The log lines about unauthenticated callers: this many in a burst, and then one per interval.
const UNAUTHENTICATED_BURST: u32 = 20;
const UNAUTHENTICATED_INTERVAL: Duration = Duration::from_secs(3);

/// Processes the requests of pods.
pub struct StoreService {
    client: Client,
    callers: CallerVerifier,
    keys: VerificationKeys,
    pipe_writer: PipeWriter,
    abort_recorder: AbortRecorder,
    progress: ProgressWriter,
    metrics: Arc<StoreMetrics>,
    slots: Semaphore,
    /// For bodies over [`body::LARGE_BODY_BYTES`], whose content needs several times their size.
    large_bodies: Semaphore,
    request_quota: RequestQuota,
    event_quota: EventQuota,
    unauthenticated: Sampler,
}

impl StoreService {
    /// Processes requests with the permissions of `client`, for pods whose configuration is signed with one
    /// of `keys`. `progress` decides whether pods may report their progress.
    #[must_use]
    pub fn new(
        client: Client,
        metrics: Arc<StoreMetrics>,
        keys: VerificationKeys,
        progress: ProgressWriter,
    ) -> Arc<Self> {
        Arc::new(Self {
            progress,
            callers: CallerVerifier::new(client.clone()),
            keys,
            pipe_writer: PipeWriter::new(client.clone()),
            abort_recorder: AbortRecorder::new(client.clone()),
            client,
            metrics,
            slots: Semaphore::new(MAX_CONCURRENT),
            large_bodies: Semaphore::new(memory::LARGE_BODIES),
            request_quota: RequestQuota::default(),
            event_quota: EventQuota::default(),
            unauthenticated: Sampler::new(UNAUTHENTICATED_BURST, UNAUTHENTICATED_INTERVAL),
        })
    }

    /// The routes.
    pub fn router(self: Arc<Self>) -> Router {
        let other_method =
            async || error_response(&unknown_path(StatusCode::METHOD_NOT_ALLOWED, "MethodNotAllowed"));
        Router::new()
            .route(PATH_ENV, put(put_env).fallback(other_method))
            .route(&format!("{PATH_PIPES}{{key}}"), put(put_pipe).fallback(other_method))
            .route(&format!("{PATH_AWAITED}{{object}}"), get(get_awaited).fallback(other_method))
            .route(
                &format!("{PATH_ABORTS}{{container}}"),
                put(put_abort).delete(delete_abort).fallback(other_method),
            )
            .route(PATH_PROGRESS, put(put_progress).fallback(other_method))
            .route(PATH_EVENTS, post(post_event).fallback(other_method))
            .fallback(async || error_response(&unknown_path(StatusCode::NOT_FOUND, "NotFound")))
            .with_state(self)
    }

    /// Processes a request with a timeout, and logs and counts it.
    async fn process(
        &self,
        audit: &mut Audit,
        work: impl AsyncFnOnce(&mut Audit) -> Result<Response<Body>, ApiError>,
    ) -> Response<Body> {
        let started = Instant::now();
        let _in_flight = Counted::of(&self.metrics.in_flight);
        let result = timeout(REQUEST_TIMEOUT, work(audit)).await.unwrap_or_else(|_| {
            let message =
                format!("timed out waiting for the API server after {} s: retry", REQUEST_TIMEOUT.as_secs());
            Err(ApiError::new(Code::StoreApiUnavailable, message))
        });
        let (status, reason) = match &result {
            Ok(response) => (response.status(), ""),
            Err(error) => (error.status, error.reason),
        };
        self.metrics.answered(audit.request, status, reason, started.elapsed());
        self.log(audit, result.as_ref().err());
        result.unwrap_or_else(|error| error_response(&error))
    }

    /// Writes the audit line. Only a sample of the requests without a valid token is logged, because anyone
    /// can send them.
    fn log(&self, audit: &Audit, error: Option<&ApiError>) {
        let unauthenticated = error.is_some_and(|error| error.status == StatusCode::UNAUTHORIZED);
        if !unauthenticated {
            return audit.write(error);
        }
        if let Some(skipped) = self.unauthenticated.may_log(Instant::now()) {
            if skipped > 0 {
                warn!(
                    requests = skipped,
                    "denied more requests of unauthenticated callers, which are not logged"
                );
            }
            audit.write(error);
        }
    }

    /// A slot of the requests that are processed concurrently.
    async fn slot(&self) -> Result<SemaphorePermit<'_>, ApiError> {
        match timeout(SLOT_TIMEOUT, self.slots.acquire()).await {
            Ok(Ok(slot)) => Ok(slot),
            _ => Err(busy()),
        }
    }

    /// The calling pod, which must not be in deletion. It is added to the audit line.
    async fn caller(
        &self,
        headers: &HeaderMap,
        audit: &mut Audit,
    ) -> Result<(Caller, QuotaPermit<'_>), ApiError> {
        let (caller, permit) = self.caller_in_grace_period(headers, audit).await?;
        caller.check_not_deleted()?;
        Ok((caller, permit))
    }

    /// The calling pod, which can be in the grace period before its deletion.
    async fn caller_in_grace_period(
        &self,
        headers: &HeaderMap,
        audit: &mut Audit,
    ) -> Result<(Caller, QuotaPermit<'_>), ApiError> {
        let slot = self.slot().await?;
        let id = self.callers.identify(headers).await?;
        audit.caller = Some(id.clone());
        let permit = self.request_quota.acquire(&id)?;
        // Reading pods has its own limit, and requests that wait for it must not use up all slots.
        drop(slot);
        Ok((self.callers.pod(id).await?, permit))
    }

    /// The configuration that the webhook signed for the pod.
    fn specs<'p>(&self, id: &PodIdentity, pod: &'p Pod) -> Result<Specs<'p>, ApiError> {
        authorize::specs(pod, &id.namespace, &self.keys.get())
    }

    /// Reads and parses the body, and acquires a slot to process it. The slot is acquired after the body was
    /// received, so that a slow sender does not use one.
    async fn parse<T: DeserializeOwned>(&self, body: Body) -> Result<(T, Slot<'_>), ApiError> {
        let bytes = read_body(body).await?;
        let is_large = bytes.len() > body::LARGE_BODY_BYTES;
        let large_body = if is_large { self.large_bodies.acquire().await.ok() } else { None };
        let slot = self.slot().await?;
        let content = serde_json::from_slice(&bytes).map_err(|error| malformed(&error))?;
        Ok((content, Slot { _slot: slot, _large_body: large_body }))
    }

    async fn store_env(
        &self,
        headers: &HeaderMap,
        body: Body,
        audit: &mut Audit,
    ) -> Result<Response<Body>, ApiError> {
        let (Caller { id, mut pod }, _permit) = self.caller(headers, audit).await?;
        let name = authorize::env_secret(&pod, &self.specs(&id, &pod)?)?;
        audit.object.clone_from(&name);
        drop_spec(&mut pod);
        let (request, _slot): (EnvRequest, _) = self.parse(body).await?;
        audit.size = format!("{} variables, {} bytes", request.env.len(), env::size(&request));
        env::check(&request)?;
        let secrets: Api<Secret> = Api::namespaced(self.client.clone(), &id.namespace);
        let secret = env::secret(&name, &pod, request.env);
        let created = match secrets.create(&PostParams::default(), &secret).await {
            Ok(_) => true,
            Err(kube::Error::Api(status)) if status.code == 409 => false,
            Err(error) => {
                return Err(ApiError::from_api(
                    &format!("failed to create Secret {}/{name}", id.namespace),
                    &error,
                ));
            }
        };
        audit.outcome = if created { "created" } else { "already exists" };
        let booted_before = authorize::earlier_boots(&pod) > 0;
        Ok(Json(EnvStored { secret: name, created, booted_before }).into_response())
    }

    async fn store_pipe(
        &self,
        headers: &HeaderMap,
        key: &str,
        body: Body,
        audit: &mut Audit,
    ) -> Result<Response<Body>, ApiError> {
        let (Caller { id, mut pod }, _permit) = self.caller_in_grace_period(headers, audit).await?;
        let config = pipe::authorize::sidecar_config(&self.specs(&id, &pod)?)?;
        drop_spec(&mut pod);
        pipe::authorize::check_key(&config, key)?;
        let (OutputRequest { container, kind, files }, _slot) = self.parse(body).await?;
        audit.size = format!("{} files, {} bytes", files.len(), data::size(&files));
        let declared = pipe::authorize::declared_output(&config, key, &container, kind)?;
        let size = data::check(&files).map_err(|error| invalid_data(key, &error))?;
        let now = Timestamp::now();
        let pipe = pipe::objects::pipe(&pod, &config, declared, &files, size, now);
        let name = pipe.name_any();
        audit.object.clone_from(&name);
        let created = self.pipe_writer.write(&id.namespace, &pipe, files, config.quota, now).await?;
        audit.outcome = if created { "created" } else { "already exists" };
        Ok(Json(OutputStored { pipe: name, created }).into_response())
    }

    /// The state of an output that the pod waits for. Each waiting pod polls every few seconds, and the
    /// response is computed from the Pipes of the run, page by page: a request that waited for a change would
    /// need a slot or a watch per pod.
    async fn awaited(
        &self,
        headers: &HeaderMap,
        object: &str,
        audit: &mut Audit,
    ) -> Result<Response<Body>, ApiError> {
        let (Caller { id, pod }, _permit) = self.caller(headers, audit).await?;
        let awaits = pipe::authorize::awaited_output(&self.specs(&id, &pod)?, object)?;
        drop(pod);
        audit.object.clone_from(&awaits.object);
        // Needs no slot: the limit on pages bounds the memory, and requests that wait for a page must not use
        // up all slots.
        let mut search = AwaitedSearch::new(&awaits);
        let visit = |pipe| {
            search.add(pipe);
            ControlFlow::Continue(())
        };
        let run = run_label(&awaits.from);
        self.pipe_writer.pages().each(Some(&id.namespace), Some(&run), visit).await.map_err(|error| {
            pipe::api_error(&format!("failed to list Pipes in namespace {:?}", id.namespace), &error)
        })?;
        let state = search.outcome();
        audit.outcome = match state {
            AwaitedResponse::NotYet { .. } => NOT_YET,
            AwaitedResponse::Stored { .. } => "stored",
            AwaitedResponse::Never { .. } => "never stored under this name",
        };
        Ok(Json(state).into_response())
    }

    /// Records or removes what the abort of a container needs. A task is often ended by the deletion of its
    /// pod.
    async fn abort(
        &self,
        headers: &HeaderMap,
        container: &str,
        body: Option<Body>,
        audit: &mut Audit,
    ) -> Result<Response<Body>, ApiError> {
        let (Caller { id, mut pod }, _permit) = self.caller_in_grace_period(headers, audit).await?;
        let config = pipe::authorize::sidecar_config(&self.specs(&id, &pod)?)?;
        drop_spec(&mut pod);
        abort::check_container(&config, container)?;
        audit.object = Abort::name_for(&id.uid, container);
        audit.outcome = if let Some(body) = body {
            let (request, _slot): (AbortRequest, _) = self.parse(body).await?;
            audit.size = format!("{} bytes", request.text.as_deref().unwrap_or_default().len());
            let created = self.abort_recorder.record(&id, &config, container, request).await?;
            if created { "created" } else { "changed" }
        } else {
            let _slot = self.slot().await?;
            let removed = self.abort_recorder.remove(&id, container).await?;
            if removed { "removed" } else { "does not exist" }
        };
        Ok(StatusCode::NO_CONTENT.into_response())
    }

    async fn store_progress(
        &self,
        headers: &HeaderMap,
        body: Body,
        audit: &mut Audit,
    ) -> Result<Response<Body>, ApiError> {
        let (Caller { id, pod }, _permit) = self.caller_in_grace_period(headers, audit).await?;
        self.progress.authorize(&self.specs(&id, &pod)?)?;
        drop(pod);
        let (ProgressRequest { line }, _slot) = self.parse(body).await?;
        audit.outcome = self.progress.write(self.client.clone(), &id, &line).await?;
        Ok(StatusCode::NO_CONTENT.into_response())
    }

    async fn report(
        &self,
        headers: &HeaderMap,
        body: Body,
        audit: &mut Audit,
    ) -> Result<Response<Body>, ApiError> {
        let (mut caller, _permit) = self.caller_in_grace_period(headers, audit).await?;
        self.specs(&caller.id, &caller.pod)?;
        drop_spec(&mut caller.pod);
        let (report, _slot): (EventRequest, _) = self.parse(body).await?;
        if !report.outcome.is_about_an_end() {
            caller.check_not_deleted()?;
        }
        let Caller { id, pod } = caller;
        if !self.event_quota.may_send(&report, &id) {
            audit.outcome = "ignored: the pod has reached its limit of Events";
            return Ok(StatusCode::NO_CONTENT.into_response());
        }
        let event = event::event(&report, &id, &pod, Timestamp::now());
        audit.object = event.metadata.name.clone().unwrap_or_default();
        let events: Api<Event> = Api::namespaced(self.client.clone(), &id.namespace);
        audit.outcome = match events.create(&PostParams::default(), &event).await {
            Ok(_) => "created",
            Err(kube::Error::Api(status)) if status.code == 409 => "already exists",
            Err(error) => {
                let problem = format!("failed to create an Event for pod {}/{}", id.namespace, id.name);
                return Err(ApiError::from_api(&problem, &error));
            }
        };
        Ok(StatusCode::NO_CONTENT.into_response())
    }
}

/// Frees the configuration of a pod, which can be large, because receiving the body can take long.
fn drop_spec(pod: &mut Pod) {
    pod.spec = None;
}

async fn put_env(State(service): State<Arc<StoreService>>, headers: HeaderMap, body: Body) -> Response<Body> {
    let mut audit = Audit::new("PUT /v1/env");
    service.process(&mut audit, async |audit| service.store_env(&headers, body, audit).await).await
}

async fn put_pipe(
    State(service): State<Arc<StoreService>>,
    Path(key): Path<String>,
    headers: HeaderMap,
    body: Body,
) -> Response<Body> {
    let mut audit = Audit::new("PUT /v1/pipes");
    service.process(&mut audit, async |audit| service.store_pipe(&headers, &key, body, audit).await).await
}

async fn get_awaited(
    State(service): State<Arc<StoreService>>,
    Path(object): Path<String>,
    headers: HeaderMap,
) -> Response<Body> {
    let mut audit = Audit::new("GET /v1/awaited");
    service.process(&mut audit, async |audit| service.awaited(&headers, &object, audit).await).await
}

async fn put_abort(
    State(service): State<Arc<StoreService>>,
    Path(container): Path<String>,
    headers: HeaderMap,
    body: Body,
) -> Response<Body> {
    let mut audit = Audit::new("PUT /v1/aborts");
    let work = async |audit: &mut Audit| service.abort(&headers, &container, Some(body), audit).await;
    service.process(&mut audit, work).await
}

async fn delete_abort(
    State(service): State<Arc<StoreService>>,
    Path(container): Path<String>,
    headers: HeaderMap,
) -> Response<Body> {
    let mut audit = Audit::new("DELETE /v1/aborts");
    service.process(&mut audit, async |audit| service.abort(&headers, &container, None, audit).await).await
}

async fn put_progress(
    State(service): State<Arc<StoreService>>,
    headers: HeaderMap,
    body: Body,
) -> Response<Body> {
    let mut audit = Audit::new("PUT /v1/progress");
    service.process(&mut audit, async |audit| service.store_progress(&headers, body, audit).await).await
}

async fn post_event(
    State(service): State<Arc<StoreService>>,
    headers: HeaderMap,
    body: Body,
) -> Response<Body> {
    let mut audit = Audit::new("POST /v1/events");
    service.process(&mut audit, async |audit| service.report(&headers, body, audit).await).await
}

/// A slot to process a request, and the permit for a large body if it has one.
struct Slot<'a> {
    _slot: SemaphorePermit<'a>,
    _large_body: Option<SemaphorePermit<'a>>,
}

pub(crate) fn busy() -> ApiError {
    ApiError::new(Code::StoreBusy, "the store has too many requests in progress: retry")
}

pub(crate) fn malformed(error: &serde_json::Error) -> ApiError {
    ApiError::new(Code::RequestMalformed, format!("the body is invalid: {}", json_error::describe(error)))
}

pub(crate) fn invalid_data(key: &str, error: &DataError) -> ApiError {
    let code = match error {
        DataError::TooLarge(_) => Code::ContentTooLarge,
        DataError::Empty | DataError::Name(_) | DataError::TooMany(_) => Code::ObjectContentInvalid,
    };
    ApiError::new(code, format!("output {key:?}: {error}"))
}

pub(crate) fn unknown_path(status: StatusCode, reason: &'static str) -> ApiError {
    let message = "the store does not serve this method and path: it serves PUT /v1/env, PUT /v1/pipes/{key}, \
                   GET /v1/awaited/{object}, PUT and DELETE /v1/aborts/{container}, PUT /v1/progress, and POST /v1/events; probes and \
                   metrics are on the status port";
    ApiError { status, reason, ..ApiError::new(Code::RequestPathUnknown, message) }
}

fn error_response(error: &ApiError) -> Response<Body> {
    let body = ErrorResponse {
        reason: error.reason.to_owned(),
        message: error.message.clone(),
        code: Some(error.code.to_string()),
    };
    let mut response = (error.status, Json(body)).into_response();
    let headers = response.headers_mut();
    match error.status {
        StatusCode::METHOD_NOT_ALLOWED => {
            headers.insert(ALLOW, HeaderValue::from_static("GET, PUT, POST, DELETE"))
        }
        StatusCode::UNAUTHORIZED => headers.insert(WWW_AUTHENTICATE, HeaderValue::from_static("Bearer")),
        StatusCode::SERVICE_UNAVAILABLE | StatusCode::TOO_MANY_REQUESTS => {
            headers.insert(RETRY_AFTER, HeaderValue::from_static("1"))
        }
        // The client is still sending the rest of the body.
        StatusCode::REQUEST_TIMEOUT | StatusCode::PAYLOAD_TOO_LARGE => {
            headers.insert(CONNECTION, HeaderValue::from_static("close"))
        }
        _ => None,
    };
    response
}
