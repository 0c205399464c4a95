//! Awaited outputs: which pods can query them, and the name of their object. The pods never run: the webhook
//! has injected their configuration, and the test creates their tokens.

use anyhow::{Context as _, Result};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bootlace_cluster::images::PROBE;
use bootlace_cluster::scenario::{Namespace, scenario};
use k8s_openapi::api::core::v1::{Pod, Secret};
use kube::ResourceExt as _;
use kube::api::{DeleteParams, ListParams};
use serde_json::{Value, json};

use super::client::{Store, created, refused, refused_for, token};

/// The content of the output, which must not be in any response.
const VALUE: &str = "zq7Xv0hunter2";

/// A task pod of the run `r1` that never starts.
fn pod(namespace: &Namespace, name: &str, annotation: &str, list: &Value) -> Value {
    json!({
        "apiVersion": "v1", "kind": "Pod",
        "metadata": {
            "name": name, "labels": {"bootlace.dev/task": namespace.name()},
            "annotations": {"bootlace.dev/run": "r1", "bootlace.dev/workflow": "etl", annotation: list.to_string()},
        },
        "spec": {
            "schedulingGates": [{"name": "bootlace-cluster/held"}],
            "containers": [{"name": "main", "image": PROBE, "command": ["/probe"]}],
        },
    })
}

/// The name of the object that a pod waits for.
fn awaited(pod: &Pod) -> Result<String> {
    let injected: Value = serde_json::from_str(&pod.annotations()["bootlace.dev/injected"])?;
    Ok(injected["awaits"][0]["object"].as_str().context("the annotation names no object")?.to_owned())
}

#[tokio::test]
async fn a_pod_hears_of_what_it_waits_for_and_of_nothing_else() -> Result<()> {
    // Boxed, because the future is large (clippy::large_futures).
    Box::pin(scenario("store-awaited").run(async |namespace| query_awaited(namespace).await)).await
}

async fn query_awaited(namespace: &Namespace) -> Result<()> {
    namespace.profile("{}").await?;
    let store = Store::open(&namespace.client()).await?;
    let waits =
        |key: &str| json!([{"key": key, "mountPath": "/tls", "wait": 60, "kind": "Secret", "task": "task"}]);
    let consumer =
        created(namespace, &pod(namespace, "waits", "bootlace.dev/pipe-in", &waits("Cert"))).await?;
    let other = created(namespace, &pod(namespace, "other", "bootlace.dev/pipe-in", &waits("Other"))).await?;
    let outputs = json!([{"key": "Cert", "file": "/out/tls.crt", "kind": "Secret", "awaited": true}]);
    let producer = created(namespace, &pod(namespace, "task", "bootlace.dev/pipe-out", &outputs)).await?;
    let consumer_token = token(namespace, Some(&consumer), "bootlace").await?;
    let other_token = token(namespace, Some(&other), "bootlace").await?;
    let producer_token = token(namespace, Some(&producer), "bootlace").await?;
    let object = awaited(&consumer)?;

    assert_eq!(
        store.get_awaited(&consumer_token, &object).await?,
        (200, json!({"state": "NotYet", "soFar": []}))
    );
    let put = async |value: &str| {
        let body =
            json!({"container": "main", "kind": "Secret", "files": {"tls.crt": STANDARD.encode(value)}});
        store.put_output(&producer_token, "Cert", body.to_string()).await
    };
    let response = put(VALUE).await?;
    assert_eq!((response.0, &response.1["created"]), (200, &json!(true)), "{response:?}");
    assert_eq!(
        store.get_awaited(&consumer_token, &object).await?,
        (200, json!({"state": "Stored", "files": ["tls.crt"]}))
    );
    let pipe = response.1["pipe"].as_str().context("the response does not name the Pipe")?;
    refused(&store.get_awaited("", &object).await?, 401, "BL5101");
    // This pod has no container that waits.
    let response = store.get_awaited(&producer_token, &object).await?;
    refused_for(&response, 403, "BL5106", "\"bootlace-wait\"");
    for (token, object) in [
        (&other_token, &*object),
        (&consumer_token, &*awaited(&other)?),
        (&consumer_token, "bootlace-tls"),
        (&consumer_token, pipe),
    ] {
        refused_for(&store.get_awaited(token, object).await?, 403, "BL5106", &format!("{object:?}"));
    }

    // Other content does not replace the object, and a pod that waits gets the reason.
    let secret = namespace.api::<Secret>().get(&object).await?;
    assert!(secret.immutable == Some(true) && secret.data.as_ref().unwrap()["tls.crt"].0 == VALUE.as_bytes());
    assert_eq!(put("other content").await?.0, 200);
    let (_, body) = store.get_awaited(&consumer_token, &object).await?;
    assert!(body["state"] == "Never" && body["why"].is_string(), "{body}");
    assert_eq!(namespace.api::<Secret>().get(&object).await?.resource_version(), secret.resource_version());

    // Both objects are deleted with their Pipe.
    let pipes = super::pipes::pipes(namespace);
    for pipe in pipes.list(&ListParams::default()).await? {
        pipes.delete(&pipe.name_any(), &DeleteParams::default()).await?;
    }
    super::pipes::wait_for_none(namespace, "the object of a deleted Pipe still exists").await
}
