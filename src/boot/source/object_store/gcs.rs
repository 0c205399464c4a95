//! Google Cloud Storage.

use std::sync::Arc;

use ::object_store::ObjectStore;
use ::object_store::gcp::GoogleCloudStorageBuilder;

use super::credentials::{Credentials, StoreConfig, env};
use super::errors;
use crate::boot::source::SourceError;
use bootlace_core::profile::object_store::Gcs;

/// The key in the documentation of GKE.
const KEY: &str = "key.json";

/// The address of the store.
pub(super) fn address(settings: &Gcs) -> String {
    settings.endpoint.clone().unwrap_or_else(|| "https://storage.googleapis.com".to_owned())
}

/// Creates a client for `address`.
pub(super) fn open(
    settings: &Gcs,
    address: &str,
    config: StoreConfig,
) -> Result<Arc<dyn ObjectStore>, SourceError> {
    let StoreConfig { credentials, connector, retry } = config;
    let mut builder = GoogleCloudStorageBuilder::new()
        .with_bucket_name(&settings.bucket)
        .with_base_url(address.trim_end_matches('/'))
        .with_http_connector(connector)
        .with_retry(retry);
    let file = "GOOGLE_APPLICATION_CREDENTIALS";
    match &credentials {
        // The metadata service of GKE needs no configuration.
        Credentials::Workload => {
            if let Some(path) = env(file) {
                builder = builder.with_application_credentials(path);
            }
        }
        Credentials::Secret { .. } => {
            let key = credentials.required(KEY, "key.json, the JSON key of a service account")?;
            builder = builder.with_service_account_key(key);
        }
        // With a token, which is never sent, the library does not look for other credentials.
        Credentials::Anonymous => builder = builder.with_bearer_token("").with_skip_signature(true),
    }
    let built = builder.build().map_err(|_| match &credentials {
        Credentials::Secret { .. } => {
            credentials.refused(KEY, "is invalid: must be the JSON key file of a service account")
        }
        _ => errors::invalid_setting(file),
    });
    Ok(Arc::new(built?))
}
