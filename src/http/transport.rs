//! Sends requests that a library builds and signs, by the same rules as those of boot itself.
//!
//! Redirects are not followed: a signature is valid for one host, and a store that redirects has another
//! address than the profile names.

use std::fmt;
use std::time::Duration;

use parking_lot::Mutex;
use reqwest::header::HeaderMap;
use reqwest::{Request, Response, StatusCode, Url};
use tokio::time::{Instant, sleep, timeout};

use super::display::display_url;
use super::error::{ERROR_TIMEOUT, HttpError, MAX_ERROR_BYTES, MAX_MESSAGE_CHARS};
use super::retry::{self, Attempts};

/// Time limit for the metadata service of the node, which provides credentials. It is close, or it does not
/// exist: on a node that is not in a cloud, packets to it are lost.
const METADATA_TIME: Duration = Duration::from_secs(5);
/// Maximum number of attempts: the service may start a little later than the first pods of a new node.
const METADATA_ATTEMPTS: u32 = 3;

/// Sends requests with retries.
pub(crate) struct LibraryTransport {
    pub(super) client: reqwest::Client,
    /// The client without the proxy of the profile.
    pub(super) direct: reqwest::Client,
    /// The address of the store. Requests to other addresses are for credentials.
    pub(super) store: Url,
    pub(super) attempts: u32,
    pub(super) connect_seconds: u32,
    pub(super) deadline: Instant,
    /// Values that must not be logged.
    pub(super) secrets: Vec<String>,
    pub(super) errors: ErrorMapping,
    /// The error of the last attempt, for the error message of a timeout.
    pub(super) failed: Mutex<Option<String>>,
}

/// How to interpret error responses.
#[derive(Clone, Copy)]
pub(crate) struct ErrorMapping {
    /// Finds the server's message in headers and body of an error response.
    pub(crate) message: fn(&HeaderMap, &[u8]) -> Option<ServerError>,
    /// The remedy for an error of the store.
    pub(crate) remedy: fn(StatusCode, &str) -> &'static str,
    /// The remedy if there are no credentials.
    pub(crate) identity: &'static str,
}

/// The message of a server.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct ServerError {
    /// The name of the error: `NoSuchKey`.
    pub(crate) code: String,
    /// The message, which may be empty.
    pub(crate) message: String,
}

impl LibraryTransport {
    /// Sends `request` until it succeeds. Its body is in memory.
    pub(crate) async fn send(&self, request: Request) -> Result<Response, HttpError> {
        let is_local = self.is_local(request.url());
        let most = if is_local { self.attempts.min(METADATA_ATTEMPTS) } else { self.attempts };
        let mut attempts = Attempts::new(most, self.deadline);
        loop {
            let error = match self.attempt(&request, is_local).await {
                Ok(response) => return Ok(response),
                Err(error) if !error.is_temporary() => return Err(self.with_context(request.url(), error)),
                Err(error) => error,
            };
            let failed = error.to_string();
            let pause =
                attempts.next_delay(error).map_err(|error| self.with_context(request.url(), error))?;
            *self.failed.lock() = Some(failed);
            sleep(pause).await;
        }
    }

    /// The error of the last attempt, unless a later one succeeded.
    pub(crate) fn last_error(&self) -> Option<String> {
        self.failed.lock().clone()
    }

    /// Converts the error of an interrupted body.
    pub(crate) fn body_error(&self, url: &Url, error: &reqwest::Error) -> HttpError {
        HttpError::from_reqwest(&display_url(url), self.connect_seconds, error)
    }

    async fn attempt(&self, request: &Request, is_local: bool) -> Result<Response, HttpError> {
        let (address, to_store) = (display_url(request.url()), self.is_store(request.url()));
        let Some(mut request) = request.try_clone() else {
            return Err(HttpError::Setup(
                "internal error: the body of the request cannot be sent again; please report this bug"
                    .to_owned(),
            ));
        };
        let client = if is_local { &self.direct } else { &self.client };
        if is_local {
            *request.timeout_mut() = Some(METADATA_TIME);
        }
        let sent = client.execute(request).await;
        let response =
            sent.map_err(|error| HttpError::from_reqwest(&address, self.connect_seconds, &error))?;
        if !response.status().is_success() {
            return Err(self.error_response(to_store, address, response).await);
        }
        *self.failed.lock() = None;
        Ok(response)
    }

    /// Without TLS, credentials come from the metadata service of the node, which no proxy reaches.
    fn is_local(&self, url: &Url) -> bool {
        !self.is_store(url) && url.scheme() == "http"
    }

    fn is_store(&self, url: &Url) -> bool {
        url.origin() == self.store.origin()
    }

    /// Wraps the error of a request for credentials.
    fn with_context(&self, url: &Url, error: HttpError) -> HttpError {
        if self.is_store(url) {
            return error;
        }
        let inner = if let HttpError::GaveUp { error, .. } = &error { error } else { &error };
        let remedy = match inner {
            HttpError::Status { .. } => String::new(),
            _ => format!("; {}", self.errors.identity),
        };
        HttpError::Identity { error: Box::new(error), remedy }
    }

    async fn error_response(&self, to_store: bool, address: String, response: Response) -> HttpError {
        let status = response.status();
        let retry_after = retry::retry_after(&response);
        let headers = response.headers().clone();
        // If there is no message, the status must suffice.
        let body = timeout(ERROR_TIMEOUT, read_beginning(response)).await.unwrap_or_default();
        let message = (self.errors.message)(&headers, &body);
        let code = message.as_ref().map_or("", |message| &message.code);
        let remedy = if to_store { (self.errors.remedy)(status, code) } else { self.errors.identity };
        let message = message
            .as_ref()
            .map_or_else(String::new, |message| format!(" ({:?})", self.format_message(message)));
        HttpError::Status { address, status, message, remedy, retry_after, challenge: None }
    }

    /// The server's message in one line, without secrets.
    fn format_message(&self, message: &ServerError) -> String {
        let parts = [message.code.as_str(), message.message.lines().next().unwrap_or_default()];
        let parts: Vec<_> = parts.into_iter().filter(|part| !part.is_empty()).collect();
        let mut text = parts.join(": ");
        for secret in self.secrets.iter().filter(|secret| !secret.is_empty()) {
            text = text.replace(secret, "[redacted]");
        }
        text.chars().take(MAX_MESSAGE_CHARS).collect()
    }
}

/// Reads the beginning of an error response.
async fn read_beginning(mut response: Response) -> Vec<u8> {
    let mut read = Vec::new();
    while let Ok(Some(chunk)) = response.chunk().await {
        read.extend_from_slice(&chunk);
        if read.len() as u64 >= MAX_ERROR_BYTES {
            break;
        }
    }
    read
}

/// Omits the secrets.
impl fmt::Debug for LibraryTransport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LibraryTransport").field("store", &self.store.as_str()).finish_non_exhaustive()
    }
}
