//! All attempts of a source to be answered, and the time for them.

use tokio::time::{sleep, timeout_at};

use super::SourceError;
use crate::http::{Attempts, Body, HttpClient, HttpError, Request};

/// Asks until there is an answer that `take` could read to its end: it is called for each attempt that brings one, so
/// what it was given before must not count.
pub(super) async fn fetch<T>(
    client: &HttpClient<'_>,
    request: &Request<'_>,
    take: impl AsyncFnMut(Body) -> Result<T, SourceError>,
) -> Result<T, SourceError> {
    fetch_by(client, async || client.exchange(request).await, take).await
}

/// As [`fetch`], where it takes more than one request to be answered: `ask` makes them all.
pub(super) async fn fetch_by<T>(
    client: &HttpClient<'_>,
    ask: impl AsyncFnMut() -> Result<Body, HttpError>,
    take: impl AsyncFnMut(Body) -> Result<T, SourceError>,
) -> Result<T, SourceError> {
    in_time(client, attempt(client, ask, take), || client.progress().describe()).await
}

/// What `fetch` comes to, unless the source's own time is over first, while `doing` was waited for.
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
