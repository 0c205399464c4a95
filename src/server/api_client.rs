//! The client of the API server, with a timeout for every request.
//!
//! kube has no timeout for responses, because it would also end watches. Without one, a single connection to
//! a host that no longer exists blocks the loop that waits for it until the kernel closes the connection,
//! after 15 minutes or never.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use anyhow::Context as _;
use axum::body::Bytes;
use futures::AsyncReadExt as _;
use futures::future::BoxFuture;
use http::{Request, Response};
use hyper::body::{Body, Frame, SizeHint};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ListMeta;
use k8s_openapi::apimachinery::pkg::version::Info;
use kube::api::{ObjectMeta, Preconditions};
use kube::client::ClientBuilder;
use kube::{Client, Config};
use tokio::time::{Sleep, sleep, timeout};
use tower::{BoxError, Layer, Service};
use tracing::warn;

use super::readiness::{Part, Readiness};
use super::watch_errors;

/// Timeout of a request, until its response is read. A busy API server lets a request wait for up to a
/// quarter of the timeout of 60 seconds before it starts to process it.
pub const API_REQUEST_TIMEOUT: Duration = Duration::from_secs(15);

/// Timeout of the TCP and TLS handshakes.
const API_CONNECT_TIMEOUT: Duration = Duration::from_secs(5);

/// Connects to the cluster that the process runs in, or that KUBECONFIG names.
///
/// # Errors
/// Neither exists, or the configuration is invalid.
pub async fn connect() -> anyhow::Result<Client> {
    let mut config = Config::infer().await?;
    config.connect_timeout = Some(API_CONNECT_TIMEOUT);
    let builder = ClientBuilder::try_from(config).context("failed to set up the client of the API server")?;
    Ok(builder.with_layer(&TimeoutLayer(API_REQUEST_TIMEOUT)).build())
}

/// The response of the API server to a request for its version.
#[derive(Debug)]
pub enum ServerVersion {
    /// The version.
    Version(Box<Info>),
    /// It responded, but did not report its version.
    Refused(String),
    /// It did not respond, or has a temporary problem.
    None(String),
}

/// Requests the version of the API server.
pub async fn version(client: &Client) -> ServerVersion {
    match client.apiserver_version().await {
        Ok(info) => ServerVersion::Version(Box::new(info)),
        Err(error) => {
            let reason =
                watch_errors::describe_api_error("failed to read the version of the API server", &error);
            match error {
                kube::Error::Api(status) if (400..500).contains(&status.code) && status.code != 429 => {
                    ServerVersion::Refused(reason)
                }
                kube::Error::SerdeError(_) => ServerVersion::Refused(reason),
                _ => ServerVersion::None(reason),
            }
        }
    }
}

/// The delay between two attempts of [`await_answer`].
const RETRY_DELAY: Duration = Duration::from_secs(2);

/// Sets [`Part::ApiServer`] in place when the API server has answered, for a process that cannot do anything
/// without it.
pub(crate) async fn await_answer(client: Client, readiness: Arc<Readiness>) {
    while let ServerVersion::None(reason) = version(&client).await {
        warn!("{reason}");
        readiness.missing(Part::ApiServer, reason);
        tokio::time::sleep(RETRY_DELAY).await;
    }
    readiness.in_place(Part::ApiServer);
}

/// Sends a request and reads the response; `None` if it has more than `limit` bytes. Users decide how large
/// many objects are, so kube, which reads any response completely, cannot be used for them.
pub(crate) async fn read_limited(
    client: &Client,
    request: Request<Vec<u8>>,
    limit: usize,
) -> Result<Option<Vec<u8>>, kube::Error> {
    let stream = client.request_stream(request).await?;
    let mut bytes = Vec::new();
    let read = stream.take(limit as u64 + 1).read_to_end(&mut bytes).await;
    read.map_err(|error| kube::Error::Service(error.into()))?;
    Ok((bytes.len() <= limit).then_some(bytes))
}

/// Adds a timeout to requests. For a watch, it ends when the response starts: kube's watcher limits how long
/// a watch may be idle.
#[derive(Debug, Clone, Copy)]
pub struct TimeoutLayer(pub Duration);

impl<S> Layer<S> for TimeoutLayer {
    type Service = TimeoutService<S>;

    fn layer(&self, inner: S) -> TimeoutService<S> {
        TimeoutService { inner, time: self.0 }
    }
}

/// A client with a timeout.
#[derive(Debug, Clone)]
pub struct TimeoutService<S> {
    inner: S,
    time: Duration,
}

/// A request that timed out.
#[derive(Debug, thiserror::Error)]
#[error("timed out waiting for the API server after {} s", .0.as_secs_f64())]
pub struct RequestTimedOut(Duration);

impl<S, R, B> Service<Request<R>> for TimeoutService<S>
where
    S: Service<Request<R>, Response = Response<B>>,
    S::Error: Into<BoxError>,
    S::Future: Send + 'static,
{
    type Response = Response<TimeoutBody<B>>;
    type Error = BoxError;
    type Future = BoxFuture<'static, Result<Self::Response, BoxError>>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        self.inner.poll_ready(context).map_err(Into::into)
    }

    fn call(&mut self, request: Request<R>) -> Self::Future {
        let time = self.time;
        let deadline = (!is_watch(&request)).then(|| Box::pin(sleep(time)));
        let response = self.inner.call(request);
        Box::pin(async move {
            let response =
                timeout(time, response).await.map_err(|_| RequestTimedOut(time))?.map_err(Into::into)?;
            Ok(response.map(|body| TimeoutBody { body: Box::pin(body), deadline, time }))
        })
    }
}

fn is_watch<R>(request: &Request<R>) -> bool {
    let query = request.uri().query().unwrap_or_default();
    query.split('&').any(|pair| matches!(pair, "watch=true" | "watch=1"))
}

/// A response body with the deadline of its request.
pub struct TimeoutBody<B> {
    body: Pin<Box<B>>,
    /// `None` for a watch.
    deadline: Option<Pin<Box<Sleep>>>,
    time: Duration,
}

impl<B> Body for TimeoutBody<B>
where
    B: Body<Data = Bytes>,
    B::Error: Into<BoxError>,
{
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        if let Some(deadline) = &mut self.deadline
            && deadline.as_mut().poll(context).is_ready()
        {
            return Poll::Ready(Some(Err(RequestTimedOut(self.time).into())));
        }
        self.body.as_mut().poll_frame(context).map_err(Into::into)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

/// Restricts a deletion to the object as it was read.
pub(crate) fn exactly(read: &ObjectMeta) -> Preconditions {
    Preconditions { uid: read.uid.clone(), resource_version: read.resource_version.clone() }
}

/// The token of the page that follows in a list; `None` after the last page.
pub(crate) fn next_page(page: ListMeta) -> Option<String> {
    page.continue_.filter(|token| !token.is_empty())
}

#[cfg(test)]
mod tests {
    use bootlace_test_api_server::{ApiServer, Slow};
    use futures::{StreamExt as _, TryStreamExt as _};
    use k8s_openapi::api::core::v1::{Pod, Secret};
    use kube::Api;
    use kube::api::WatchParams;
    use serde_json::json;
    use tokio::time::Instant;

    use super::*;

    fn client(api: &ApiServer) -> Client {
        ClientBuilder::new(api.service(), "default").with_layer(&TimeoutLayer(API_REQUEST_TIMEOUT)).build()
    }

    /// An API server with a Secret.
    fn with_secret() -> ApiServer {
        let api = ApiServer::new();
        api.put("/api/v1/namespaces/default/secrets/a", json!({"metadata": {"name": "a"}}));
        api
    }

    fn sends_slowly(pause: Option<Duration>) -> ApiServer {
        let api = with_secret();
        api.set_slow(Slow { first: 10, pause });
        api
    }

    #[tokio::test]
    async fn a_response_is_read_up_to_a_limit() {
        let api = with_secret();
        let request = || Request::get("/api/v1/namespaces/default/secrets/a").body(Vec::new()).unwrap();
        let whole = read_limited(&client(&api), request(), 10_000).await.unwrap().unwrap();
        assert!(whole.starts_with(b"{") && whole.ends_with(b"}"));
        let read = async |limit| read_limited(&client(&api), request(), limit).await.unwrap();
        assert_eq!(read(whole.len()).await.as_ref(), Some(&whole));
        assert_eq!(read(whole.len() - 1).await, None);
        api.fail("/api", 403);
        let error = read_limited(&client(&api), request(), 10_000).await.unwrap_err();
        assert!(matches!(error, kube::Error::Api(status) if status.code == 403));
    }

    #[tokio::test(start_paused = true)]
    async fn a_response_that_does_not_start_or_end_is_an_error() {
        let silent = with_secret();
        silent.set_silent(true);
        for (api, case) in [(silent, "no response"), (sends_slowly(None), "a part of a response")] {
            let begun = Instant::now();
            let secrets: Api<Secret> = Api::default_namespaced(client(&api));
            let error = secrets.get("a").await.unwrap_err();
            let message = watch_errors::describe_api_error("failed to read Secret a", &error);
            assert!(message.contains(" 15 s"), "{case}: {message}");
            assert_eq!(begun.elapsed().as_secs(), API_REQUEST_TIMEOUT.as_secs(), "{case}");
        }
        let slow = sends_slowly(Some(Duration::from_secs(1)));
        let secrets: Api<Secret> = Api::default_namespaced(client(&slow));
        assert_eq!(secrets.get("a").await.unwrap().metadata.name.as_deref(), Some("a"));
    }

    #[tokio::test(start_paused = true)]
    async fn a_watch_has_a_timeout_until_it_starts() {
        let begun = Instant::now();
        let api = ApiServer::new();
        api.set_silent(true);
        let pods: Api<Pod> = Api::default_namespaced(client(&api));
        pods.watch(&WatchParams::default(), "0").await.map(drop).unwrap_err();
        assert_eq!(begun.elapsed().as_secs(), API_REQUEST_TIMEOUT.as_secs());
        api.set_silent(false);
        let mut events = pods.watch(&WatchParams::default(), "0").await.unwrap().boxed();
        let idle = timeout(API_REQUEST_TIMEOUT * 10, events.try_next()).await;
        assert!(idle.is_err(), "the watch ended: {idle:?}");
    }
}
