//! The store of a source and its credentials.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use ::object_store::{BackoffConfig, RetryConfig};
use reqwest::Url;
use tokio::time::Instant;

use super::service::Connector;
use super::{azure, errors, gcs, s3};
use crate::boot::source::SourceError;
use crate::boot::source::mounted::{Keys, read_object};
use crate::http::{ErrorMapping, HttpClient, HttpError, Transport};
use bootlace_core::plan::boot_spec::DIR_CREDENTIALS;
use bootlace_core::profile::object_store::ObjectStore;

const NO_STORE: &str = "objectStore has neither s3, nor gcs, nor azure: add one of them";

/// A client for a store.
pub(super) struct OpenStore {
    pub(super) objects: Arc<dyn ::object_store::ObjectStore>,
    /// The kind of store for messages: `S3`.
    pub(super) kind: &'static str,
    pub(super) transport: Arc<Transport>,
}

/// Settings that all kinds of stores have in common.
pub(super) struct StoreConfig {
    pub(super) credentials: Credentials,
    pub(super) connector: Connector,
    pub(super) retry: RetryConfig,
}

/// The credentials for a store.
pub(super) enum Credentials {
    /// The workload identity of the pod.
    Workload,
    /// The keys of a Secret.
    Secret {
        /// The name of the Secret, for errors.
        name: String,
        keys: Keys,
    },
    /// No credentials.
    Anonymous,
}

impl Credentials {
    /// The value of a key, if it exists, without the newline of the file that the Secret may have been
    /// created from.
    pub(super) fn key(&self, key: &str) -> Result<Option<String>, SourceError> {
        let Self::Secret { name, keys } = self else { return Ok(None) };
        let text = |value: &Vec<u8>| str::from_utf8(value).map(|text| text.trim_end().to_owned());
        let text = keys.get(key).map(text).transpose();
        text.map_err(|_| refused(name, key, "is not UTF-8: correct it"))
    }

    /// The value of a key that must exist.
    pub(super) fn required(&self, key: &str, keys: &str) -> Result<String, SourceError> {
        let name = self.secret();
        self.key(key)?.filter(|value| !value.is_empty()).ok_or_else(|| {
            SourceError::Missing(format!("Secret {name} of credentials.secret has no key {key}: add {keys}"))
        })
    }

    /// An error for a key with an invalid value.
    pub(super) fn refused(&self, key: &str, reason: &str) -> SourceError {
        refused(self.secret(), key, reason)
    }

    fn secret(&self) -> &str {
        match self {
            Self::Secret { name, .. } => name,
            _ => "",
        }
    }
}

fn refused(secret: &str, key: &str, reason: &str) -> SourceError {
    HttpError::Setup(format!("key {key} of Secret {secret} of credentials.secret {reason}")).into()
}

/// Reads the credentials that are mounted below `mount`, and creates the client. It sends no request.
pub(super) async fn open(
    settings: &ObjectStore,
    client: &HttpClient<'_>,
    mount: &Path,
) -> Result<OpenStore, SourceError> {
    let credentials = credentials(settings, mount).await?;
    let identity = match credentials {
        Credentials::Secret { .. } => "correct or renew the credentials in the Secret of credentials.secret",
        Credentials::Workload | Credentials::Anonymous => {
            "configure a workload identity for the pod's service account, set credentials.secret, or set \
             credentials.anonymous if the bucket is public"
        }
    };
    let secrets = match &credentials {
        Credentials::Secret { keys, .. } => {
            keys.values().map(|value| String::from_utf8_lossy(value).trim_end().to_owned()).collect()
        }
        Credentials::Workload | Credentials::Anonymous => Vec::new(),
    };
    let mapping = ErrorMapping { message: errors::server_error, remedy: errors::remedy, identity };
    let address = address(settings, s3::region_of_workload())?;
    let url = url(&address)?;
    let transport = Arc::new(client.transport(&url, secrets, mapping)?);
    let retry = retry(settings.client.attempts, client.deadline());
    let config = StoreConfig { credentials, connector: Connector::new(Arc::clone(&transport)), retry };
    let (objects, kind) = match (&settings.s3, &settings.gcs, &settings.azure) {
        (Some(s3), ..) => (s3::open(s3, &address, config)?, "S3"),
        (_, Some(gcs), _) => (gcs::open(gcs, &address, config)?, "Google Cloud Storage"),
        (.., Some(azure)) => (azure::open(azure, &address, config)?, "Azure Blob Storage"),
        _ => return Err(HttpError::Setup(NO_STORE.to_owned()).into()),
    };
    Ok(OpenStore { objects, kind, transport })
}

/// The address of the store, in `region_of_workload` if the profile sets no region.
pub(super) fn address(
    settings: &ObjectStore,
    region_of_workload: Option<String>,
) -> Result<String, HttpError> {
    match (&settings.s3, &settings.gcs, &settings.azure) {
        (Some(s3), ..) => Ok(s3::address(s3, region_of_workload)),
        (_, Some(gcs), _) => Ok(gcs::address(gcs)),
        (.., Some(azure)) => Ok(azure::address(azure)),
        _ => Err(HttpError::Setup(NO_STORE.to_owned())),
    }
}

/// Parses the address.
pub(super) fn url(address: &str) -> Result<Url, HttpError> {
    address.parse().map_err(|error| HttpError::Address {
        url: address.to_owned(),
        reason: format!("{error}: correct endpoint in the profile"),
    })
}

async fn credentials(settings: &ObjectStore, mount: &Path) -> Result<Credentials, SourceError> {
    let Some(credentials) = &settings.credentials else { return Ok(Credentials::Workload) };
    let Some(name) = &credentials.secret else { return Ok(Credentials::Anonymous) };
    let keys = read_object(&mount.join(DIR_CREDENTIALS)).await?;
    if keys.is_empty() {
        return Err(SourceError::Missing(format!(
            "Secret {name} of credentials.secret does not exist in the pod's namespace, or has no keys: create it"
        )));
    }
    Ok(Credentials::Secret { name: name.clone(), keys })
}

/// The library itself only retries the rest of an interrupted object; the transport makes all other retries.
fn retry(attempts: u32, deadline: Instant) -> RetryConfig {
    RetryConfig {
        backoff: BackoffConfig {
            init_backoff: Duration::from_millis(250),
            max_backoff: Duration::from_secs(10),
            base: 2.0,
        },
        max_retries: usize::try_from(attempts.saturating_sub(1)).unwrap_or(usize::MAX),
        retry_timeout: deadline - Instant::now(),
    }
}

/// A variable that the cloud set in the boot container.
pub(super) fn env(name: &str) -> Option<String> {
    std::env::var(name).ok().filter(|value| !value.is_empty())
}

/// The variables among `names` that are set. If one is the path of a file, the file must exist, because the
/// library's own error message would not name the cause.
pub(super) fn workload<K: Copy>(names: &[(&str, K)]) -> Result<Vec<(K, String)>, SourceError> {
    let mut variables = Vec::new();
    for &(name, key) in names {
        let Some(value) = env(name) else { continue };
        if name.ends_with("_FILE") {
            let unreadable = |error| SourceError::Unreadable { path: PathBuf::from(&value), error };
            std::fs::File::open(&value).map_err(unreadable)?;
        }
        variables.push((key, value));
    }
    Ok(variables)
}
