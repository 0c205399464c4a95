//! Whom boot trusts and who it says it is.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, OnceLock};
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use reqwest::header::{AUTHORIZATION, CONTENT_LENGTH, HeaderMap, HeaderName, HeaderValue, TRANSFER_ENCODING};
use reqwest::{Proxy, Url, redirect};
use rustls::{ClientConfig, RootCertStore};
use rustls_pki_types::CertificateDer;
use rustls_pki_types::pem::PemObject;
use tokio::time::Instant;

use super::Progress;
use super::address::{Resolver, Zone};
use super::error::HttpError;
use super::transport::{Terms, Transport};
use crate::boot::source::{SourceError, read_object};
use crate::plan::boot_spec::{DIR_CA, DIR_HEADERS, DIR_TOKEN, FILE_TOKEN};
use crate::profile::remote;

/// What every request of a source is made with.
pub(crate) struct Client<'a> {
    pub(super) says: &'a remote::Client,
    pub(super) progress: Arc<Progress>,
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

impl<'a> Client<'a> {
    /// Reads what the kubelet mounted below `mount`. `seconds` is the time of the whole boot.
    pub(crate) async fn open(
        says: &'a remote::Client,
        mount: &Path,
        seconds: u32,
        progress: Arc<Progress>,
    ) -> Result<Self, SourceError> {
        let seconds = says.timeout_seconds.unwrap_or(seconds).min(seconds);
        let mut secret_headers = HeaderMap::new();
        if let Some(secret) = &says.headers_from_secret {
            headers_of_secret(secret, &mount.join(DIR_HEADERS), &mut secret_headers).await?;
        }
        let headers = plain_headers(&says.headers)?;
        if says.token.is_some() {
            let token = token(&mount.join(DIR_TOKEN).join(FILE_TOKEN))?;
            if secret_headers.insert(AUTHORIZATION, token).is_some() {
                let why = "client.token and the Secret of client.headersFromSecret both give the header Authorization: \
                           remove one of them";
                return Err(setup(why));
            }
        }
        if let Some(name) = headers.keys().find(|name| secret_headers.contains_key(*name)) {
            return Err(setup(format!(
                "client.headers and the Secret of client.headersFromSecret both give the header {name}: remove one of them"
            )));
        }
        let roots = match &says.ca {
            Some(ca) => private_roots(ca, &mount.join(DIR_CA)).await?,
            None => RootCertStore { roots: webpki_roots::TLS_SERVER_ROOTS.to_vec() },
        };
        let deadline = Instant::now() + Duration::from_secs(seconds.into());
        let tls = tls(roots)?;
        Ok(Self { says, progress, deadline, headers, secret_headers, tls, first: OnceLock::new() })
    }

    /// A client without mounted files, which sends nothing of its own. Deadlines are its user's.
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

    /// The client for one hop. What differs from hop to hop is where its names may lead: `from` is where a
    /// redirect came from.
    pub(super) fn hop(&self, from: Option<Zone>) -> Result<reqwest::Client, HttpError> {
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

    fn build(&self, from: Option<Zone>, proxy: Option<&str>) -> Result<reqwest::Client, HttpError> {
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
            let why = |error: reqwest::Error| format!("client.proxy is no address of a proxy: {error}");
            builder = builder.proxy(Proxy::all(proxy).map_err(|error| HttpError::Setup(why(error)))?);
        }
        builder
            .build()
            .map_err(|error| HttpError::Setup(format!("the HTTP client cannot be set up: {error}")))
    }

    /// A client for a library that makes its requests itself. `store` is where most of them go, `secrets` is what no
    /// log may show, and the rest says what an error's body and status mean.
    pub(crate) fn transport(
        &self,
        store: &Url,
        secrets: Vec<String>,
        terms: Terms,
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

    /// When the source's time is over.
    pub(crate) fn deadline(&self) -> Instant {
        self.deadline
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
pub(super) fn place(url: &Url) -> String {
    format!("{}{}", url.origin().ascii_serialization(), url.path())
}

fn setup(why: impl Into<String>) -> SourceError {
    HttpError::Setup(why.into()).into()
}

/// The headers that the profile writes itself.
fn plain_headers(says: &[remote::Header]) -> Result<HeaderMap, SourceError> {
    let mut headers = HeaderMap::new();
    for remote::Header { name, value } in says {
        let refused = |why| setup(format!("header {name:?} of client.headers {why}"));
        let parsed = HeaderName::from_bytes(name.as_bytes());
        let parsed = parsed.map_err(|_| refused("has a name that no header can have: correct it"))?;
        let value = HeaderValue::from_str(value)
            .map_err(|_| refused("holds a line end or another control character: remove it"))?;
        if headers.insert(parsed, value).is_some() {
            return Err(refused("stands there twice, as case does not count: remove one"));
        }
    }
    Ok(headers)
}

/// The Secret's keys as headers. A line end behind a value stems from the file that the Secret was made of.
async fn headers_of_secret(secret: &str, mount: &Path, headers: &mut HeaderMap) -> Result<(), SourceError> {
    let keys = read_object(mount).await?;
    if keys.is_empty() {
        return Err(SourceError::Missing(format!(
            "Secret {secret} of client.headersFromSecret does not exist in the pod's namespace, or it has no keys: \
             create it with a key for each header"
        )));
    }
    for (key, value) in &keys {
        let refused = |why| {
            setup(format!("key {key:?} of Secret {secret}, which client.headersFromSecret names, {why}"))
        };
        let name =
            HeaderName::from_bytes(key.as_bytes()).map_err(|_| refused("is no header's name: rename it"))?;
        if [CONTENT_LENGTH, TRANSFER_ENCODING].contains(&name) {
            return Err(refused("says how long the request is, which is boot's to say: remove it"));
        }
        let mut value = HeaderValue::from_bytes(value.trim_ascii_end()).map_err(|_| {
            refused("holds bytes that no header can: remove line ends and other control characters")
        })?;
        value.set_sensitive(true);
        headers.insert(name, value);
    }
    Ok(())
}

fn token(path: &Path) -> Result<HeaderValue, SourceError> {
    let unreadable = |error| SourceError::Unreadable { path: PathBuf::from(path), error };
    let token = fs::read_to_string(path).map_err(unreadable)?;
    let mut value = HeaderValue::try_from(format!("Bearer {}", token.trim()))
        .map_err(|_| setup("the projected token holds bytes that no header can"))?;
    value.set_sensitive(true);
    Ok(value)
}

async fn private_roots(ca: &remote::Ca, mount: &Path) -> Result<RootCertStore, SourceError> {
    let (key, title) = (&ca.key, ca.title());
    let keys = read_object(mount).await?;
    let Some(pem) = keys.get(key) else {
        return Err(SourceError::Missing(format!(
            "{title} of client.ca does not exist in the pod's namespace, or it has no key {key:?}: create it, or \
             correct client.ca"
        )));
    };
    let mut roots = RootCertStore::empty();
    for certificate in CertificateDer::pem_slice_iter(pem) {
        let added = certificate
            .map_err(|error| error.to_string())
            .and_then(|certificate| roots.add(certificate).map_err(|error| error.to_string()));
        added.map_err(|error| {
            setup(format!("key {key:?} of {title}, which client.ca names, holds a certificate that cannot be read: {error}"))
        })?;
    }
    if roots.is_empty() {
        return Err(setup(format!(
            "key {key:?} of {title}, which client.ca names, holds no certificate in PEM"
        )));
    }
    Ok(roots)
}

fn tls(roots: RootCertStore) -> Result<ClientConfig, HttpError> {
    // Named here, so that it does not matter what the process installed.
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let builder = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|error| HttpError::Setup(format!("TLS cannot be set up: {error}")))?;
    Ok(builder.with_root_certificates(roots).with_no_client_auth())
}
