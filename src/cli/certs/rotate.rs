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
    what: RotationRequest,
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
    let RotateArgs { what, secret: name, .. } = args;
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
    let patch = json!({"metadata": {"annotations": {names::ANNOTATION_ROTATE: what.as_str()}}});
    let patched = secrets.patch_metadata(name, &PatchParams::default(), &Patch::Merge(&patch)).await;
    patched.map_err(|error| request_error(&secret, "annotate", &error))?;
    if args.timeout.is_zero() {
        println!("requested {}", what.as_str());
        return Ok(());
    }
    println!("requested {}, waiting for the webhook", what.as_str());
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
    use std::convert::Infallible;
    use std::sync::{Arc, Mutex};

    use axum::http::{Method, Request as HttpRequest, Response};
    use kube::client::Body;
    use serde_json::Value;

    use super::*;
    use bootlace_core::code::{Code, Coded as _};

    fn args(timeout: Duration) -> RotateArgs {
        let secret = "bootlace-tls".to_owned();
        RotateArgs { what: RotationRequest::Ca, secret, namespace: Some("b".to_owned()), timeout }
    }

    /// An API server with a Secret, whose annotation is removed after it was read `reads` times. Without a
    /// label, there is no Secret.
    fn cluster(label: Option<&'static str>, reads: Option<usize>) -> (Client, Arc<Mutex<Vec<String>>>) {
        let requests = Arc::new(Mutex::new(Vec::new()));
        let seen = Arc::clone(&requests);
        let service = tower::service_fn(move |request: HttpRequest<Body>| {
            let seen = Arc::clone(&seen);
            async move {
                let (head, body) = request.into_parts();
                let body = body.collect_bytes().await.unwrap_or_default();
                let mut seen = seen.lock().unwrap();
                seen.push(format!("{} {}", head.method, String::from_utf8_lossy(&body)));
                let patched = seen.iter().position(|request| request.starts_with("PATCH"));
                let since = patched.map_or(0, |patched| seen.len() - patched - 1);
                let is_done = reads.is_some_and(|reads| since >= reads);
                let mut metadata = json!({"name": "bootlace-tls", "annotations": {}});
                metadata["labels"] = json!({names::LABEL_MANAGED_BY: label});
                if patched.is_some() && !is_done {
                    metadata["annotations"] = json!({names::ANNOTATION_ROTATE: "ca"});
                }
                let kind = ("meta.k8s.io/v1", "PartialObjectMetadata");
                let response = if label.is_none() && head.method == Method::GET {
                    (
                        404,
                        json!({"kind": "Status", "code": 404, "message": "not found", "reason": "NotFound"}),
                    )
                } else {
                    (200, json!({"apiVersion": kind.0, "kind": kind.1, "metadata": metadata}))
                };
                let body = Body::from(serde_json::to_vec::<Value>(&response.1).unwrap());
                Ok::<_, Infallible>(Response::builder().status(response.0).body(body).unwrap())
            }
        });
        (Client::new(service, "default"), requests)
    }

    #[tokio::test(start_paused = true)]
    async fn the_secret_is_annotated_and_waited_for() {
        let (client, requests) = cluster(Some(names::MANAGED_BY), Some(3));
        rotate(&client, &args(Duration::from_secs(30))).await.unwrap();
        let requests = requests.lock().unwrap();
        let patches: Vec<_> = requests.iter().filter(|request| request.starts_with("PATCH")).collect();
        assert_eq!(patches, [r#"PATCH {"metadata":{"annotations":{"bootlace.dev/rotate":"ca"}}}"#]);
        assert_eq!(requests.len(), 5, "{requests:?}");
    }

    #[tokio::test(start_paused = true)]
    async fn errors_have_codes() {
        for (label, reads, code) in [
            (None, Some(0), Code::CertificateSecretNotFound),
            (Some("Helm"), Some(0), Code::CertificateSecretNotManaged),
            (Some(names::MANAGED_BY), None, Code::RotationTimeout),
        ] {
            let (client, _) = cluster(label, reads);
            let error = rotate(&client, &args(Duration::from_secs(30))).await.unwrap_err();
            assert_eq!(error.code(), code, "{error}");
        }
        let (client, _) = cluster(Some(names::MANAGED_BY), None);
        rotate(&client, &args(Duration::ZERO)).await.unwrap();
    }
}
