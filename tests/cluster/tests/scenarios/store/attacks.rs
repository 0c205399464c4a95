//! Requests that the store must refuse. The pods never run: the test creates their tokens.

use anyhow::Result;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bootlace_cluster::command::{command, output};
use bootlace_cluster::images::PROBE;
use bootlace_cluster::install;
use bootlace_cluster::scenario::{LIMIT, Namespace, scenario};
use bootlace_cluster::wait::until_async;
use futures::{StreamExt as _, stream};
use k8s_openapi::api::core::v1::{Pod, Secret};
use kube::ResourceExt;
use kube::api::{DeleteParams, ListParams, Patch, PatchParams};
use serde_json::json;

use super::client::{
    Store, VALUE, created, env, expired, gated, injected_annotation, refused, secret, token,
};

async fn secrets(namespace: &Namespace) -> Result<Vec<String>> {
    let found = namespace.api::<Secret>().list(&ListParams::default()).await?;
    Ok(found.iter().map(ResourceExt::name_any).collect())
}

async fn patch(namespace: &Namespace, pod: &Pod, metadata: serde_json::Value) -> Result<()> {
    let patch = Patch::Merge(json!({"metadata": metadata}));
    namespace.api::<Pod>().patch(&pod.name_any(), &PatchParams::default(), &patch).await?;
    Ok(())
}

#[tokio::test]
async fn a_token_that_is_not_the_pods_own_is_refused() -> Result<()> {
    scenario("store-tokens")
        .run(async |namespace| {
            let store = Store::open(&namespace.client()).await?;
            let task = gated(namespace, "task", None).await?;
            let good = token(namespace, Some(&task), "bootlace").await?;

            refused(&store.put("", env(VALUE)).await?, 401, "BL5101");
            refused(&store.put("made-up", env(VALUE)).await?, 401, "BL5101");
            let other_audience = token(namespace, Some(&task), "vault").await?;
            refused(&store.put(&other_audience, env(VALUE)).await?, 401, "BL5101");
            let unbound = token(namespace, None, "bootlace").await?;
            refused(&store.put(&unbound, env(VALUE)).await?, 401, "BL5101");
            refused(&store.put(&expired(&good)?, env(VALUE)).await?, 401, "BL5101");

            // A token identifies its pod, and Bootlace has not injected this one.
            let stranger = json!({
                "apiVersion": "v1", "kind": "Pod", "metadata": {"name": "stranger"},
                "spec": {"schedulingGates": [{"name": "bootlace-cluster/held"}],
                         "containers": [{"name": "main", "image": PROBE}]},
            });
            let stranger = created(namespace, &stranger).await?;
            let other = token(namespace, Some(&stranger), "bootlace").await?;
            refused(&store.put(&other, env(VALUE)).await?, 403, "BL5103");

            // The token of a pod that is being deleted, and of a deleted one.
            let ending = gated(namespace, "ending", None).await?;
            let late = token(namespace, Some(&ending), "bootlace").await?;
            patch(namespace, &ending, json!({"finalizers": ["bootlace-cluster/held"]})).await?;
            namespace.api::<Pod>().delete("ending", &DeleteParams::default()).await?;
            refused(&store.put(&late, env(VALUE)).await?, 403, "BL5102");
            patch(namespace, &ending, json!({"finalizers": null})).await?;
            until_async(LIMIT, "the token of a deleted pod is still accepted", async || {
                let response = store.put(&late, env(VALUE)).await?;
                anyhow::ensure!(response.0 == 401, "{response:?}");
                refused(&response, 401, "BL5101");
                Ok(())
            })
            .await?;

            // None of these requests has created anything. The token of the pod does.
            assert_eq!(secrets(namespace).await?, [""; 0]);
            let (status, body) = store.put(&good, env(VALUE)).await?;
            assert_eq!(
                (status, &body["created"], &body["secret"]),
                (200, &json!(true), &json!(secret(&task)))
            );
            assert_eq!(secrets(namespace).await?, [secret(&task)]);
            audited(namespace, &["[BL5101]", "[BL5102]", "expired"]).await
        })
        .await
}

#[tokio::test]
async fn a_pod_gets_nothing_but_what_its_injection_names() -> Result<()> {
    // Boxed, because the future is large (clippy::large_futures).
    Box::pin(scenario("store-grants").run(async |namespace| {
        let store = Store::open(&namespace.client()).await?;
        let launched = gated(namespace, "launched", Some("/probe")).await?;
        let launched_token = token(namespace, Some(&launched), "bootlace").await?;
        refused(&store.put(&launched_token, env(VALUE)).await?, 403, "BL5106");

        // The annotation can be changed later. The store only uses the configuration that the webhook has
        // signed.
        let (victim, thief) =
            (gated(namespace, "victim", None).await?, gated(namespace, "thief", None).await?);
        let thief_token = token(namespace, Some(&thief), "bootlace").await?;
        for name in ["db-login".to_owned(), "bootlace-tls".to_owned(), secret(&victim)] {
            let mut forged = injected_annotation(&thief);
            forged["envSecret"] = json!(name);
            patch(namespace, &thief, json!({"annotations": {"bootlace.dev/injected": forged.to_string()}}))
                .await?;
            let (status, body) = store.put(&thief_token, env(VALUE)).await?;
            assert_eq!((status, &body["secret"]), (200, &json!(secret(&thief))));
        }
        patch(namespace, &thief, json!({"annotations": {"bootlace.dev/injected": null}})).await?;
        refused(&store.put(&thief_token, env(VALUE)).await?, 403, "BL5103");
        assert_eq!(secrets(namespace).await?, [secret(&thief)]);
        audited(namespace, &["[BL5106]", "[BL5103]"]).await
    }))
    .await
}

#[tokio::test]
async fn a_pod_with_anothers_secret_in_its_spec_changes_nothing_of_it() -> Result<()> {
    scenario("store-copies")
        .run(async |namespace| {
            let store = Store::open(&namespace.client()).await?;
            let victim = gated(namespace, "victim", None).await?;
            let own = token(namespace, Some(&victim), "bootlace").await?;
            assert_eq!(store.put(&own, env("the victim's")).await?.0, 200);
            // A copy that looks injected. The webhook refuses it, and the store if the webhook does not
            // review it.
            let mut copy = json!({
                "apiVersion": "v1", "kind": "Pod",
                "metadata": {"name": "copy", "annotations": {"bootlace.dev/injected": injected_annotation(&victim).to_string()},
                             "labels": {"bootlace.dev/task": "true"}},
            });
            copy["spec"] = serde_json::to_value(&victim.spec)?;
            let error = created(namespace, &copy).await.expect_err("a copy is admitted");
            let error = format!("{error:#}");
            assert!(error.contains("[BL1402]"), "{error}");
            copy["metadata"]["labels"] = json!({});
            let copy = created(namespace, &copy).await?;
            assert_eq!(secret(&copy), secret(&victim));
            let copy_token = token(namespace, Some(&copy), "bootlace").await?;
            refused(&store.put(&copy_token, env(VALUE)).await?, 403, "BL5103");
            let existing = namespace.api::<Secret>().get(&secret(&victim)).await?;
            assert_eq!(existing.data.unwrap()["A"].0, b"the victim's");
            assert_eq!(existing.metadata.owner_references.unwrap()[0].uid, victim.uid().unwrap());
            Ok(())
        })
        .await
}

#[tokio::test]
async fn a_body_that_asks_for_more_is_refused() -> Result<()> {
    scenario("store-bodies")
        .run(async |namespace| {
            let store = Store::open(&namespace.client()).await?;
            let task = gated(namespace, "task", None).await?;
            let task_token = token(namespace, Some(&task), "bootlace").await?;
            let value = STANDARD.encode(VALUE);
            for (body, status, code) in [
                (json!({"env": {"A": VALUE}, "more": 1}), 400, "BL5201"),
                (json!(VALUE), 400, "BL5201"),
                (json!({"env": {"A=1\nB": value}}), 422, "BL5205"),
                (json!({"env": {"../A": value}}), 422, "BL5205"),
                (json!({"env": {"A": STANDARD.encode(b"zq7Xv0hunter2\xff")}}), 422, "BL5205"),
                (json!({"env": {"A": STANDARD.encode(vec![b'x'; 1 << 20])}}), 413, "BL5204"),
            ] {
                refused(&store.put(&task_token, body.to_string()).await?, status, code);
            }
            refused(&store.put(&task_token, "{").await?, 400, "BL5201");
            refused(&store.put(&task_token, vec![b' '; 3 << 20]).await?, 413, "BL5204");

            // A body of which only the first byte arrives.
            let first = stream::iter([Ok::<_, std::io::Error>(bytes::Bytes::from("{"))]);
            let slow = reqwest::Body::wrap_stream(first.chain(stream::pending()));
            refused(&store.put(&task_token, slow).await?, 408, "BL5203");

            assert_eq!(secrets(namespace).await?, [""; 0]);
            audited(namespace, &["[BL5203]", "[BL5204]"]).await?;

            // Unknown fields, which a later version may send, are ignored.
            let more = json!({
                "env": {"A": value}, "namespace": "kube-system", "name": "db-login",
                "type": "kubernetes.io/service-account-token", "metadata": {"annotations": {"a": "b"}},
            });
            let (status, body) = store.put(&task_token, more.to_string()).await?;
            assert_eq!((status, &body["secret"]), (200, &json!(secret(&task))), "{body}");
            let created = namespace.api::<Secret>().get(&secret(&task)).await?;
            assert_eq!((created.type_.as_deref(), created.metadata.annotations), (Some("Opaque"), None));
            Ok(())
        })
        .await
}

#[tokio::test]
async fn an_annotation_sets_no_address_no_image_and_no_privilege() -> Result<()> {
    scenario("store-annotations")
        .run(async |namespace| {
            let honest = gated(namespace, "honest", None).await?;
            let forged = json!({
                "profile": "root", "generation": 1, "version": "9", "containers": ["main"], "envMode": "secret",
                "envSecret": "db-login", "store": {"url": "https://evil"}, "image": "evil", "privileged": true,
            });
            let pod = json!({
                "apiVersion": "v1", "kind": "Pod",
                "metadata": {
                    "name": "forged", "labels": {"bootlace.dev/task": "true"},
                    "annotations": {
                        "bootlace.dev/injected": forged.to_string(), "bootlace.dev/store-url": "https://evil",
                        "bootlace.dev/image": "evil", "bootlace.dev/privileged": "true",
                    },
                },
                "spec": {"schedulingGates": [{"name": "bootlace-cluster/held"}],
                         "containers": [{"name": "main", "image": PROBE}]},
            });
            let pod = created(namespace, &pod).await?;
            let boot = |pod: &Pod| {
                let mut containers = pod.spec.clone().unwrap().init_containers.unwrap();
                // The mount of the service account token has a random name.
                let mounts = containers.iter_mut().filter_map(|container| container.volume_mounts.as_mut());
                mounts.for_each(|mounts| mounts.retain(|mount| !mount.name.starts_with("kube-api-access-")));
                // The signature depends on the name of the pod.
                let env = containers.iter_mut().filter_map(|container| container.env.as_mut());
                env.for_each(|env| env.retain(|variable| variable.name != "BOOTLACE_SIGNATURE"));
                let text = serde_json::to_string(&containers).unwrap();
                text.replace(&secret(pod), "THE-SECRET")
            };
            assert_eq!(boot(&pod), boot(&honest));
            assert_ne!(secret(&pod), "db-login");
            Ok(())
        })
        .await
}

/// Checks that the log of the store contains a denial for each of `reasons`, and no values.
async fn audited(namespace: &Namespace, reasons: &[&str]) -> Result<()> {
    let mut kubectl = command("kubectl");
    kubectl.args(["--namespace", install::NAMESPACE, "logs", "--selector=app.kubernetes.io/component=store"]);
    let log = output(kubectl.args(["--tail=-1", "--prefix"])).await?;
    for reason in reasons {
        let is_logged = log.lines().any(|line| line.contains("denied") && line.contains(reason));
        assert!(is_logged, "{reason:?} is in no denial of:\n{log}");
    }
    assert!(log.lines().any(|line| line.contains(namespace.name())), "{log}");
    assert!(!log.contains(VALUE) && !log.contains(&STANDARD.encode(VALUE)), "{log}");
    Ok(())
}
