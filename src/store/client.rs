//! The way to the store, for those who ask it: boot, the pipe sidecar and the containers that wait.
//!
//! The pod's token says who asks, so a request holds nothing but what is to be stored or told. Calls are idempotent, so
//! a client tries again as long as it has time, wherever it is not told that trying again is of no use.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use axum::body::Bytes;
use backon::{BackoffBuilder as _, ExponentialBackoff, ExponentialBuilder};
use reqwest::header::{AUTHORIZATION, CONTENT_TYPE, HeaderValue};
use reqwest::{Method, StatusCode, redirect};
use rustls::{ClientConfig, RootCertStore};
use rustls_pki_types::CertificateDer;
use rustls_pki_types::pem::PemObject as _;
use serde::de::DeserializeOwned;
use tokio::time::{Instant, sleep, timeout, timeout_at};

use super::api;
use super::protocol::{ErrorResponse, EventKind, EventRequest, PATH_EVENTS};
use bootlace_core::injected_config::StoreEndpoint;
use bootlace_core::names;

/// How long a connection may take. The store is in the same cluster.
const CONNECT_TIME: Duration = Duration::from_secs(3);
/// How long a connection that nobody uses is kept: some requests follow on each other, and then none for hours.
const IDLE_TIME: Duration = Duration::from_secs(5);

/// The pause before the second attempt, and what it grows to; each is lengthened by chance up to its double.
const FIRST_PAUSE: Duration = Duration::from_millis(100);
const LONGEST_PAUSE: Duration = Duration::from_secs(2);

/// Bytes of an answer that are read.
const MAX_ANSWER_BYTES: usize = 64 * 1024;

/// Where the kubelet keeps the token by which the store knows the pod.
pub(crate) fn token_file() -> PathBuf {
    Path::new(names::MOUNT_STORE).join(names::FILE_STORE_TOKEN)
}

/// The store, ready to be asked.
pub(crate) struct Client<'a> {
    store: &'a StoreEndpoint,
    token: &'a Path,
    http: reqwest::Client,
}

impl<'a> Client<'a> {
    /// Asks `store` with the token in the file `token`.
    pub(crate) fn new(store: &'a StoreEndpoint, token: &'a Path) -> Result<Self, ClientError> {
        let http = reqwest::Client::builder()
            .user_agent(concat!("bootlace/", env!("CARGO_PKG_VERSION")))
            .tls_backend_preconfigured(tls(store)?)
            .connect_timeout(CONNECT_TIME)
            .pool_idle_timeout(IDLE_TIME)
            // The webhook alone says where the token goes; neither an answer nor the container's env does.
            .redirect(redirect::Policy::none())
            .no_proxy()
            // A second attempt is this module's own to make.
            .retry(reqwest::retry::never())
            .build();
        let http =
            http.map_err(|error| ClientError::Setup(format!("the client cannot be set up: {error}")))?;
        Ok(Self { store, token, http })
    }

    /// Tells what came of it, in bounded time.
    pub(crate) async fn report(
        &self,
        outcome: EventKind,
        note: String,
        time: Duration,
    ) -> Result<(), ClientError> {
        let body = serde_json::to_vec(&EventRequest { outcome, note }).unwrap_or_default();
        self.request(Method::POST, PATH_EVENTS, body.into(), time).await.map(drop)
    }

    /// Asks until there is an answer, or `time` is over.
    pub(crate) async fn request(
        &self,
        method: Method,
        path: &str,
        body: Bytes,
        time: Duration,
    ) -> Result<StoreResponse, ClientError> {
        let deadline = Instant::now() + time;
        let mut pauses = pauses();
        let mut asked_before = false;
        let mut last = "no answer came".to_owned();
        loop {
            let failed = match timeout_at(deadline, self.attempt(&method, path, &body)).await {
                Ok(Ok((status, body))) if status.is_success() => {
                    let url = format!("{}{path}", self.store.url);
                    return Ok(StoreResponse { url, body, asked_before });
                }
                Ok(Ok((status, body))) if is_final(status) => return Err(self.refused(status, &body)),
                Ok(Ok((status, body))) => {
                    asked_before = true;
                    said(status, &body)
                }
                Ok(Err(ClientError::Failed { what, connected })) => {
                    asked_before |= connected;
                    what
                }
                Ok(Err(error)) => return Err(error),
                Err(_) => return Err(self.unreachable(time, last)),
            };
            last = failed;
            let pause = pauses.next().unwrap_or(LONGEST_PAUSE);
            if Instant::now() + pause >= deadline {
                return Err(self.unreachable(time, last));
            }
            sleep(pause).await;
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
            // Read each time: the kubelet renews it.
            .header(AUTHORIZATION, self.bearer()?)
            .header(CONTENT_TYPE, "application/json")
            // Shared, and not copied: it may be as large as an object can be.
            .body(body.clone());
        let failed = |error: reqwest::Error| ClientError::Failed {
            connected: !error.is_connect(),
            what: causes(&error.without_url()),
        };
        let exchange = async {
            let mut response = request.send().await.map_err(failed)?;
            let mut answer = Vec::new();
            while let Some(chunk) = response.chunk().await.map_err(failed)? {
                let room = MAX_ANSWER_BYTES.saturating_sub(answer.len());
                answer.extend_from_slice(chunk.get(..chunk.len().min(room)).unwrap_or_default());
            }
            Ok((response.status(), answer))
        };
        // A replica that went away without a word: the next attempt meets another.
        let late =
            |_| Err(ClientError::Failed { what: "no answer came in time".to_owned(), connected: true });
        timeout(api::REQUEST_TIMEOUT, exchange).await.unwrap_or_else(late)
    }

    fn bearer(&self) -> Result<HeaderValue, ClientError> {
        let unreadable = |error| ClientError::Token { path: self.token.to_owned(), error };
        let token = fs::read_to_string(self.token).map_err(unreadable)?;
        let mut value = HeaderValue::try_from(format!("Bearer {}", token.trim()))
            .map_err(|_| unreadable(io::ErrorKind::InvalidData.into()))?;
        value.set_sensitive(true);
        Ok(value)
    }

    fn refused(&self, status: StatusCode, body: &[u8]) -> ClientError {
        ClientError::Refused { url: self.store.url.clone(), what: said(status, body) }
    }

    fn unreachable(&self, time: Duration, what: String) -> ClientError {
        ClientError::Unreachable { url: self.store.url.clone(), seconds: time.as_secs(), what }
    }
}

/// An answer that is no error.
pub(crate) struct StoreResponse {
    url: String,
    body: Vec<u8>,
    /// Whether an earlier attempt may have been heard.
    pub(crate) asked_before: bool,
}

impl StoreResponse {
    /// What it says.
    pub(crate) fn read<T: DeserializeOwned>(&self) -> Result<T, ClientError> {
        serde_json::from_slice(&self.body).map_err(|_| ClientError::Strange { url: self.url.clone() })
    }
}

/// Whether a refusal stays one: see [`super::protocol`].
pub(super) fn is_final(status: StatusCode) -> bool {
    status.is_client_error()
        && ![StatusCode::REQUEST_TIMEOUT, StatusCode::TOO_MANY_REQUESTS].contains(&status)
}

/// The store's own sentence, or the status.
fn said(status: StatusCode, body: &[u8]) -> String {
    match serde_json::from_slice::<ErrorResponse>(body) {
        Ok(refusal) => refusal.message.chars().map(|one| if one.is_control() { ' ' } else { one }).collect(),
        Err(_) => format!("it answered {status}"),
    }
}

fn pauses() -> ExponentialBackoff {
    ExponentialBuilder::new()
        .with_min_delay(FIRST_PAUSE)
        .with_max_delay(LONGEST_PAUSE)
        .without_max_times()
        .with_jitter()
        .build()
}

/// An error with its causes: the outermost alone says no more than that something failed.
fn causes(error: &dyn std::error::Error) -> String {
    let causes = std::iter::successors(Some(error), |error| error.source());
    causes.map(ToString::to_string).collect::<Vec<_>>().join(": ")
}

fn tls(store: &StoreEndpoint) -> Result<ClientConfig, ClientError> {
    let unreadable = |why: &dyn std::fmt::Display| {
        ClientError::Setup(format!("the CA of the store cannot be read ({why}): the webhook gives it"))
    };
    let mut roots = RootCertStore::empty();
    for certificate in CertificateDer::pem_slice_iter(store.ca.as_bytes()) {
        let certificate = certificate.map_err(|error| unreadable(&error))?;
        roots.add(certificate).map_err(|error| unreadable(&error))?;
    }
    // Named here, so that it does not matter what the process installed.
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let builder = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|error| ClientError::Setup(format!("TLS cannot be set up: {error}")))?;
    Ok(builder.with_root_certificates(roots).with_no_client_auth())
}

/// Why the store cannot be asked, or does not do it. No message holds what was to be stored, or the token.
#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    /// What the webhook says cannot be used.
    #[error("the store cannot be asked: {0}")]
    Setup(String),
    /// The token is not there.
    #[error("the token for the store cannot be read from {path:?}: {error}")]
    Token {
        /// Where it should be.
        path: PathBuf,
        /// What the system says.
        error: io::Error,
    },
    /// An attempt brought no answer.
    #[error("{what}")]
    Failed {
        /// Why.
        what: String,
        /// Whether there was a connection.
        connected: bool,
    },
    /// There was no answer in time.
    #[error(
        "the store at {url} did not answer within {seconds} s ({what}): is it running, and do the pod's DNS and \
         NetworkPolicies let it reach the store?"
    )]
    Unreachable {
        /// Where.
        url: String,
        /// The time.
        seconds: u64,
        /// What came of the last attempt.
        what: String,
    },
    /// The store says no.
    #[error("the store at {url} refuses: {what}")]
    Refused {
        /// Where.
        url: String,
        /// Its sentence.
        what: String,
    },
    /// The answer is none of the store's.
    #[error("{url} gave an answer that is none of the store's: use a store of the webhook's own version")]
    Strange {
        /// Where.
        url: String,
    },
}

impl ClientError {
    /// Whether another try later may help.
    #[must_use]
    pub fn is_temporary(&self) -> bool {
        matches!(self, Self::Unreachable { .. } | Self::Failed { .. })
    }
}
