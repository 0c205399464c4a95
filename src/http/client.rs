//! The HTTP client of a source: headers and connections.

use std::sync::{Arc, OnceLock};
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use parking_lot::Mutex;
use reqwest::header::HeaderMap;
use reqwest::{Proxy, Url, redirect};
use rustls::ClientConfig;
use tokio::time::Instant;

use super::FetchProgress;
use super::address_class::{NetworkZone, Resolver};
use super::error::HttpError;
use super::transport::{ErrorMapping, LibraryTransport};
use bootlace_core::profile::remote;

/// The settings of all requests of a source.
pub(crate) struct HttpClient<'a> {
    pub(super) settings: &'a remote::Client,
    pub(super) progress: Arc<FetchProgress>,
    /// The end of the source's time limit.
    pub(super) deadline: Instant,
    /// Headers of the profile. Sent to the host in the profile only.
    pub(super) headers: HeaderMap,
    /// Secret headers, which are never logged. Sent to the host in the profile only.
    pub(super) secret_headers: HeaderMap,
    tls: ClientConfig,
    /// The client for the address in the profile, whose connections are reused.
    first: OnceLock<reqwest::Client>,
}

/// Shown in servers' logs.
pub(crate) const USER_AGENT: &str = concat!("bootlace/", env!("CARGO_PKG_VERSION"));

impl<'a> HttpClient<'a> {
    /// A client with no headers and no time limit.
    pub(crate) fn new(settings: &'a remote::Client, tls: ClientConfig) -> Self {
        Self {
            settings,
            progress: Arc::default(),
            deadline: Instant::now(),
            headers: HeaderMap::new(),
            secret_headers: HeaderMap::new(),
            tls,
            first: OnceLock::new(),
        }
    }

    /// Adds headers to every request to the host in the profile; the values of `secret` are never logged.
    pub(crate) fn with_headers(self, plain: HeaderMap, secret: HeaderMap) -> Self {
        Self { headers: plain, secret_headers: secret, ..self }
    }

    /// Sets the time after which no attempt starts.
    pub(crate) fn with_deadline(self, deadline: Instant) -> Self {
        Self { deadline, ..self }
    }

    /// Reports to `progress` what the client is waiting for.
    pub(crate) fn with_progress(self, progress: Arc<FetchProgress>) -> Self {
        Self { progress, ..self }
    }

    /// The client for one hop. Hops differ in the addresses that names may resolve to: `from` is the class of
    /// the redirecting server.
    pub(super) fn hop_client(&self, from: Option<NetworkZone>) -> Result<reqwest::Client, HttpError> {
        let proxy = self.settings.proxy.as_deref();
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
            .connect_timeout(Duration::from_secs(self.settings.connect_timeout_seconds.into()))
            // Redirects are followed manually, because only then the address of the redirecting server is
            // known.
            .redirect(redirect::Policy::none())
            // Only the profile sets a proxy, not the env of the container.
            .no_proxy()
            // This module makes all retries.
            .retry(reqwest::retry::never());
        if let Some(proxy) = proxy {
            let reason = |error: reqwest::Error| {
                format!("client.proxy is invalid: {error}: must be the address of a proxy")
            };
            builder = builder.proxy(Proxy::all(proxy).map_err(|error| HttpError::Setup(reason(error)))?);
        }
        builder
            .build()
            .map_err(|error| HttpError::Setup(format!("failed to set up the HTTP client: {error}")))
    }

    /// A transport for a library that builds its own requests. Most of them go to `store`, `secrets` must not
    /// be logged, and `errors` interprets error responses.
    pub(crate) fn transport(
        &self,
        store: &Url,
        secrets: Vec<String>,
        errors: ErrorMapping,
    ) -> Result<LibraryTransport, HttpError> {
        Ok(LibraryTransport {
            client: self.hop_client(None)?,
            direct: self.build(None, None)?,
            store: store.clone(),
            attempts: self.settings.attempts,
            connect_seconds: self.settings.connect_timeout_seconds,
            deadline: self.deadline,
            secrets,
            errors,
            failed: Mutex::default(),
        })
    }

    /// The settings of the profile.
    pub(crate) fn settings(&self) -> &remote::Client {
        self.settings
    }

    /// The end of the source's time limit.
    pub(crate) fn deadline(&self) -> Instant {
        self.deadline
    }

    /// What the client is waiting for.
    pub(crate) fn progress(&self) -> &FetchProgress {
        &self.progress
    }

    /// Removes `secrets`, and the values of secret headers of the client and in `more`, from the message of
    /// a server.
    pub(super) fn redact(&self, more: &HeaderMap, secrets: &[&str], text: &str) -> String {
        let mut text = text.to_owned();
        for secret in secrets.iter().filter(|secret| !secret.is_empty()) {
            text = text.replace(secret, "[redacted]");
        }
        let sensitive = more.values().filter(|value| value.is_sensitive());
        for value in self.secret_headers.values().chain(sensitive).filter_map(|value| value.to_str().ok()) {
            // The scheme (`Bearer`, `Basic`) and the credentials separately, because a server may repeat
            // either.
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
