//! Outputs: which ones the store accepts, and when it removes them. The pods never run: the webhook has
//! injected their configuration, and the test creates their tokens.

use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bootlace_cluster::images::PROBE;
use bootlace_cluster::scenario::{LIMIT, Namespace, scenario};
use bootlace_cluster::wait::until_async;
use k8s_openapi::api::batch::v1::Job;
use k8s_openapi::api::core::v1::{ConfigMap, Pod, Secret};
use k8s_openapi::jiff::Timestamp;
use kube::ResourceExt as _;
use kube::api::{
    Api, ApiResource, DeleteParams, DynamicObject, GroupVersionKind, ListParams, ObjectMeta, Patch,
    PatchParams, PostParams,
};
use serde_json::{Value, json};

use super::client::{Response, Store, VALUE, created, refused, refused_for, token};

/// A task pod with outputs that never starts, of the run `r1` of the workflow `etl`.
fn pod(namespace: &Namespace, name: &str, outputs: &Value) -> Value {
    json!({
        "apiVersion": "v1", "kind": "Pod",
        "metadata": {
            "name": name, "labels": {"bootlace.dev/task": namespace.name()},
            "annotations": {
                "bootlace.dev/run": "r1", "bootlace.dev/workflow": "etl", "bootlace.dev/containers": "main,other",
                "bootlace.dev/pipe-out": outputs.to_string(),
            },
        },
        "spec": {
            "schedulingGates": [{"name": "bootlace-cluster/held"}],
            "containers": [
                {"name": "main", "image": PROBE, "command": ["/probe"]},
                {"name": "other", "image": PROBE, "command": ["/probe"]},
            ],
        },
    })
}

fn outputs() -> Value {
    json!([
        {"key": "Cert", "file": "/out/tls.crt", "kind": "Secret", "container": "main"},
        {"key": "Log", "file": "/out/log", "kind": "ConfigMap", "container": "other"},
    ])
}

fn body(container: &str, kind: &str, files: &[(&str, &[u8])]) -> Value {
    let files: serde_json::Map<_, _> =
        files.iter().map(|(name, bytes)| ((*name).to_owned(), json!(STANDARD.encode(bytes)))).collect();
    json!({"container": container, "kind": kind, "files": files})
}

/// The Pipes of the namespace, without the types of Bootlace.
pub(super) fn pipes(namespace: &Namespace) -> Api<DynamicObject> {
    let resource = ApiResource::from_gvk(&GroupVersionKind::gvk("bootlace.dev", "v1alpha1", "Pipe"));
    Api::namespaced_with(namespace.client(), namespace.name(), &resource)
}

/// The names of all Pipes, and of all objects with outputs.
async fn existing(namespace: &Namespace) -> Result<(Vec<String>, Vec<String>)> {
    let params = ListParams::default().labels("bootlace.dev/pipe-run");
    let pipes = pipes(namespace).list(&params).await?;
    let secrets = namespace.api::<Secret>().list(&params).await?;
    let maps = namespace.api::<ConfigMap>().list(&params).await?;
    let mut objects: Vec<_> = secrets.iter().map(kube::ResourceExt::name_any).collect();
    objects.extend(maps.iter().map(kube::ResourceExt::name_any));
    objects.sort_unstable();
    Ok((pipes.iter().map(kube::ResourceExt::name_any).collect(), objects))
}

/// Waits until no Pipes and no outputs exist.
pub(super) async fn wait_for_none(namespace: &Namespace, problem: &str) -> Result<()> {
    until_async(LIMIT, problem, async || {
        let remaining = existing(namespace).await?;
        ensure!(remaining.0.is_empty() && remaining.1.is_empty(), "{remaining:?}");
        Ok(())
    })
    .await
}

#[tokio::test]
async fn a_pod_gets_nothing_stored_but_what_it_declares() -> Result<()> {
    // Boxed, because the future is large (clippy::large_futures).
    Box::pin(scenario("store-outputs").run(async |namespace| {
        namespace.profile("{}").await?;
        let store = Store::open(&namespace.client()).await?;
        let task = created(namespace, &pod(namespace, "task", &outputs())).await?;
        let task_token = token(namespace, Some(&task), "bootlace").await?;
        let good = body("main", "Secret", &[("tls.crt", VALUE.as_bytes())]);
        let other = json!([{"key": "Theirs", "file": "/out/a", "kind": "Secret", "container": "main"}]);
        let other = created(namespace, &pod(namespace, "other", &other)).await?;
        let other_token = token(namespace, Some(&other), "bootlace").await?;

        let put = async |token: &str, key: &str, body: &Value| store.put_output(token, key, body.to_string()).await;
        refused(&put("", "Cert", &good).await?, 401, "BL5101");
        for (key, shown) in [
            ("Key", "\"Key\""),
            ("cert", "\"cert\""),
            ("Theirs", "\"Theirs\""),
            ("..%2FCert", "\"../Cert\""),
            ("%7B%7B.Pipes.Cert%7D%7D", "\"{{.Pipes.Cert}}\""),
        ] {
            refused_for(&put(&task_token, key, &good).await?, 403, "BL5106", shown);
        }
        refused_for(&put(&other_token, "Cert", &good).await?, 403, "BL5106", "\"Cert\"");
        let kind = body("main", "ConfigMap", &[("tls.crt", VALUE.as_bytes())]);
        refused_for(&put(&task_token, "Cert", &kind).await?, 403, "BL5106", "ConfigMap");
        let container = body("other", "Secret", &[("tls.crt", VALUE.as_bytes())]);
        refused_for(&put(&task_token, "Cert", &container).await?, 403, "BL5106", "\"other\"");
        for name in ["../a", "", &*"n".repeat(254)] {
            refused(&put(&task_token, "Cert", &body("main", "Secret", &[(name, b"x")])).await?, 422, "BL5205");
        }
        refused(&put(&task_token, "Cert", &body("main", "Secret", &[])).await?, 422, "BL5205");
        let large = body("main", "Secret", &[("a", &vec![b'x'; 1 << 20])]);
        refused(&put(&task_token, "Cert", &large).await?, 413, "BL5204");

        // The annotation cannot be changed later, and a pod without a sidecar has no outputs.
        let forged = json!({"metadata": {"annotations": {"bootlace.dev/pipe-out": "[{key: Key, file: /a, kind: Secret}]"}}});
        namespace.api::<Pod>().patch("task", &PatchParams::default(), &Patch::Merge(forged)).await?;
        refused_for(&put(&task_token, "Key", &good).await?, 403, "BL5106", "\"Key\"");
        let none = created(namespace, &pod(namespace, "none", &json!([]))).await?;
        let none = token(namespace, Some(&none), "bootlace").await?;
        refused_for(&put(&none, "Cert", &good).await?, 403, "BL5106", "\"bootlace-pipe\"");
        assert_eq!(existing(namespace).await?, (vec![], vec![]));

        // The largest possible output is stored unchanged.
        let largest = vec![b'\xff'; (1 << 20) - 1];
        let response = put(&task_token, "Log", &body("other", "ConfigMap", &[("a", &largest)])).await?;
        assert_eq!((response.0, &response.1["created"]), (200, &json!(true)), "{response:?}");
        let name = response.1["pipe"].as_str().context("the response does not name the Pipe")?;
        let map = namespace.api::<ConfigMap>().get(name).await?;
        assert!(map.binary_data.unwrap()["a"].0 == largest && map.immutable == Some(true));
        Ok(())
    }))
    .await
}

#[tokio::test]
async fn the_same_content_is_one_object_that_is_deleted_with_its_pipe() -> Result<()> {
    scenario("store-output")
        .run(async |namespace| {
            namespace.profile("{}").await?;
            let store = Store::open(&namespace.client()).await?;
            let task = created(namespace, &pod(namespace, "task", &outputs())).await?;
            let task_token = token(namespace, Some(&task), "bootlace").await?;
            let content =
                body("main", "Secret", &[("tls.crt", b"one"), ("tls.key", VALUE.as_bytes())]).to_string();
            let first = store.put_output(&task_token, "Cert", content.clone()).await?;
            assert_eq!((first.0, &first.1["created"]), (200, &json!(true)), "{first:?}");
            let name = first.1["pipe"].as_str().context("the response does not name the Pipe")?.to_owned();
            assert!(name.starts_with("etl.r1.task.cert-"), "{name}");
            let (pipes, secrets) = (pipes(namespace), namespace.api::<Secret>());
            let (pipe, secret) = (pipes.get(&name).await?, secrets.get(&name).await?);
            let spec = &pipe.data["spec"];
            let fields = (&spec["key"], &spec["kind"], &spec["size"], &spec["files"]);
            assert_eq!(
                fields,
                (&json!("Cert"), &json!("Secret"), &json!(30), &json!(["tls.crt", "tls.key"]))
            );
            assert!(pipe.data["status"]["stored"].is_string() && spec["expires"].is_string());
            assert_eq!(secret.data.as_ref().unwrap()["tls.key"].0, VALUE.as_bytes());
            assert_eq!(
                (secret.immutable, secret.owner_references()[0].uid.clone()),
                (Some(true), pipe.uid().unwrap())
            );

            let second = store.put_output(&task_token, "Cert", content.clone()).await?;
            assert_eq!((second.0, &second.1["created"]), (200, &json!(false)), "{second:?}");
            assert_eq!(pipes.get(&name).await?.resource_version(), pipe.resource_version());
            assert_eq!(secrets.get(&name).await?.resource_version(), secret.resource_version());
            let kubectl =
                bootlace_cluster::command::output(bootlace_cluster::command::command("kubectl").args([
                    "--namespace",
                    namespace.name(),
                    "get",
                    "pipes",
                ]))
                .await?;
            let row: Vec<_> = kubectl.lines().nth(1).context("no row")?.split_whitespace().take(7).collect();
            assert_eq!(row, [&*name, "r1", "task", "Cert", "Secret", "30", "True"]);
            // The object of a Pipe cannot be changed.
            let other_object = Patch::Merge(json!({"spec": {"object": "db-login"}}));
            let error =
                pipes.patch(&name, &PatchParams::default(), &other_object).await.unwrap_err().to_string();
            assert!(error.contains("immutable"), "{error}");

            // Deleted and immediately stored again, possibly before the garbage collector has deleted the
            // object.
            pipes.delete(&name, &DeleteParams::default()).await?;
            until_async(LIMIT, "the output was not stored again", async || {
                let response = store.put_output(&task_token, "Cert", content.clone()).await?;
                ensure!(response.0 == 200 && response.1["created"] == true, "{response:?}");
                Ok(())
            })
            .await?;
            let again = pipes.get(&name).await?;
            assert!(again.data["status"]["stored"].is_string() && again.uid() != pipe.uid());
            assert_eq!(secrets.get(&name).await?.owner_references()[0].uid, again.uid().unwrap());
            pipes.delete(&name, &DeleteParams::default()).await?;
            wait_for_none(namespace, "the object of a deleted Pipe still exists").await
        })
        .await
}

#[tokio::test]
async fn a_pod_that_waits_for_a_pipe_continues_once_it_is_stored() -> Result<()> {
    scenario("store-output-ready")
        .run(async |namespace| {
            namespace.profile("{}").await?;
            let store = Store::open(&namespace.client()).await?;
            let task = created(namespace, &pod(namespace, "task", &outputs())).await?;
            let task_token = token(namespace, Some(&task), "bootlace").await?;
            let content = body("main", "Secret", &[("a", b"x")]).to_string();
            let response = store.put_output(&task_token, "Cert", content.clone()).await?;
            let name = response.1["pipe"].as_str().context("the response does not name the Pipe")?;
            let stored = pipes(namespace).get(name).await?;
            pipes(namespace).delete(name, &DeleteParams::default()).await?;
            wait_for_none(namespace, "the object of a deleted Pipe still exists").await?;

            // The Pipe of a replica that was killed before it created the object.
            let mut incomplete = stored.clone();
            incomplete.metadata = ObjectMeta {
                name: Some(name.to_owned()),
                labels: stored.metadata.labels.clone(),
                ..ObjectMeta::default()
            };
            pipes(namespace).create(&PostParams::default(), &incomplete).await?;
            let pipe = format!("pipe/{name}");
            let wait = async |timeout: &str| {
                let mut kubectl = bootlace_cluster::command::command("kubectl");
                kubectl.args([
                    "--namespace",
                    namespace.name(),
                    "wait",
                    "--for=condition=Ready",
                    &pipe,
                    timeout,
                ]);
                bootlace_cluster::command::output(&mut kubectl).await
            };
            let error = wait("--timeout=0").await.expect_err("the Pipe is not stored");
            assert!(format!("{error:#}").contains("not met"), "{error:#}");
            let (waited, response) =
                tokio::join!(wait("--timeout=60s"), store.put_output(&task_token, "Cert", content.clone()));
            assert_eq!(response?.0, 200);
            waited?;
            let ready = pipes(namespace).get(name).await?;
            let ready = ready.data.pointer("/status/conditions/0").context("the Pipe has no condition")?;
            assert_eq!((&ready["status"], &ready["reason"]), (&json!("True"), &json!("Stored")));
            Ok(())
        })
        .await
}

#[tokio::test]
async fn outputs_of_a_job_are_deleted_with_the_job() -> Result<()> {
    scenario("store-output-owner")
        .run(async |namespace| {
            namespace.profile("{}").await?;
            let store = Store::open(&namespace.client()).await?;
            let mut template = pod(namespace, "unused", &outputs());
            for field in ["bootlace.dev/run", "bootlace.dev/workflow"] {
                template["metadata"]["annotations"].as_object_mut().unwrap().remove(field);
            }
            template["metadata"].as_object_mut().unwrap().remove("name");
            template["spec"]["restartPolicy"] = json!("Never");
            let template = json!({"metadata": template["metadata"], "spec": template["spec"]});
            let job = json!({"apiVersion": "batch/v1", "kind": "Job", "metadata": {"name": "chain"}, "spec": {"template": template}});
            namespace.create(&job.to_string()).await?;
            let first_pod = async || {
                let pods = namespace.pods("batch.kubernetes.io/job-name=chain").await?;
                pods.into_iter().next().context("no pod found")
            };
            until_async(LIMIT, "the Job has no pod", async || first_pod().await.map(drop)).await?;
            let task_token = token(namespace, Some(&first_pod().await?), "bootlace").await?;
            let response = store.put_output(&task_token, "Cert", body("main", "Secret", &[("a", b"x")]).to_string()).await?;
            assert_eq!(response.0, 200, "{response:?}");
            let pipe = pipes(namespace).get(response.1["pipe"].as_str().context("the response does not name the Pipe")?).await?;
            let owner = &pipe.owner_references()[0];
            assert_eq!((&*owner.kind, &*owner.name), ("Job", "chain"));
            assert_eq!(pipe.data["spec"].get("expires"), None);
            namespace.api::<Job>().delete("chain", &DeleteParams::background()).await?;
            wait_for_none(namespace, "the output of a deleted Job still exists").await
        })
        .await
}

#[tokio::test]
async fn what_has_expired_or_was_never_finished_is_removed() -> Result<()> {
    scenario("store-output-expiry")
        .run(async |namespace| {
            namespace.profile("pipes: { timeToLiveSeconds: 60 }").await?;
            let store = Store::open(&namespace.client()).await?;
            let task = created(namespace, &pod(namespace, "task", &outputs())).await?;
            let task_token = token(namespace, Some(&task), "bootlace").await?;
            let response = store.put_output(&task_token, "Cert", body("main", "Secret", &[("a", b"x")]).to_string()).await?;
            assert_eq!(response.0, 200, "{response:?}");
            let name = response.1["pipe"].as_str().context("the response does not name the Pipe")?;
            let stored = pipes(namespace).get(name).await?;

            // The objects of a replica that was killed after it created the object.
            let mut incomplete = stored.clone();
            incomplete.metadata = ObjectMeta {
                name: Some("left".to_owned()),
                labels: stored.metadata.labels.clone(),
                ..ObjectMeta::default()
            };
            incomplete.data["spec"]["object"] = json!("left");
            let pipe = pipes(namespace).create(&PostParams::default(), &incomplete).await?;
            assert!(pipe.data.pointer("/status/stored").is_none());
            // Its status has the default condition, which shows that it is not stored.
            let without_status = pipes(namespace).get("left").await?;
            let ready = without_status.data.pointer("/status/conditions/0").context("the Pipe has no condition")?;
            assert_eq!((&ready["type"], &ready["status"]), (&json!("Ready"), &json!("Unknown")));
            let owner = json!([{"apiVersion": "bootlace.dev/v1alpha1", "kind": "Pipe", "name": "left", "uid": pipe.uid()}]);
            let secret = json!({"metadata": {"name": "left", "labels": incomplete.labels(), "ownerReferences": owner}});
            namespace.api::<Secret>().create(&PostParams::default(), &serde_json::from_value(secret)?).await?;

            wait_for_none(namespace, "expired or incomplete outputs were not removed").await?;
            let expires = stored.data["spec"]["expires"].as_str().context("the Pipe does not expire")?;
            let expires: Timestamp = expires.parse()?;
            // Store and test use the same clock.
            assert!(Timestamp::now() >= expires, "{expires}");
            assert!(Timestamp::now().duration_since(expires).unsigned_abs() < Duration::from_mins(1));
            Ok(())
        })
        .await
}

#[tokio::test]
async fn a_run_stores_no_more_than_its_quota() -> Result<()> {
    scenario("store-output-quota")
        .run(async |namespace| {
            namespace.profile("pipes: { quota: { perRun: 1, perNamespace: 2 } }").await?;
            let store = Store::open(&namespace.client()).await?;
            let put = async |pod: &Value, key: &str, container: &str, kind: &str| -> Result<Response> {
                let name = pod["metadata"]["name"].as_str().unwrap_or_default();
                let pod = match namespace.api::<Pod>().get_opt(name).await? {
                    Some(pod) => pod,
                    None => created(namespace, pod).await?,
                };
                let task_token = token(namespace, Some(&pod), "bootlace").await?;
                store.put_output(&task_token, key, body(container, kind, &[("a", b"x")]).to_string()).await
            };
            let of_run = |name: &str, run: &str| {
                let mut pod = pod(namespace, name, &outputs());
                pod["metadata"]["annotations"]["bootlace.dev/run"] = json!(run);
                pod
            };
            let (one, two, three) = (of_run("one", "r1"), of_run("two", "r2"), of_run("three", "r3"));
            assert_eq!(put(&one, "Cert", "main", "Secret").await?.0, 200);
            refused(&put(&one, "Log", "other", "ConfigMap").await?, 403, "BL5303");
            // The same output again does not count.
            assert_eq!(put(&one, "Cert", "main", "Secret").await?.0, 200);
            assert_eq!(put(&two, "Cert", "main", "Secret").await?.0, 200);
            refused(&put(&three, "Cert", "main", "Secret").await?, 403, "BL5303");
            assert_eq!(existing(namespace).await?.0.len(), 2);
            Ok(())
        })
        .await
}
