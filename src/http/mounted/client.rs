//! The HTTP client of a source or a hook, from the objects that the kubelet mounted: CAs and credentials.

use std::fs;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use reqwest::header::{AUTHORIZATION, CONTENT_LENGTH, HeaderMap, HeaderName, HeaderValue, TRANSFER_ENCODING};
use rustls::RootCertStore;
use tokio::time::Instant;

use super::MountError;
use super::object::read_object;
use crate::http::{FetchProgress, HttpClient, HttpError, tls};
use bootlace_core::plan::boot_spec::{DIR_CA, DIR_HEADERS, DIR_TOKEN, FILE_TOKEN};
use bootlace_core::profile::remote;

/// Creates the client with the objects mounted below `mount`. `seconds` is the time limit, for example of the
/// boot.
pub(crate) async fn open<'a>(
    settings: &'a remote::Client,
    mount: &Path,
    seconds: u32,
    progress: &Arc<FetchProgress>,
) -> Result<HttpClient<'a>, MountError> {
    let seconds = settings.timeout_seconds.unwrap_or(seconds).min(seconds);
    let mut secret_headers = HeaderMap::new();
    if let Some(secret) = &settings.headers_from_secret {
        secret_headers_from(secret, &mount.join(DIR_HEADERS), &mut secret_headers).await?;
    }
    let headers = plain_headers(&settings.headers)?;
    if settings.token.is_some() && secret_headers.insert(AUTHORIZATION, bearer(mount)?).is_some() {
        let reason = "client.token and the Secret of client.headersFromSecret both set the header Authorization: \
                       remove one of them";
        return Err(invalid_settings(reason));
    }
    if let Some(name) = headers.keys().find(|name| secret_headers.contains_key(*name)) {
        return Err(invalid_settings(format!(
            "client.headers and the Secret of client.headersFromSecret both set the header {name}: remove one of them"
        )));
    }
    let roots = match &settings.ca {
        Some(ca) => private_roots(ca, &mount.join(DIR_CA)).await?,
        None => tls::public_roots(),
    };
    let tls = tls::client_config(roots)
        .map_err(|error| invalid_settings(format!("failed to set up TLS: {error}")))?;
    let deadline = Instant::now() + Duration::from_secs(seconds.into());
    let client = HttpClient::new(settings, tls).with_headers(headers, secret_headers);
    Ok(client.with_deadline(deadline).with_progress(Arc::clone(progress)))
}

fn invalid_settings(reason: impl Into<String>) -> MountError {
    HttpError::Setup(reason.into()).into()
}

/// The headers of the profile.
fn plain_headers(profile_headers: &[remote::Header]) -> Result<HeaderMap, MountError> {
    let mut headers = HeaderMap::new();
    for remote::Header { name, value } in profile_headers {
        let refused = |reason| invalid_settings(format!("header {name:?} of client.headers {reason}"));
        let parsed = HeaderName::from_bytes(name.as_bytes());
        let parsed = parsed.map_err(|_| refused("has an invalid name: correct it"))?;
        let value = HeaderValue::from_str(value)
            .map_err(|_| refused("contains a line break or another control character: remove it"))?;
        if headers.insert(parsed, value).is_some() {
            return Err(refused("is a duplicate (names are case-insensitive): remove one of them"));
        }
    }
    Ok(headers)
}

/// The keys of the Secret as headers. A newline at the end of a value comes from the file that the Secret was
/// created from.
async fn secret_headers_from(secret: &str, mount: &Path, headers: &mut HeaderMap) -> Result<(), MountError> {
    let keys = read_object(mount).await?;
    if keys.is_empty() {
        return Err(MountError::Missing(format!(
            "Secret {secret} of client.headersFromSecret does not exist in the pod's namespace, or has no keys: create it \
             with a key for each header"
        )));
    }
    for (key, value) in &keys {
        let refused = |reason| {
            invalid_settings(format!("key {key:?} of Secret {secret} of client.headersFromSecret {reason}"))
        };
        let name = HeaderName::from_bytes(key.as_bytes())
            .map_err(|_| refused("is not a valid header name: rename it"))?;
        if [CONTENT_LENGTH, TRANSFER_ENCODING].contains(&name) {
            return Err(refused("is the length of the request, which is set automatically: remove it"));
        }
        let mut value = HeaderValue::from_bytes(value.trim_ascii_end()).map_err(|_| {
            refused("is not a valid header value: remove line breaks and other control characters")
        })?;
        value.set_sensitive(true);
        headers.insert(name, value);
    }
    Ok(())
}

/// Reads the projected token of the service account, which is mounted below `mount`.
pub(crate) fn read_token(mount: &Path) -> Result<String, MountError> {
    let path = mount.join(DIR_TOKEN).join(FILE_TOKEN);
    let token = fs::read_to_string(&path).map_err(|error| MountError::Unreadable { path, error })?;
    Ok(token.trim().to_owned())
}

/// The projected token as the value of a header.
fn bearer(mount: &Path) -> Result<HeaderValue, MountError> {
    let mut value = HeaderValue::try_from(format!("Bearer {}", read_token(mount)?))
        .map_err(|_| invalid_settings("the projected token is not a valid header value"))?;
    value.set_sensitive(true);
    Ok(value)
}

async fn private_roots(ca: &remote::Ca, mount: &Path) -> Result<RootCertStore, MountError> {
    let (key, title) = (&ca.key, ca.title());
    let keys = read_object(mount).await?;
    let Some(pem) = keys.get(key) else {
        return Err(MountError::Missing(format!(
            "{title} of client.ca does not exist in the pod's namespace, or has no key {key:?}: create it, or correct \
             client.ca"
        )));
    };
    let mut roots = RootCertStore::empty();
    tls::add_roots(&mut roots, pem).map_err(|error| {
        invalid_settings(format!("key {key:?} of {title} of client.ca is not a valid CA: {error}"))
    })?;
    Ok(roots)
}
