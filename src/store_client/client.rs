//! The client of the store, for boot, the sidecar and the containers that wait.
//!
//! The token identifies the pod, so a request contains only what to store or report. Requests are idempotent,
//! so the client retries until its deadline, unless the store's response is final.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use backon::{BackoffBuilder as _, ExponentialBackoff, ExponentialBuilder};
use hyper::body::Bytes;
use reqwest::header::{AUTHORIZATION, CONTENT_TYPE, HeaderValue};
use reqwest::{Method, StatusCode, redirect};
use rustls::{ClientConfig, RootCertStore};
use serde::de::DeserializeOwned;
use tokio::time::{Instant, sleep, timeout, timeout_at};

use super::protocol::{ErrorResponse, EventKind, EventRequest, PATH_EVENTS, REQUEST_TIMEOUT, is_final};
use crate::http::{USER_AGENT, tls};
use crate::text;
use bootlace_core::code::{Code, Coded};
use bootlace_core::injected_config::StoreEndpoint;
use bootlace_core::names;

/// How long a pod tries to report an Event about a failure. The termination message has the same text.
pub(crate) const EVENT_TIMEOUT: Duration = Duration::from_secs(5);

/// Timeout of the TCP and TLS handshakes. The store is in the same cluster.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(3);
/// How long an idle connection stays open: a few requests can follow each other, and then none for hours.
const IDLE_TIMEOUT: Duration = Duration::from_secs(5);

/// The delay before the second attempt, and the longest delay. Jitter at most doubles each delay.
const RETRY_MIN_DELAY: Duration = Duration::from_millis(100);
const RETRY_MAX_DELAY: Duration = Duration::from_secs(2);

/// The client reads at most this many bytes of a response body.
const MAX_RESPONSE_BYTES: usize = 64 * 1024;

/// The path at which the kubelet mounts the token that identifies the pod to the store.
pub(crate) fn token_file() -> PathBuf {
    Path::new(names::MOUNT_STORE).join(names::FILE_STORE_TOKEN)
}

/// A client of the store.
pub(crate) struct StoreClient<'a> {
    store: &'a StoreEndpoint,
    token: &'a Path,
    http: reqwest::Client,
}

impl<'a> StoreClient<'a> {
    /// A client of `store` that authenticates with the token in the file `token`.
    pub(crate) fn new(store: &'a StoreEndpoint, token: &'a Path) -> Result<Self, ClientError> {
        let http = reqwest::Client::builder()
            .user_agent(USER_AGENT)
            .tls_backend_preconfigured(tls_config(store)?)
            .connect_timeout(CONNECT_TIMEOUT)
            .pool_idle_timeout(IDLE_TIMEOUT)
            // Only the webhook decides where the token is sent: not a response, and not the env of the
            // container.
            .redirect(redirect::Policy::none())
            .no_proxy()
            // This module retries by itself.
            .retry(reqwest::retry::never())
            .build();
        let http =
            http.map_err(|error| ClientError::Setup(format!("failed to create the client: {error}")))?;
        Ok(Self { store, token, http })
    }

    /// Reports an Event within `time`.
    pub(crate) async fn report(
        &self,
        outcome: EventKind,
        note: String,
        time: Duration,
    ) -> Result<(), ClientError> {
        let body = serde_json::to_vec(&EventRequest { outcome, note }).unwrap_or_default();
        self.request(Method::POST, PATH_EVENTS, body.into(), time).await.map(drop)
    }

    /// Sends a request, and retries until there is a final response or `time` has passed.
    pub(crate) async fn request(
        &self,
        method: Method,
        path: &str,
        body: Bytes,
        time: Duration,
    ) -> Result<StoreResponse, ClientError> {
        let deadline = Instant::now() + time;
        let mut delays = retry_delays();
        let mut may_be_repeated = false;
        let mut last_problem = Problem::no_response("no response".to_owned());
        loop {
            last_problem = match timeout_at(deadline, self.attempt(&method, path, &body)).await {
                Ok(Ok((status, body))) if status.is_success() => {
                    let url = format!("{}{path}", self.store.url);
                    return Ok(StoreResponse { url, body, may_be_repeated });
                }
                Ok(Ok((status, body))) if is_final(status) => {
                    let (message, code) = parse_error(status, &body);
                    return Err(ClientError::Refused { url: self.store.url.clone(), message, code });
                }
                Ok(Ok((status, body))) => {
                    may_be_repeated = true;
                    let (message, code) = parse_error(status, &body);
                    Problem { message, has_response: true, code }
                }
                Ok(Err(ClientError::Failed { message, connected })) => {
                    may_be_repeated |= connected;
                    Problem::no_response(message)
                }
                Ok(Err(error)) => return Err(error),
                Err(_) => return Err(self.timed_out(time, last_problem)),
            };
            let delay = delays.next().unwrap_or(RETRY_MAX_DELAY);
            if Instant::now() + delay >= deadline {
                return Err(self.timed_out(time, last_problem));
            }
            sleep(delay).await;
        }
    }

    async fn attempt(
        &self,
        method: &Method,
        path: &str,
        body: &Bytes,
    ) -> Result<(StatusCode, Vec<u8>), ClientError> {
        let request = self
            .http
            .request(method.clone(), format!("{}{path}", self.store.url.trim_end_matches('/')))
            // Read for each attempt, because the kubelet renews the token.
            .header(AUTHORIZATION, self.bearer()?)
            .header(CONTENT_TYPE, "application/json")
            // Shared, not copied: the body can be as large as an object.
            .body(body.clone());
        let failed = |error: reqwest::Error| ClientError::Failed {
            connected: !error.is_connect(),
            message: text::error_chain(&error.without_url()),
        };
        let exchange = async {
            let mut response = request.send().await.map_err(failed)?;
            let mut content = Vec::new();
            while let Some(chunk) = response.chunk().await.map_err(failed)? {
                let room = MAX_RESPONSE_BYTES.saturating_sub(content.len());
                content.extend_from_slice(chunk.get(..chunk.len().min(room)).unwrap_or_default());
            }
            Ok((response.status(), content))
        };
        // A replica that was killed does not close its connections; the next attempt connects to another one.
        let timed_out = |_| {
            let seconds = REQUEST_TIMEOUT.as_secs();
            Err(ClientError::Failed { message: format!("no response within {seconds} s"), connected: true })
        };
        timeout(REQUEST_TIMEOUT, exchange).await.unwrap_or_else(timed_out)
    }

    fn bearer(&self) -> Result<HeaderValue, ClientError> {
        let unreadable = |error| ClientError::Token { path: self.token.to_owned(), error };
        let token = fs::read_to_string(self.token).map_err(unreadable)?;
        let mut value = HeaderValue::try_from(format!("Bearer {}", token.trim()))
            .map_err(|_| unreadable(io::ErrorKind::InvalidData.into()))?;
        value.set_sensitive(true);
        Ok(value)
    }

    fn timed_out(&self, time: Duration, last_problem: Problem) -> ClientError {
        let (url, seconds) = (self.store.url.clone(), time.as_secs());
        let Problem { message, has_response, code } = last_problem;
        if has_response {
            ClientError::Unavailable { url, seconds, message, code }
        } else {
            ClientError::Unreachable { url, seconds, message }
        }
    }
}

/// Why an attempt failed that can be retried.
struct Problem {
    message: String,
    has_response: bool,
    /// The code in the response.
    code: Option<Code>,
}

impl Problem {
    fn no_response(message: String) -> Self {
        Self { message, has_response: false, code: None }
    }
}

/// A successful response.
pub(crate) struct StoreResponse {
    url: String,
    body: Vec<u8>,
    /// Whether the store may have processed an earlier attempt of the same request.
    pub(crate) may_be_repeated: bool,
}

impl StoreResponse {
    /// Parses the body.
    pub(crate) fn parse<T: DeserializeOwned>(&self) -> Result<T, ClientError> {
        serde_json::from_slice(&self.body)
            .map_err(|_| ClientError::UnexpectedResponse { url: self.url.clone() })
    }
}

/// The message and the code of an error response; only the status if the body is not an [`ErrorResponse`].
fn parse_error(status: StatusCode, body: &[u8]) -> (String, Option<Code>) {
    let Ok(ErrorResponse { message, code, .. }) = serde_json::from_slice(body) else {
        return (format!("status {status}"), None);
    };
    // A newer store can send a code that this version does not have.
    (text::one_line(&message), code.as_deref().and_then(Code::parse))
}

fn retry_delays() -> ExponentialBackoff {
    ExponentialBuilder::new()
        .with_min_delay(RETRY_MIN_DELAY)
        .with_max_delay(RETRY_MAX_DELAY)
        .without_max_times()
        .with_jitter()
        .build()
}

fn tls_config(store: &StoreEndpoint) -> Result<ClientConfig, ClientError> {
    let mut roots = RootCertStore::empty();
    tls::add_roots(&mut roots, store.ca.as_bytes()).map_err(|error| {
        ClientError::Setup(format!(
            "the CA of the store in the injected configuration is invalid ({error}): check the CA that the webhook reads"
        ))
    })?;
    tls::client_config(roots).map_err(|error| ClientError::Setup(format!("failed to set up TLS: {error}")))
}

/// A request to the store that failed. No message contains the content to store or the token.
#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    /// The address or the CA of the store in the injected configuration is invalid.
    #[error("failed to set up the client of the store: {0}")]
    Setup(String),
    /// The token is missing or unreadable.
    #[error("failed to read the token for the store from {path:?}: {error}")]
    Token {
        /// The path of the token.
        path: PathBuf,
        /// The error of the operating system.
        error: io::Error,
    },
    /// One attempt had no response.
    #[error("{message}")]
    Failed {
        /// The cause.
        message: String,
        /// Whether the connection was established.
        connected: bool,
    },
    /// There was no response in time.
    #[error(
        "timed out requesting the store at {url} after {seconds} s ({message}): check that the store is running, and that DNS \
         and the NetworkPolicies let the pod connect to it"
    )]
    Unreachable {
        /// The URL of the store.
        url: String,
        /// The timeout.
        seconds: u64,
        /// The problem of the last attempt.
        message: String,
    },
    /// The store returned a temporary error until the timeout.
    #[error("timed out requesting the store at {url} after {seconds} s: {message}")]
    Unavailable {
        /// The URL of the store.
        url: String,
        /// The timeout.
        seconds: u64,
        /// The last error message of the store.
        message: String,
        /// Its code.
        code: Option<Code>,
    },
    /// The store refused the request.
    #[error("the store at {url} refused the request: {message}")]
    Refused {
        /// The URL of the store.
        url: String,
        /// The error message of the store.
        message: String,
        /// Its code.
        code: Option<Code>,
    },
    /// The response has an unknown format.
    #[error(
        "unexpected response from {url}: check that it is a Bootlace store of the same version as the webhook"
    )]
    UnexpectedResponse {
        /// The URL of the request.
        url: String,
    },
}

impl ClientError {
    /// Whether a later attempt can succeed.
    #[must_use]
    pub fn is_temporary(&self) -> bool {
        matches!(self, Self::Unreachable { .. } | Self::Unavailable { .. } | Self::Failed { .. })
    }

    /// Whether the store has refused the request, so that no repetition of it can succeed.
    #[must_use]
    pub fn is_refusal(&self) -> bool {
        matches!(self, Self::Refused { .. })
    }
}

impl Coded for ClientError {
    /// The code of the store's response if it has one: it leads to the cause.
    fn code(&self) -> Code {
        match self {
            Self::Setup(_) => Code::StoreEndpointInvalid,
            Self::Token { .. } => Code::StoreTokenUnreadable,
            Self::Failed { .. } | Self::Unreachable { .. } => Code::StoreUnreachable,
            Self::Unavailable { code, .. } | Self::Refused { code, .. } => code.unwrap_or(Code::StoreRefused),
            Self::UnexpectedResponse { .. } => Code::StoreResponseInvalid,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn errors_of_this_version_and_of_others_are_parsed() {
        let parse = |body: &str| parse_error(StatusCode::FORBIDDEN, body.as_bytes());
        let old = r#"{"reason":"Forbidden","message":"not\nallowed"}"#;
        assert_eq!(parse(old), ("not allowed".to_owned(), None));
        let current = r#"{"reason":"Forbidden","message":"no","code":"BL5106"}"#;
        assert_eq!(parse(current), ("no".to_owned(), Some(Code::RequestNotAllowed)));
        let newer = r#"{"reason":"Forbidden","message":"no","code":"BL5999","more":1}"#;
        assert_eq!(parse(newer), ("no".to_owned(), None));
        assert_eq!(parse("<html>"), ("status 403 Forbidden".to_owned(), None));
    }
}
