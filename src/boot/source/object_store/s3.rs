//! Amazon S3 and stores with the same protocol.

use std::sync::Arc;

use ::object_store::ObjectStore;
use ::object_store::aws::{AmazonS3Builder, AmazonS3ConfigKey as Key};

use super::credentials::{Credentials, StoreConfig, env, workload};
use super::errors;
use crate::boot::source::SourceError;
use bootlace_core::profile::object_store::S3;

/// The env of EKS for a pod with an identity, by IAM roles for service accounts or Pod Identity. Keys in the
/// env are not used: they belong into a Secret.
/// <https://docs.aws.amazon.com/sdkref/latest/guide/settings-reference.html>
const WORKLOAD: [(&str, Key); 6] = [
    ("AWS_ROLE_ARN", Key::RoleArn),
    ("AWS_ROLE_SESSION_NAME", Key::RoleSessionName),
    ("AWS_WEB_IDENTITY_TOKEN_FILE", Key::WebIdentityTokenFile),
    ("AWS_ENDPOINT_URL_STS", Key::StsEndpoint),
    ("AWS_CONTAINER_CREDENTIALS_FULL_URI", Key::ContainerCredentialsFullUri),
    ("AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE", Key::ContainerAuthorizationTokenFile),
];

const KEYS: &str = "AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, and AWS_SESSION_TOKEN if they are temporary";

/// The region that the cloud sets for a pod with an identity.
pub(super) fn region_of_workload() -> Option<String> {
    env("AWS_REGION").or_else(|| env("AWS_DEFAULT_REGION"))
}

/// The address of the store, in `region_of_workload` if the profile sets no region.
pub(super) fn address(settings: &S3, region_of_workload: Option<String>) -> String {
    let region = region(settings, region_of_workload);
    let suffix = if region.starts_with("cn-") { "amazonaws.com.cn" } else { "amazonaws.com" };
    let endpoint = settings.endpoint.clone().unwrap_or_else(|| format!("https://s3.{region}.{suffix}"));
    if !settings.virtual_hosted {
        return endpoint;
    }
    match endpoint.split_once("://") {
        Some((scheme, host)) => format!("{scheme}://{}.{host}", settings.bucket),
        None => endpoint,
    }
}

fn region(settings: &S3, of_workload: Option<String>) -> String {
    settings.region.clone().or(of_workload).unwrap_or_else(|| "us-east-1".to_owned())
}

/// Creates a client for `address`.
pub(super) fn open(
    settings: &S3,
    address: &str,
    config: StoreConfig,
) -> Result<Arc<dyn ObjectStore>, SourceError> {
    let StoreConfig { credentials, connector, retry } = config;
    let mut builder = AmazonS3Builder::new()
        .with_bucket_name(&settings.bucket)
        .with_region(region(settings, region_of_workload()))
        .with_endpoint(address)
        .with_virtual_hosted_style_request(settings.virtual_hosted)
        .with_http_connector(connector)
        .with_retry(retry);
    match &credentials {
        Credentials::Workload => {
            for (key, value) in workload(&WORKLOAD)? {
                builder = builder.with_config(key, value);
            }
        }
        Credentials::Secret { .. } => {
            builder = builder
                .with_access_key_id(credentials.required("AWS_ACCESS_KEY_ID", KEYS)?)
                .with_secret_access_key(credentials.required("AWS_SECRET_ACCESS_KEY", KEYS)?);
            if let Some(token) = credentials.key("AWS_SESSION_TOKEN")? {
                builder = builder.with_token(token);
            }
        }
        Credentials::Anonymous => builder = builder.with_skip_signature(true),
    }
    Ok(Arc::new(builder.build().map_err(|_| errors::invalid_setting("s3"))?))
}
