//! For a library that builds and signs its requests itself: what becomes of each is the same as for boot's own.
//!
//! No redirect is followed: a signature holds for one host, and a store that sends boot elsewhere has another address
//! than the profile says.

use std::fmt;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use reqwest::header::HeaderMap;
use reqwest::{Request, Response, StatusCode, Url};
use tokio::time::{Instant, sleep, timeout};

use super::error::HttpError;
use super::request::{ERROR_TIME, MAX_ERROR_BYTES, MAX_SAID};
use super::retry::{self, Attempts};

/// How long the node's own service, which gives credentials, may take for an answer. It is next door, or it is not
/// there: on a node that is in no cloud, packets to it lead nowhere.
const METADATA_TIME: Duration = Duration::from_secs(5);
/// How often it is asked at most: it may start a little later than the first pods of a new node.
const METADATA_ATTEMPTS: u32 = 3;

/// Makes requests, with all of their attempts.
pub(crate) struct Transport {
    pub(super) client: reqwest::Client,
    /// Without the profile's proxy.
    pub(super) direct: reqwest::Client,
    /// Where most requests go; any other place is asked for credentials.
    pub(super) store: Url,
    pub(super) attempts: u32,
    pub(super) connect_seconds: u32,
    pub(super) deadline: Instant,
    /// What no log may show.
    pub(super) secrets: Vec<String>,
    pub(super) terms: ErrorMapping,
    /// The last attempt's error, for whoever cuts a fetch off.
    pub(super) failed: Mutex<Option<String>>,
}

/// What errors mean to whoever makes the requests.
#[derive(Clone, Copy)]
pub(crate) struct ErrorMapping {
    /// The server's own words, found in an error's headers and body.
    pub(crate) said: fn(&HeaderMap, &[u8]) -> Option<ServerError>,
    /// What to do about the store's error.
    pub(crate) remedy: fn(StatusCode, &str) -> &'static str,
    /// What to do where nobody gives credentials.
    pub(crate) identity: &'static str,
}

/// A server's own words.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct ServerError {
    /// The error's name: `NoSuchKey`.
    pub(crate) code: String,
    /// The sentence, if there is one.
    pub(crate) message: String,
}

impl Transport {
    /// Sends `request` until it is answered with success. Its body is in memory.
    pub(crate) async fn send(&self, request: Request) -> Result<Response, HttpError> {
        let is_local = self.is_local(request.url());
        let most = if is_local { self.attempts.min(METADATA_ATTEMPTS) } else { self.attempts };
        let mut attempts = Attempts::new(most, self.deadline);
        loop {
            let error = match self.attempt(&request, is_local).await {
                Ok(response) => return Ok(response),
                Err(error) if !error.is_temporary() => return Err(self.about(request.url(), error)),
                Err(error) => error,
            };
            let failed = error.to_string();
            let pause = attempts.again(error).map_err(|error| self.about(request.url(), error))?;
            *self.failed.lock().unwrap_or_else(PoisonError::into_inner) = Some(failed);
            sleep(pause).await;
        }
    }

    /// The last attempt's error, if a later one did not bring an answer.
    pub(crate) fn failed(&self) -> Option<String> {
        self.failed.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// What an answer's body came to that broke off.
    pub(crate) fn broke(&self, url: &Url, error: &reqwest::Error) -> HttpError {
        HttpError::of(&place(url), self.connect_seconds, error)
    }

    async fn attempt(&self, request: &Request, is_local: bool) -> Result<Response, HttpError> {
        let (place, to_store) = (place(request.url()), self.is_store(request.url()));
        let Some(mut request) = request.try_clone() else {
            return Err(HttpError::Setup("internal error: the body of the request cannot be sent again; please report this bug".to_owned()));
        };
        let client = if is_local { &self.direct } else { &self.client };
        if is_local {
            *request.timeout_mut() = Some(METADATA_TIME);
        }
        let sent = client.execute(request).await;
        let response = sent.map_err(|error| HttpError::of(&place, self.connect_seconds, &error))?;
        if !response.status().is_success() {
            return Err(self.refusal(to_store, place, response).await);
        }
        *self.failed.lock().unwrap_or_else(PoisonError::into_inner) = None;
        Ok(response)
    }

    /// Credentials without TLS are the node's own service's, which no proxy reaches.
    fn is_local(&self, url: &Url) -> bool {
        !self.is_store(url) && url.scheme() == "http"
    }

    fn is_store(&self, url: &Url) -> bool {
        url.origin() == self.store.origin()
    }

    /// `error`, told as what it means to the source.
    fn about(&self, url: &Url, error: HttpError) -> HttpError {
        if self.is_store(url) {
            return error;
        }
        let inner = if let HttpError::GaveUp { error, .. } = &error { error } else { &error };
        let remedy = match inner {
            HttpError::Status { .. } => String::new(),
            _ => format!("; {}", self.terms.identity),
        };
        HttpError::Identity { error: Box::new(error), remedy }
    }

    async fn refusal(&self, to_store: bool, place: String, response: Response) -> HttpError {
        let status = response.status();
        let retry_after = retry::after(&response);
        let headers = response.headers().clone();
        // Without a sentence of its own the status says what there is to say.
        let body = timeout(ERROR_TIME, beginning(response)).await.unwrap_or_default();
        let said = (self.terms.said)(&headers, &body);
        let code = said.as_ref().map_or("", |said| &said.code);
        let remedy = if to_store { (self.terms.remedy)(status, code) } else { self.terms.identity };
        let said = said.as_ref().map_or_else(String::new, |said| format!(" ({:?})", self.shown(said)));
        HttpError::Status { place, status, said, remedy, retry_after, demand: None }
    }

    /// The server's words, on one line, without any of the secrets.
    fn shown(&self, said: &ServerError) -> String {
        let words = [said.code.as_str(), said.message.lines().next().unwrap_or_default()];
        let words: Vec<_> = words.into_iter().filter(|part| !part.is_empty()).collect();
        let mut text = words.join(": ");
        for secret in self.secrets.iter().filter(|secret| !secret.is_empty()) {
            text = text.replace(secret, "[redacted]");
        }
        text.chars().take(MAX_SAID).collect()
    }
}

/// Where a request goes, as logs may show it: without a query, and with its path as people write it. Google's keys have
/// even their slashes encoded.
pub(crate) fn place(url: &Url) -> String {
    let path = percent_encoding::percent_decode_str(url.path()).decode_utf8_lossy();
    format!("{}{}", url.origin().ascii_serialization(), path.escape_debug())
}

/// What an error's body begins with.
async fn beginning(mut response: Response) -> Vec<u8> {
    let mut read = Vec::new();
    while let Ok(Some(chunk)) = response.chunk().await {
        read.extend_from_slice(&chunk);
        if read.len() as u64 >= MAX_ERROR_BYTES {
            break;
        }
    }
    read
}

/// Shows no secret.
impl fmt::Debug for Transport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Transport").field("store", &self.store.as_str()).finish_non_exhaustive()
    }
}
