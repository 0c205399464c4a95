//! Retries and time limit of a source.

use tokio::time::{sleep, timeout_at};

use super::SourceError;
use crate::http::{Attempts, Body, HttpClient, HttpError, Request};

/// Sends the request until `receive` reads a response completely. It is called for each attempt that gets a
/// response, so it must discard what it received before.
pub(super) async fn fetch<T>(
    client: &HttpClient<'_>,
    request: &Request<'_>,
    receive: impl AsyncFnMut(Body) -> Result<T, SourceError>,
) -> Result<T, SourceError> {
    fetch_by(client, async || client.exchange(request).await, receive).await
}

/// Like [`fetch`], for a source that needs several requests to get a response, all of which `send` makes.
pub(super) async fn fetch_by<T>(
    client: &HttpClient<'_>,
    send: impl AsyncFnMut() -> Result<Body, HttpError>,
    receive: impl AsyncFnMut(Body) -> Result<T, SourceError>,
) -> Result<T, SourceError> {
    fetch_while(client, HttpError::is_temporary, send, receive).await
}

/// Like [`fetch_by`], for a source that decides itself after which errors a retry may succeed.
pub(super) async fn fetch_while<T>(
    client: &HttpClient<'_>,
    is_temporary: fn(&HttpError) -> bool,
    send: impl AsyncFnMut() -> Result<Body, HttpError>,
    receive: impl AsyncFnMut(Body) -> Result<T, SourceError>,
) -> Result<T, SourceError> {
    let fetch = attempt(client, is_temporary, send, receive);
    in_time(client, fetch, || client.progress().describe()).await
}

/// Runs `fetch` within the time limit of the source, and describes with `in_progress` what was in progress at
/// the limit.
pub(super) async fn in_time<T>(
    client: &HttpClient<'_>,
    fetch: impl Future<Output = Result<T, SourceError>>,
    in_progress: impl FnOnce() -> Option<String>,
) -> Result<T, SourceError> {
    let Some(seconds) = client.settings().timeout_seconds else {
        return fetch.await;
    };
    let result = timeout_at(client.deadline(), fetch).await;
    result.unwrap_or_else(|_| {
        Err(SourceError::timed_out(seconds, "client.timeoutSeconds of the source", in_progress()))
    })
}

async fn attempt<T>(
    client: &HttpClient<'_>,
    is_temporary: fn(&HttpError) -> bool,
    mut send: impl AsyncFnMut() -> Result<Body, HttpError>,
    mut receive: impl AsyncFnMut(Body) -> Result<T, SourceError>,
) -> Result<T, SourceError> {
    let mut attempts = Attempts::new(client.settings().attempts, client.deadline());
    loop {
        let result = match send().await {
            Ok(body) => receive(body).await,
            Err(error) => Err(error.into()),
        };
        let error = match result {
            Err(SourceError::Http(error)) if is_temporary(&error) => error,
            result => return result,
        };
        let message = error.to_string();
        let delay = attempts.next_delay(error)?;
        client.progress().attempt_failed(&message);
        sleep(delay).await;
    }
}
