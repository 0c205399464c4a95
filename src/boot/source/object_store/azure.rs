//! Azure Blob Storage.

use std::sync::Arc;

use ::object_store::ObjectStore;
use ::object_store::azure::{AzureConfigKey as Key, MicrosoftAzureBuilder};

use super::credentials::{Credentials, StoreConfig, workload};
use super::errors;
use crate::boot::source::SourceError;
use bootlace_core::profile::object_store::Azure;

/// The env of Azure Workload Identity.
/// <https://azure.github.io/azure-workload-identity/docs/topics/service-account-labels-and-annotations.html>
const WORKLOAD: [(&str, Key); 4] = [
    ("AZURE_CLIENT_ID", Key::ClientId),
    ("AZURE_TENANT_ID", Key::AuthorityId),
    ("AZURE_FEDERATED_TOKEN_FILE", Key::FederatedTokenFile),
    ("AZURE_AUTHORITY_HOST", Key::AuthorityHost),
];

/// The keys of a Secret: an account key, a shared access signature, or a service principal.
const ACCOUNT_KEY: &str = "AZURE_STORAGE_KEY";
const SIGNATURE: &str = "AZURE_STORAGE_SAS_TOKEN";
const PRINCIPAL: [(&str, Key); 3] = [
    ("AZURE_TENANT_ID", Key::AuthorityId),
    ("AZURE_CLIENT_ID", Key::ClientId),
    ("AZURE_CLIENT_SECRET", Key::ClientSecret),
];
const KEYS: &str = "AZURE_STORAGE_KEY, AZURE_STORAGE_SAS_TOKEN, or AZURE_TENANT_ID, AZURE_CLIENT_ID and \
                    AZURE_CLIENT_SECRET";

/// The address of the store.
pub(super) fn address(settings: &Azure) -> String {
    settings.endpoint.clone().unwrap_or_else(|| format!("https://{}.blob.core.windows.net", settings.account))
}

/// Creates a client for `address`.
pub(super) fn open(
    settings: &Azure,
    address: &str,
    config: StoreConfig,
) -> Result<Arc<dyn ObjectStore>, SourceError> {
    let StoreConfig { credentials, connector, retry } = config;
    let mut builder = MicrosoftAzureBuilder::new()
        .with_account(&settings.account)
        .with_container_name(&settings.container)
        .with_endpoint(address.trim_end_matches('/').to_owned())
        .with_http_connector(connector)
        .with_retry(retry);
    let mut used = "AZURE_AUTHORITY_HOST";
    match &credentials {
        Credentials::Workload => {
            for (key, value) in workload(&WORKLOAD)? {
                builder = builder.with_config(key, value);
            }
        }
        Credentials::Secret { .. } => {
            if let Some(key) = credentials.key(ACCOUNT_KEY)? {
                used = ACCOUNT_KEY;
                builder = builder.with_access_key(key);
            } else if let Some(signature) = credentials.key(SIGNATURE)? {
                used = SIGNATURE;
                builder = builder.with_config(Key::SasKey, signature);
            } else {
                for (name, key) in PRINCIPAL {
                    builder = builder.with_config(key, credentials.required(name, KEYS)?);
                }
            }
        }
        Credentials::Anonymous => builder = builder.with_skip_signature(true),
    }
    let built = builder.build().map_err(|_| match &credentials {
        Credentials::Secret { .. } => {
            credentials.refused(used, "is invalid: copy it from the portal or from `az`")
        }
        _ => errors::invalid_setting(used),
    });
    Ok(Arc::new(built?))
}
