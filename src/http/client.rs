//! What requests are made with: whom it trusts, what it sends of its own, and connections that are used again.

use std::sync::{Arc, Mutex, OnceLock};
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use reqwest::header::HeaderMap;
use reqwest::{Proxy, Url, redirect};
use rustls::{ClientConfig, RootCertStore};
use tokio::time::Instant;

use super::FetchProgress;
use super::address_class::{NetworkZone, Resolver};
use super::error::HttpError;
use super::transport::{ErrorMapping, Transport};
use bootlace_core::profile::remote;

/// What every request is made with.
pub(crate) struct HttpClient<'a> {
    pub(super) says: &'a remote::Client,
    pub(super) progress: Arc<FetchProgress>,
    /// When the source's time is over.
    pub(super) deadline: Instant,
    /// What the profile writes itself. Sent to the profile's own host only.
    pub(super) headers: HeaderMap,
    /// What is never told. Sent to the profile's own host only.
    pub(super) secret_headers: HeaderMap,
    tls: ClientConfig,
    /// For what the profile itself names: its connections are used again.
    first: OnceLock<reqwest::Client>,
}

/// Shown in servers' logs.
const USER_AGENT: &str = concat!("bootlace/", env!("CARGO_PKG_VERSION"));

impl<'a> HttpClient<'a> {
    /// A client that trusts `roots` and sends nothing of its own. Deadlines are its user's.
    pub(crate) fn new(says: &'a remote::Client, roots: RootCertStore) -> Result<Self, HttpError> {
        Ok(Self {
            says,
            progress: Arc::default(),
            deadline: Instant::now(),
            headers: HeaderMap::new(),
            secret_headers: HeaderMap::new(),
            tls: tls(roots)?,
            first: OnceLock::new(),
        })
    }

    /// Sends these with every request to the profile's own host; what `secret` holds is never told.
    pub(crate) fn with_headers(self, plain: HeaderMap, secret: HeaderMap) -> Self {
        Self { headers: plain, secret_headers: secret, ..self }
    }

    /// No attempt begins after `deadline`.
    pub(crate) fn with_deadline(self, deadline: Instant) -> Self {
        Self { deadline, ..self }
    }

    /// Tells `progress` what is waited for.
    pub(crate) fn with_progress(self, progress: Arc<FetchProgress>) -> Self {
        Self { progress, ..self }
    }

    /// The client for one hop. What differs from hop to hop is where its names may lead: `from` is where a
    /// redirect came from.
    pub(super) fn hop(&self, from: Option<NetworkZone>) -> Result<reqwest::Client, HttpError> {
        let proxy = self.says.proxy.as_deref();
        match (from, self.first.get()) {
            (None, Some(client)) => Ok(client.clone()),
            (None, None) => {
                let client = self.build(None, proxy)?;
                Ok(self.first.get_or_init(|| client).clone())
            }
            (from, _) => self.build(from, proxy),
        }
    }

    fn build(&self, from: Option<NetworkZone>, proxy: Option<&str>) -> Result<reqwest::Client, HttpError> {
        let mut builder = reqwest::Client::builder()
            .user_agent(USER_AGENT)
            .tls_backend_preconfigured(self.tls.clone())
            .dns_resolver(Resolver { from })
            .connect_timeout(Duration::from_secs(self.says.connect_timeout_seconds.into()))
            // Followed by hand: only there is it known where the redirecting server was.
            .redirect(redirect::Policy::none())
            // The profile alone says which proxy; the env of the container does not.
            .no_proxy()
            // A second attempt is this module's own to make.
            .retry(reqwest::retry::never());
        if let Some(proxy) = proxy {
            let why = |error: reqwest::Error| format!("client.proxy is invalid: {error}: must be the address of a proxy");
            builder = builder.proxy(Proxy::all(proxy).map_err(|error| HttpError::Setup(why(error)))?);
        }
        builder
            .build()
            .map_err(|error| HttpError::Setup(format!("failed to set up the HTTP client: {error}")))
    }

    /// A client for a library that makes its requests itself. `store` is where most of them go, `secrets` is what no
    /// log may show, and the rest says what an error's body and status mean.
    pub(crate) fn transport(
        &self,
        store: &Url,
        secrets: Vec<String>,
        terms: ErrorMapping,
    ) -> Result<Transport, HttpError> {
        Ok(Transport {
            client: self.hop(None)?,
            direct: self.build(None, None)?,
            store: store.clone(),
            attempts: self.says.attempts,
            connect_seconds: self.says.connect_timeout_seconds,
            deadline: self.deadline,
            secrets,
            terms,
            failed: Mutex::default(),
        })
    }

    /// What the profile says of it.
    pub(crate) fn says(&self) -> &remote::Client {
        self.says
    }

    /// When the source's time is over.
    pub(crate) fn deadline(&self) -> Instant {
        self.deadline
    }

    /// What it waits for just now.
    pub(crate) fn progress(&self) -> &FetchProgress {
        &self.progress
    }

    /// `text` without anything that the client's own headers or `more` hold, for what a server says.
    pub(super) fn redact(&self, more: &HeaderMap, text: &str) -> String {
        let mut text = text.to_owned();
        let sensitive = more.values().filter(|value| value.is_sensitive());
        for value in self.secret_headers.values().chain(sensitive).filter_map(|value| value.to_str().ok()) {
            // A scheme (`Bearer`, `Basic`) and what follows it, one by one: a server may repeat either.
            let password = password(value);
            let parts = [value].into_iter().chain(value.split(' ').skip(1)).chain(password.as_deref());
            for secret in parts.filter(|secret| !secret.is_empty()) {
                text = text.replace(secret, "[redacted]");
            }
        }
        text
    }
}

/// The password in a header `Authorization: Basic …`.
fn password(header: &str) -> Option<String> {
    let pair = String::from_utf8(STANDARD.decode(header.strip_prefix("Basic ")?).ok()?).ok()?;
    pair.split_once(':').map(|(_, password)| password.to_owned())
}

/// Where a request goes, as logs may show it: without user and query.
pub(super) fn display_url(url: &Url) -> String {
    format!("{}{}", url.origin().ascii_serialization(), url.path())
}

fn tls(roots: RootCertStore) -> Result<ClientConfig, HttpError> {
    // Named here, so that it does not matter what the process installed.
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let builder = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|error| HttpError::Setup(format!("failed to set up TLS: {error}")))?;
    Ok(builder.with_root_certificates(roots).with_no_client_auth())
}
