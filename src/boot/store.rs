//! Boot's way to the store: the Secret of the boot env, and the Event that tells how the boot went.
//!
//! The pod's token says who asks, so a request holds nothing but the env or the words. Calls are idempotent, so boot
//! tries again as long as it has time, wherever it is not told that trying again is of no use.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use backon::{BackoffBuilder as _, ExponentialBackoff, ExponentialBuilder};
use k8s_openapi::ByteString;
use reqwest::header::{AUTHORIZATION, CONTENT_TYPE, HeaderValue};
use reqwest::{Method, StatusCode, redirect};
use rustls::{ClientConfig, RootCertStore};
use rustls_pki_types::CertificateDer;
use rustls_pki_types::pem::PemObject as _;
use tokio::time::{Instant, sleep, timeout, timeout_at};

use super::error::BootError;
use super::merge::Content;
use crate::plan::Store;
use crate::store::api;
use crate::store::protocol::{
    Env, EnvStored, MAX_ENV_BYTES, MAX_NAME_BYTES, Outcome, PATH_ENV, PATH_EVENTS, Refusal, Report,
};

/// How long boot tries to have its env stored: time for a replica to be started anew.
const ENV_TIME: Duration = Duration::from_mins(1);
/// How long a failure may take to be told. It stands in the termination message already.
const FAILURE_TIME: Duration = Duration::from_secs(5);
/// How long a success may take to be told: the task waits for it.
const SUCCESS_TIME: Duration = Duration::from_secs(1);
/// How long a connection may take. The store is in the same cluster.
const CONNECT_TIME: Duration = Duration::from_secs(3);

/// The pause before the second attempt, and what it grows to; each is lengthened by chance up to its double.
const FIRST_PAUSE: Duration = Duration::from_millis(100);
const LONGEST_PAUSE: Duration = Duration::from_secs(2);

/// Bytes of an answer that are read.
const MAX_ANSWER_BYTES: usize = 64 * 1024;

/// The store, ready to be asked.
pub(crate) struct Client<'a> {
    store: &'a Store,
    token: &'a Path,
    http: reqwest::Client,
}

impl<'a> Client<'a> {
    /// Asks `store` with the token in the file `token`.
    pub(crate) fn new(store: &'a Store, token: &'a Path) -> Result<Self, StoreError> {
        let http = reqwest::Client::builder()
            .user_agent(concat!("bootlace/", env!("CARGO_PKG_VERSION")))
            .tls_backend_preconfigured(tls(store)?)
            .connect_timeout(CONNECT_TIME)
            // The webhook alone says where the token goes; neither an answer nor the container's env does.
            .redirect(redirect::Policy::none())
            .no_proxy()
            // A second attempt is this module's own to make.
            .retry(reqwest::retry::never())
            .build();
        let http =
            http.map_err(|error| StoreError::Setup(format!("the client cannot be set up: {error}")))?;
        Ok(Self { store, token, http })
    }

    /// Has the boot env stored as `secret`, and says what came of it.
    pub(crate) async fn put_env(&self, secret: &str, env: &Env) -> Result<&'static str, StoreError> {
        // Strings by name: it cannot fail.
        let body = serde_json::to_vec(env).unwrap_or_default();
        let answer = self.ask(Method::PUT, PATH_ENV, &body, ENV_TIME).await?;
        let stored: EnvStored = serde_json::from_slice(&answer.body)
            .map_err(|_| StoreError::Strange { url: self.store.url.clone(), path: PATH_ENV })?;
        match stored {
            EnvStored { created: true, .. } => Ok("created"),
            // An earlier attempt of this boot may have had it made, though no answer came, or an earlier boot.
            EnvStored { booted_before, .. } if answer.asked_before || booted_before => {
                Ok("made by an earlier attempt, whose values stay")
            }
            EnvStored { .. } => Err(StoreError::Taken { secret: secret.to_owned() }),
        }
    }

    /// Tells how the boot went, in bounded time.
    pub(crate) async fn tell(&self, outcome: Outcome, note: String) -> Result<(), StoreError> {
        let time = if outcome == Outcome::Booted { SUCCESS_TIME } else { FAILURE_TIME };
        let body = serde_json::to_vec(&Report { outcome, note }).unwrap_or_default();
        self.ask(Method::POST, PATH_EVENTS, &body, time).await.map(drop)
    }

    /// Asks until there is an answer, or `time` is over.
    async fn ask(
        &self,
        method: Method,
        path: &'static str,
        body: &[u8],
        time: Duration,
    ) -> Result<Answer, StoreError> {
        let deadline = Instant::now() + time;
        let mut pauses = pauses();
        let mut asked_before = false;
        let mut last = "no answer came".to_owned();
        loop {
            let failed = match timeout_at(deadline, self.attempt(&method, path, body)).await {
                Ok(Ok((status, body))) if status.is_success() => return Ok(Answer { body, asked_before }),
                Ok(Ok((status, body))) if is_final(status) => return Err(self.refused(status, &body)),
                Ok(Ok((status, body))) => {
                    asked_before = true;
                    said(status, &body)
                }
                Ok(Err(StoreError::Failed { what, connected })) => {
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
        body: &[u8],
    ) -> Result<(StatusCode, Vec<u8>), StoreError> {
        let request = self
            .http
            .request(method.clone(), format!("{}{path}", self.store.url.trim_end_matches('/')))
            // Read each time: the kubelet renews it.
            .header(AUTHORIZATION, self.bearer()?)
            .header(CONTENT_TYPE, "application/json")
            .body(body.to_vec());
        let failed = |error: reqwest::Error| StoreError::Failed {
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
        let late = |_| Err(StoreError::Failed { what: "no answer came in time".to_owned(), connected: true });
        timeout(api::TIME, exchange).await.unwrap_or_else(late)
    }

    fn bearer(&self) -> Result<HeaderValue, StoreError> {
        let unreadable = |error| StoreError::Token { path: self.token.to_owned(), error };
        let token = fs::read_to_string(self.token).map_err(unreadable)?;
        let mut value = HeaderValue::try_from(format!("Bearer {}", token.trim()))
            .map_err(|_| unreadable(io::ErrorKind::InvalidData.into()))?;
        value.set_sensitive(true);
        Ok(value)
    }

    fn refused(&self, status: StatusCode, body: &[u8]) -> StoreError {
        StoreError::Refused { url: self.store.url.clone(), what: said(status, body) }
    }

    fn unreachable(&self, time: Duration, what: String) -> StoreError {
        StoreError::Unreachable { url: self.store.url.clone(), seconds: time.as_secs(), what }
    }
}

/// An answer that is no error.
struct Answer {
    body: Vec<u8>,
    /// Whether an earlier attempt may have been heard.
    asked_before: bool,
}

/// Whether a refusal stays one: see [`crate::store::protocol`].
fn is_final(status: StatusCode) -> bool {
    status.is_client_error()
        && ![StatusCode::REQUEST_TIMEOUT, StatusCode::TOO_MANY_REQUESTS].contains(&status)
}

/// The store's own sentence, or the status.
fn said(status: StatusCode, body: &[u8]) -> String {
    match serde_json::from_slice::<Refusal>(body) {
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

fn tls(store: &Store) -> Result<ClientConfig, StoreError> {
    let unreadable = |why: &dyn std::fmt::Display| {
        StoreError::Setup(format!("the CA of the store cannot be read ({why}): the webhook gives it"))
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
        .map_err(|error| StoreError::Setup(format!("TLS cannot be set up: {error}")))?;
    Ok(builder.with_root_certificates(roots).with_no_client_auth())
}

/// The boot env as the store takes it.
///
/// # Errors
/// Where a Secret cannot hold it, or the kubelet could not give it to a process.
pub(crate) fn env(content: &Content<'_>) -> Result<Env, BootError> {
    let mut env = BTreeMap::new();
    let mut bytes = 0;
    for (name, from) in &content.env {
        let value = from.given.record(name)?.value().as_bytes();
        let name = name.to_string();
        let unfit = |why| StoreError::Unfit { source_name: from.source.to_owned(), name: name.clone(), why };
        if name.len() > MAX_NAME_BYTES {
            return Err(unfit(Unfit::LongName).into());
        }
        if str::from_utf8(value).is_err() {
            return Err(unfit(Unfit::NotText).into());
        }
        bytes += name.len() + value.len();
        env.insert(name, ByteString(value.to_vec()));
    }
    if bytes > MAX_ENV_BYTES {
        return Err(StoreError::TooLarge { bytes }.into());
    }
    Ok(Env { env })
}

/// Why the store cannot take the boot env, or be told of the boot. No message holds a value or the token.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// A variable does not fit into a Secret.
    #[error("variable {name:?} of source {source_name:?} {why}")]
    Unfit {
        /// The source that gave it.
        source_name: String,
        /// Its name.
        name: String,
        /// Why not.
        why: Unfit,
    },
    /// The boot env does not fit into a Secret.
    #[error(
        "the boot env takes {bytes} bytes, names included, and the task takes it from a Secret, which holds {MAX_ENV_BYTES} \
         at most: give large values as files, or add `command` to the container, so that the launcher can load them"
    )]
    TooLarge {
        /// Its size.
        bytes: usize,
    },
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
    #[error(
        "{url}{path} gave an answer that is none of the store's: use a store of the webhook's own version"
    )]
    Strange {
        /// Where.
        url: String,
        /// The path.
        path: &'static str,
    },
    /// Somebody else made a Secret of that name.
    #[error(
        "Secret {secret} is there already, and this pod did not have it made: a copy of another pod keeps its name, so \
         create the task anew from its own manifest; or delete the Secret"
    )]
    Taken {
        /// The Secret.
        secret: String,
    },
}

/// Why a variable does not fit into a Secret.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Unfit {
    /// Its name is too long.
    #[error("has a name of more than {MAX_NAME_BYTES} bytes, which no key of a Secret can have: rename it")]
    LongName,
    /// Its value is no text.
    #[error(
        "is no text in UTF-8, and the kubelet gives a process nothing else from a Secret: give it as a file, or add \
         `command` to the container, so that the launcher can load it"
    )]
    NotText,
}

impl StoreError {
    /// Whether another try later may help.
    pub(super) fn is_temporary(&self) -> bool {
        matches!(self, Self::Unreachable { .. } | Self::Failed { .. })
    }

    /// Whether it is what the sources gave.
    pub(super) fn is_content(&self) -> bool {
        matches!(self, Self::Unfit { .. } | Self::TooLarge { .. })
    }
}
