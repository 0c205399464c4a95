//! `bootlace certs rotate`: asks the webhook for new certificates, by an annotation of the Secret that it keeps them in, and
//! waits until it has made them. No key leaves the cluster.

use std::time::Duration;

use anyhow::{Context as _, bail};
use k8s_openapi::api::core::v1::Secret;
use kube::api::{Patch, PatchParams};
use kube::{Api, Client, ResourceExt as _};
use serde_json::json;
use tokio::time::{Instant, sleep};

use crate::process::{runtime, seconds};
use crate::server::tls::rotation::RotationRequest;
use crate::server::{api_client, watch_errors};
use bootlace_core::names;

/// How often is looked whether it is done.
const LOOK: Duration = Duration::from_secs(1);

#[derive(Debug, clap::Args)]
pub(super) struct RotateArgs {
    /// What to renew.
    #[arg(value_enum, value_name = "WHAT")]
    what: RotationRequest,
    /// The Secret that the webhook keeps, as in its --tls-secret; or, for a new certificate alone, the store's.
    #[arg(long, value_name = "NAME", default_value = "bootlace-tls")]
    secret: String,
    /// Its namespace. Without it: the one of the current context.
    #[arg(long, short, value_name = "NAMESPACE")]
    namespace: Option<String>,
    /// Seconds to wait until it is done; 0: do not wait.
    #[arg(long, value_name = "SECONDS", value_parser = seconds, default_value = "300")]
    timeout: Duration,
}

/// Asks, and waits.
///
/// # Errors
/// Where there is no such Secret, it is nobody's to write for this user, or no webhook does it in time.
pub(super) fn run(args: &RotateArgs) -> anyhow::Result<()> {
    runtime()?.block_on(async {
        let client = api_client::connect()
            .await
            .context("there is no cluster to be reached: run in a pod, or set KUBECONFIG")?;
        rotate(&client, args).await
    })
}

async fn rotate(client: &Client, args: &RotateArgs) -> anyhow::Result<()> {
    let RotateArgs { what, secret: name, .. } = args;
    let namespace = args.namespace.as_deref().unwrap_or_else(|| client.default_namespace());
    let secrets: Api<Secret> = Api::namespaced(client.clone(), namespace);
    let place = format!("Secret {name} of namespace {namespace}");
    // Metadata alone: nobody needs the keys here.
    let Some(found) = secrets.get_metadata_opt(name).await.map_err(|error| failed(&place, "read", &error))?
    else {
        bail!(
            "there is no {place}: name it with --secret and --namespace. Where the webhook does not keep its own \
             certificates (--tls-dir), whoever makes them renews them"
        );
    };
    if found.labels().get(names::LABEL_MANAGED_BY).is_none_or(|by| by != names::MANAGED_BY) {
        bail!("{place} is not Bootlace's: name the Secret of the webhook's --tls-secret with --secret");
    }
    let patch = json!({"metadata": {"annotations": {names::ANNOTATION_ROTATE: what.as_str()}}});
    let patched = secrets.patch_metadata(name, &PatchParams::default(), &Patch::Merge(&patch)).await;
    patched.map_err(|error| failed(&place, "annotated", &error))?;
    if args.timeout.is_zero() {
        println!("asked for {}", what.as_str());
        return Ok(());
    }
    println!("asked for {}, waiting for the webhook", what.as_str());
    let end = Instant::now() + args.timeout;
    loop {
        sleep(LOOK.min(args.timeout)).await;
        // An answer that does not come is asked for again until the time is over.
        let waits = match secrets.get_metadata(name).await {
            Ok(secret) if !secret.annotations().contains_key(names::ANNOTATION_ROTATE) => {
                println!("done");
                return Ok(());
            }
            Ok(_) => "the request is still there".to_owned(),
            Err(error) => watch_errors::describe_api_error("it cannot be read", &error),
        };
        if Instant::now() >= end {
            bail!(
                "{place}: nothing came of it within {} s ({waits}): see the webhook's log. It goes on with it, if it \
                 can; to take the request back, remove the annotation {}",
                args.timeout.as_secs_f64(),
                names::ANNOTATION_ROTATE
            );
        }
    }
}

fn failed(place: &str, doing: &str, error: &kube::Error) -> anyhow::Error {
    let why = match error {
        kube::Error::Api(status) => status.message.clone(),
        other => watch_errors::describe_api_error("", other).trim_start_matches(": ").to_owned(),
    };
    anyhow::anyhow!("{place} cannot be {doing}: {why}")
}

#[cfg(test)]
mod tests {
    use std::convert::Infallible;
    use std::sync::{Arc, Mutex};

    use axum::http::{Method, Request as HttpRequest, Response};
    use kube::client::Body;
    use serde_json::Value;

    use super::*;

    fn args(timeout: Duration) -> RotateArgs {
        let secret = "bootlace-tls".to_owned();
        RotateArgs { what: RotationRequest::Ca, secret, namespace: Some("b".to_owned()), timeout }
    }

    /// A Secret, of which the annotation is taken off after it was read so many times; none for no Secret.
    fn cluster(label: Option<&'static str>, reads: Option<usize>) -> (Client, Arc<Mutex<Vec<String>>>) {
        let asked = Arc::new(Mutex::new(Vec::new()));
        let seen = Arc::clone(&asked);
        let service = tower::service_fn(move |request: HttpRequest<Body>| {
            let seen = Arc::clone(&seen);
            async move {
                let (head, body) = request.into_parts();
                let body = body.collect_bytes().await.unwrap_or_default();
                let mut seen = seen.lock().unwrap();
                seen.push(format!("{} {}", head.method, String::from_utf8_lossy(&body)));
                let patched = seen.iter().position(|asked| asked.starts_with("PATCH"));
                let since = patched.map_or(0, |patched| seen.len() - patched - 1);
                let is_done = reads.is_some_and(|reads| since >= reads);
                let mut metadata = json!({"name": "bootlace-tls", "annotations": {}});
                metadata["labels"] = json!({names::LABEL_MANAGED_BY: label});
                if patched.is_some() && !is_done {
                    metadata["annotations"] = json!({names::ANNOTATION_ROTATE: "ca"});
                }
                let kind = ("meta.k8s.io/v1", "PartialObjectMetadata");
                let answer = if label.is_none() && head.method == Method::GET {
                    (
                        404,
                        json!({"kind": "Status", "code": 404, "message": "not found", "reason": "NotFound"}),
                    )
                } else {
                    (200, json!({"apiVersion": kind.0, "kind": kind.1, "metadata": metadata}))
                };
                let body = Body::from(serde_json::to_vec::<Value>(&answer.1).unwrap());
                Ok::<_, Infallible>(Response::builder().status(answer.0).body(body).unwrap())
            }
        });
        (Client::new(service, "default"), asked)
    }

    #[tokio::test(start_paused = true)]
    async fn the_secret_is_annotated_and_waited_for() {
        let (client, asked) = cluster(Some(names::MANAGED_BY), Some(3));
        rotate(&client, &args(Duration::from_secs(30))).await.unwrap();
        let asked = asked.lock().unwrap();
        let patches: Vec<_> = asked.iter().filter(|asked| asked.starts_with("PATCH")).collect();
        assert_eq!(patches, [r#"PATCH {"metadata":{"annotations":{"bootlace.dev/rotate":"ca"}}}"#]);
        assert_eq!(asked.len(), 5, "{asked:?}");
    }

    #[tokio::test(start_paused = true)]
    async fn what_does_not_come_about_is_told_with_what_to_do() {
        for (label, reads, hint) in [
            (None, Some(0), "name it with --secret and --namespace"),
            (Some("Helm"), Some(0), "is not Bootlace's"),
            (Some(names::MANAGED_BY), None, "nothing came of it within 30 s"),
        ] {
            let (client, _) = cluster(label, reads);
            let error = rotate(&client, &args(Duration::from_secs(30))).await.unwrap_err().to_string();
            assert!(error.contains(hint), "{error}");
        }
        let (client, _) = cluster(Some(names::MANAGED_BY), None);
        rotate(&client, &args(Duration::ZERO)).await.unwrap();
    }
}
