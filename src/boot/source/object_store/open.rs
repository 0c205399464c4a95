//! Opens a store: its address, and a client with the credentials for it.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use ::object_store::{BackoffConfig, RetryConfig};
use reqwest::Url;
use tokio::time::Instant;

use super::credentials::{self, Credentials, StoreConfig};
use super::service::Connector;
use super::{azure, errors, gcs, s3};
use crate::boot::source::SourceError;
use crate::http::{ErrorMapping, HttpClient, HttpError, LibraryTransport};
use bootlace_core::profile::object_store::ObjectStore;

const NO_STORE: &str = "objectStore has neither s3, nor gcs, nor azure: add one of them";

/// A client for a store.
pub(super) struct OpenStore {
    pub(super) objects: Arc<dyn ::object_store::ObjectStore>,
    /// The kind of store for messages: `S3`.
    pub(super) kind: &'static str,
    pub(super) transport: Arc<LibraryTransport>,
}

/// Reads the credentials that are mounted below `mount`, and creates the client. It sends no request.
pub(super) async fn open(
    settings: &ObjectStore,
    client: &HttpClient<'_>,
    mount: &Path,
) -> Result<OpenStore, SourceError> {
    let credentials = credentials::read(settings, mount).await?;
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
