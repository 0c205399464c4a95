//! Retries and time limit of a source.

use tokio::time::{sleep, timeout_at};

use super::SourceError;
use crate::http::{Attempts, Body, HttpClient, HttpError, Request};

/// Sends the request until `receive` reads a response completely. It is called for each attempt that gets a
/// response, so it must discard what it received before.
pub(super) async fn fetch<T>(
    client: &HttpClient<'_>,
    request: &Request<'_>,
    take: impl AsyncFnMut(Body) -> Result<T, SourceError>,
) -> Result<T, SourceError> {
    fetch_by(client, async || client.exchange(request).await, take).await
}

/// Like [`fetch`], for a source that needs several requests to get a response, all of which `send` makes.
pub(super) async fn fetch_by<T>(
    client: &HttpClient<'_>,
    ask: impl AsyncFnMut() -> Result<Body, HttpError>,
    take: impl AsyncFnMut(Body) -> Result<T, SourceError>,
) -> Result<T, SourceError> {
    in_time(client, attempt(client, ask, take), || client.progress().describe()).await
}

/// Runs `fetch` within the time limit of the source, and describes with `doing` what was in progress at the
/// limit.
pub(super) async fn in_time<T>(
    client: &HttpClient<'_>,
    fetch: impl Future<Output = Result<T, SourceError>>,
    doing: impl FnOnce() -> Option<String>,
) -> Result<T, SourceError> {
    let Some(seconds) = client.says().timeout_seconds else {
        return fetch.await;
    };
    let in_time = timeout_at(client.deadline(), fetch).await;
    in_time.unwrap_or_else(|_| {
        Err(SourceError::too_slow(seconds, "client.timeoutSeconds of the source", doing()))
    })
}

async fn attempt<T>(
    client: &HttpClient<'_>,
    mut ask: impl AsyncFnMut() -> Result<Body, HttpError>,
    mut take: impl AsyncFnMut(Body) -> Result<T, SourceError>,
) -> Result<T, SourceError> {
    let mut attempts = Attempts::new(client.says().attempts, client.deadline());
    loop {
        let result = match ask().await {
            Ok(body) => take(body).await,
            Err(error) => Err(error.into()),
        };
        let error = match result {
            Err(SourceError::Http(error)) if error.is_temporary() => error,
            result => return result,
        };
        let failed = error.to_string();
        let pause = attempts.again(error)?;
        client.progress().failed(&failed);
        sleep(pause).await;
    }
}
