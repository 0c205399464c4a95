//! What is waited for: who hears of it, and under which name it is. The pods never run: the webhook has written what they
//! declare, and their tokens are made for the test.

use anyhow::{Context as _, Result};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bootlace_cluster::images::PROBE;
use bootlace_cluster::scenario::{Namespace, scenario};
use k8s_openapi::api::core::v1::{Pod, Secret};
use kube::ResourceExt as _;
use kube::api::{DeleteParams, ListParams};
use serde_json::{Value, json};

use super::ask::{Store, created, token};

/// What no answer may hold.
const VALUE: &str = "zq7Xv0hunter2";

/// A task's pod of the run `r1` that never starts.
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

/// The object that a pod waits for.
fn awaited(pod: &Pod) -> Result<String> {
    let mark: Value = serde_json::from_str(&pod.annotations()["bootlace.dev/injected"])?;
    Ok(mark["awaits"][0]["object"].as_str().context("the annotation names it")?.to_owned())
}

#[tokio::test]
async fn a_pod_hears_of_what_it_waits_for_and_of_nothing_else() -> Result<()> {
    // Boxed, because what it holds over its many steps is more than a stack should carry (clippy::large_futures).
    Box::pin(scenario("store-awaited").run(async |namespace| hears(namespace).await)).await
}

async fn hears(namespace: &Namespace) -> Result<()> {
    namespace.profile("{}").await?;
    let store = Store::open(&namespace.client()).await?;
    let waits =
        |key: &str| json!([{"key": key, "mountPath": "/tls", "wait": 60, "kind": "Secret", "task": "task"}]);
    let consumer =
        created(namespace, &pod(namespace, "waits", "bootlace.dev/pipe-in", &waits("Cert"))).await?;
    let other = created(namespace, &pod(namespace, "other", "bootlace.dev/pipe-in", &waits("Other"))).await?;
    let outputs = json!([{"key": "Cert", "file": "/out/tls.crt", "kind": "Secret", "awaited": true}]);
    let producer = created(namespace, &pod(namespace, "task", "bootlace.dev/pipe-out", &outputs)).await?;
    let its = token(namespace, Some(&consumer), "bootlace").await?;
    let others = token(namespace, Some(&other), "bootlace").await?;
    let producers = token(namespace, Some(&producer), "bootlace").await?;
    let object = awaited(&consumer)?;

    assert_eq!(store.ask_for(&its, &object).await?, (200, json!({"state": "NotYet", "soFar": []})));
    let put = async |value: &str| {
        let body =
            json!({"container": "main", "kind": "Secret", "files": {"tls.crt": STANDARD.encode(value)}});
        store.put_output(&producers, "Cert", body.to_string()).await
    };
    let answer = put(VALUE).await?;
    assert_eq!((answer.0, &answer.1["created"]), (200, &json!(true)), "{answer:?}");
    assert_eq!(store.ask_for(&its, &object).await?, (200, json!({"state": "Stored", "files": ["tls.crt"]})));
    for (token, object, status, code) in [
        ("", &*object, 401, "BL5101"),
        (&others, &object, 403, "BL5106"),
        (&producers, &object, 403, "BL5106"),
        (&its, &awaited(&other)?, 403, "BL5106"),
        (&its, "bootlace-tls", 403, "BL5106"),
        (&its, answer.1["pipe"].as_str().context("it names the Pipe")?, 403, "BL5106"),
    ] {
        let (given, body) = store.ask_for(token, object).await?;
        let message = body["message"].as_str().unwrap_or_default();
        assert!(given == status && body["code"] == code, "not {status} {code}, but {given} {body}");
        assert!(!message.contains(VALUE), "{body}");
    }

    // Other content does not take the name's, and whoever waits is told so.
    let secret = namespace.api::<Secret>().get(&object).await?;
    assert!(secret.immutable == Some(true) && secret.data.as_ref().unwrap()["tls.crt"].0 == VALUE.as_bytes());
    assert_eq!(put("other content").await?.0, 200);
    let (_, body) = store.ask_for(&its, &object).await?;
    assert!(body["why"].as_str().unwrap_or_default().contains("recreate the pod"), "{body}");
    assert_eq!(namespace.api::<Secret>().get(&object).await?.resource_version(), secret.resource_version());

    // It goes with its Pipe, as the other object does.
    let pipes = super::pipes::pipes(namespace);
    for pipe in pipes.list(&ListParams::default()).await? {
        pipes.delete(&pipe.name_any(), &DeleteParams::default()).await?;
    }
    super::pipes::gone(namespace, "an object outlives its Pipe").await
}
