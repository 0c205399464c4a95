//! `bootlace certs rotate`: requests new certificates from the webhook by an annotation of their Secret, and
//! waits for them. No key leaves the cluster.

use std::time::Duration;

use k8s_openapi::api::core::v1::Secret;
use kube::api::{Patch, PatchParams};
use kube::{Api, Client, ResourceExt as _};
use serde_json::json;
use tokio::time::{Instant, sleep};

use crate::command_error::CommandError;
use crate::process::{runtime, seconds};
use crate::server::tls::rotation::RotationRequest;
use crate::server::{api_client, watch_errors};
use bootlace_core::names;

/// How often the Secret is checked.
const POLL: Duration = Duration::from_secs(1);

#[derive(Debug, clap::Args)]
pub(super) struct RotateArgs {
    /// What to renew.
    #[arg(value_enum, value_name = "WHAT")]
    request: RotationRequest,
    /// The Secret in --tls-secret of the webhook. To renew only the certificate, also that of the store.
    #[arg(long, value_name = "NAME", default_value = "bootlace-tls")]
    secret: String,
    /// Namespace of the Secret. Defaults to that of the current context.
    #[arg(long, short, value_name = "NAMESPACE")]
    namespace: Option<String>,
    /// Timeout in seconds. 0 does not wait for the rotation.
    #[arg(long, value_name = "SECONDS", value_parser = seconds, default_value = "300")]
    timeout: Duration,
}

/// Requests the rotation, and waits.
///
/// # Errors
/// The Secret does not exist, the user cannot change it, or the webhook does not respond in time.
pub(super) fn run(args: &RotateArgs) -> anyhow::Result<()> {
    runtime()?.block_on(async {
        let client = api_client::connect().await;
        let client = client.map_err(|error| CommandError::Cluster { error, alternative: "" })?;
        Ok(rotate(&client, args).await?)
    })
}

async fn rotate(client: &Client, args: &RotateArgs) -> Result<(), CommandError> {
    let RotateArgs { request, secret: name, .. } = args;
    let namespace = args.namespace.as_deref().unwrap_or_else(|| client.default_namespace());
    let secrets: Api<Secret> = Api::namespaced(client.clone(), namespace);
    let secret = format!("Secret {name:?} in namespace {namespace:?}");
    // Only the metadata, because the keys are not needed.
    let found =
        secrets.get_metadata_opt(name).await.map_err(|error| request_error(&secret, "read", &error))?;
    let Some(found) = found else { return Err(CommandError::SecretNotFound { secret }) };
    if found.labels().get(names::LABEL_MANAGED_BY).is_none_or(|by| by != names::MANAGED_BY) {
        return Err(CommandError::SecretNotManaged { secret });
    }
    let patch = json!({"metadata": {"annotations": {names::ANNOTATION_ROTATE: request.as_str()}}});
    let patched = secrets.patch_metadata(name, &PatchParams::default(), &Patch::Merge(&patch)).await;
    patched.map_err(|error| request_error(&secret, "annotate", &error))?;
    if args.timeout.is_zero() {
        println!("requested {}", request.as_str());
        return Ok(());
    }
    println!("requested {}, waiting for the webhook", request.as_str());
    let end = Instant::now() + args.timeout;
    loop {
        sleep(POLL.min(args.timeout)).await;
        // Errors are retried until the timeout.
        let reason = match secrets.get_metadata(name).await {
            Ok(secret) if !secret.annotations().contains_key(names::ANNOTATION_ROTATE) => {
                println!("done");
                return Ok(());
            }
            Ok(_) => "the request is pending".to_owned(),
            Err(error) => watch_errors::describe_api_error("failed to read it", &error),
        };
        if Instant::now() >= end {
            return Err(CommandError::RotationTimeout {
                secret,
                seconds: args.timeout.as_secs_f64(),
                reason,
            });
        }
    }
}

fn request_error(secret: &str, action: &'static str, error: &kube::Error) -> CommandError {
    let reason = match error {
        kube::Error::Api(status) => status.message.clone(),
        other => watch_errors::describe_api_error("", other).trim_start_matches(": ").to_owned(),
    };
    CommandError::SecretRequest { secret: secret.to_owned(), action, reason }
}

#[cfg(test)]
mod tests {
    use bootlace_test_api_server::ApiServer;

    use super::*;
    use bootlace_core::code::{Code, Coded as _};

    const SECRET: &str = "/api/v1/namespaces/b/secrets/bootlace-tls";

    fn args(timeout: Duration) -> RotateArgs {
        let secret = "bootlace-tls".to_owned();
        RotateArgs { request: RotationRequest::Ca, secret, namespace: Some("b".to_owned()), timeout }
    }

    /// An API server with a Secret that has this label.
    fn with_secret(managed_by: &str) -> ApiServer {
        let api = ApiServer::new();
        let metadata = json!({"name": "bootlace-tls", "labels": {names::LABEL_MANAGED_BY: managed_by}});
        api.put(SECRET, json!({"metadata": metadata, "data": {"ca.key": "eA=="}}));
        api
    }

    #[tokio::test(start_paused = true)]
    async fn the_secret_is_annotated_and_waited_for() {
        let api = with_secret(names::MANAGED_BY);
        let webhook = async {
            sleep(POLL * 5 / 2).await;
            let mut secret = api.get(SECRET).unwrap();
            let annotations = secret["metadata"].as_object_mut().unwrap().remove("annotations");
            assert_eq!(annotations, Some(json!({"bootlace.dev/rotate": "ca"})));
            assert_eq!(secret["data"], json!({"ca.key": "eA=="}));
            api.put(SECRET, secret);
        };
        let (client, args) = (api.client(), args(Duration::from_secs(30)));
        let (rotated, ()) = tokio::join!(rotate(&client, &args), webhook);
        rotated.unwrap();
        assert_eq!((api.writes(SECRET), api.requests().len()), (1, 5), "{:?}", api.requests());
    }

    #[tokio::test(start_paused = true)]
    async fn errors_have_codes() {
        for (api, code) in [
            (ApiServer::new(), Code::CertificateSecretNotFound),
            (with_secret("Helm"), Code::CertificateSecretNotManaged),
            (with_secret(names::MANAGED_BY), Code::RotationTimeout),
        ] {
            let error = rotate(&api.client(), &args(Duration::from_secs(30))).await.unwrap_err();
            assert_eq!(error.code(), code, "{error}");
        }
        rotate(&with_secret(names::MANAGED_BY).client(), &args(Duration::ZERO)).await.unwrap();
    }
}
