//! What must be refused, and the sentence that each gets. The pods never run: their tokens are made for the test.

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

use super::ask::{Store, VALUE, created, env, expired, held, mark, refused, secret, token};

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
            let task = held(namespace, "task", None).await?;
            let good = token(namespace, Some(&task), "bootlace").await?;

            refused(&store.put("", env(VALUE)).await?, 401, "BL5101");
            refused(&store.put("made-up", env(VALUE)).await?, 401, "BL5101");
            let elsewhere = token(namespace, Some(&task), "vault").await?;
            refused(&store.put(&elsewhere, env(VALUE)).await?, 401, "BL5101");
            let person = token(namespace, None, "bootlace").await?;
            refused(&store.put(&person, env(VALUE)).await?, 401, "BL5101");
            refused(&store.put(&expired(&good)?, env(VALUE)).await?, 401, "BL5101");

            // Another pod's token speaks for that pod, which Bootlace did not inject.
            let stranger = json!({
                "apiVersion": "v1", "kind": "Pod", "metadata": {"name": "stranger"},
                "spec": {"schedulingGates": [{"name": "bootlace-cluster/held"}],
                         "containers": [{"name": "main", "image": PROBE}]},
            });
            let stranger = created(namespace, &stranger).await?;
            let other = token(namespace, Some(&stranger), "bootlace").await?;
            refused(&store.put(&other, env(VALUE)).await?, 403, "BL5103");

            // One that is being deleted, and one that is gone.
            let ending = held(namespace, "ending", None).await?;
            let late = token(namespace, Some(&ending), "bootlace").await?;
            patch(namespace, &ending, json!({"finalizers": ["bootlace-cluster/held"]})).await?;
            namespace.api::<Pod>().delete("ending", &DeleteParams::default()).await?;
            refused(&store.put(&late, env(VALUE)).await?, 403, "BL5102");
            patch(namespace, &ending, json!({"finalizers": null})).await?;
            until_async(LIMIT, "the token of a pod that is gone is still accepted", async || {
                let answer = store.put(&late, env(VALUE)).await?;
                anyhow::ensure!(answer.0 == 401, "{answer:?}");
                refused(&answer, 401, "BL5101");
                Ok(())
            })
            .await?;

            // None of them had anything made; the pod's own token has.
            assert_eq!(secrets(namespace).await?, [""; 0]);
            let (status, body) = store.put(&good, env(VALUE)).await?;
            assert_eq!(
                (status, &body["created"], &body["secret"]),
                (200, &json!(true), &json!(secret(&task)))
            );
            assert_eq!(secrets(namespace).await?, [secret(&task)]);
            audited(namespace, &["[BL5101]", "[BL5102]", "token has expired"]).await
        })
        .await
}

#[tokio::test]
async fn a_pod_gets_nothing_but_what_its_injection_names() -> Result<()> {
    // Boxed, because what it holds over its many steps is more than a stack should carry (clippy::large_futures).
    Box::pin(scenario("store-grants").run(async |namespace| {
        let store = Store::open(&namespace.client()).await?;
        let launched = held(namespace, "launched", Some("/probe")).await?;
        let its = token(namespace, Some(&launched), "bootlace").await?;
        refused(&store.put(&its, env(VALUE)).await?, 403, "BL5106");

        // An annotation can be changed after the fact; what the webhook signed cannot, and counts alone.
        let (victim, thief) = (held(namespace, "victim", None).await?, held(namespace, "thief", None).await?);
        let its = token(namespace, Some(&thief), "bootlace").await?;
        for name in ["db-login".to_owned(), "bootlace-tls".to_owned(), secret(&victim)] {
            let mut forged = mark(&thief);
            forged["envSecret"] = json!(name);
            patch(namespace, &thief, json!({"annotations": {"bootlace.dev/injected": forged.to_string()}}))
                .await?;
            let (status, body) = store.put(&its, env(VALUE)).await?;
            assert_eq!((status, &body["secret"]), (200, &json!(secret(&thief))));
        }
        patch(namespace, &thief, json!({"annotations": {"bootlace.dev/injected": null}})).await?;
        refused(&store.put(&its, env(VALUE)).await?, 403, "BL5103");
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
            let victim = held(namespace, "victim", None).await?;
            let own = token(namespace, Some(&victim), "bootlace").await?;
            assert_eq!(store.put(&own, env("the victim's")).await?.0, 200);
            // Made to look injected: the webhook sees whose it is, and the store where it is not asked.
            let mut copy = json!({
                "apiVersion": "v1", "kind": "Pod",
                "metadata": {"name": "copy", "annotations": {"bootlace.dev/injected": mark(&victim).to_string()},
                             "labels": {"bootlace.dev/task": "true"}},
            });
            copy["spec"] = serde_json::to_value(&victim.spec)?;
            let error = created(namespace, &copy).await.expect_err("a copy is admitted");
            let error = format!("{error:#}");
            assert!(error.contains("it came injected already, and the Secret of its env is"), "{error}");
            copy["metadata"]["labels"] = json!({});
            let copy = created(namespace, &copy).await?;
            assert_eq!(secret(&copy), secret(&victim));
            let its = token(namespace, Some(&copy), "bootlace").await?;
            refused(&store.put(&its, env(VALUE)).await?, 403, "BL5103");
            let kept = namespace.api::<Secret>().get(&secret(&victim)).await?;
            assert_eq!(kept.data.unwrap()["A"].0, b"the victim's");
            assert_eq!(kept.metadata.owner_references.unwrap()[0].uid, victim.uid().unwrap());
            Ok(())
        })
        .await
}

#[tokio::test]
async fn a_body_that_asks_for_more_is_refused() -> Result<()> {
    scenario("store-bodies")
        .run(async |namespace| {
            let store = Store::open(&namespace.client()).await?;
            let task = held(namespace, "task", None).await?;
            let its = token(namespace, Some(&task), "bootlace").await?;
            let value = STANDARD.encode(VALUE);
            for (body, status, code) in [
                (json!({"env": {"A": VALUE}, "more": 1}), 400, "BL5201"),
                (json!(VALUE), 400, "BL5201"),
                (json!({"env": {"A=1\nB": value}}), 422, "BL5205"),
                (json!({"env": {"../A": value}}), 422, "BL5205"),
                (json!({"env": {"A": STANDARD.encode(b"zq7Xv0hunter2\xff")}}), 422, "BL5205"),
                (json!({"env": {"A": STANDARD.encode(vec![b'x'; 1 << 20])}}), 413, "BL5204"),
            ] {
                refused(&store.put(&its, body.to_string()).await?, status, code);
            }
            refused(&store.put(&its, "{").await?, 400, "BL5201");
            refused(&store.put(&its, vec![b' '; 3 << 20]).await?, 413, "BL5204");

            // A byte, and then nothing.
            let first = stream::iter([Ok::<_, std::io::Error>(bytes::Bytes::from("{"))]);
            let slow = reqwest::Body::wrap_stream(first.chain(stream::pending()));
            refused(&store.put(&its, slow).await?, 408, "BL5203");

            assert_eq!(secrets(namespace).await?, [""; 0]);
            audited(namespace, &["[BL5203]", "[BL5204]"]).await?;

            // What a version to come may say beside is passed over, and changes nothing.
            let more = json!({
                "env": {"A": value}, "namespace": "kube-system", "name": "db-login",
                "type": "kubernetes.io/service-account-token", "metadata": {"annotations": {"a": "b"}},
            });
            let (status, body) = store.put(&its, more.to_string()).await?;
            assert_eq!((status, &body["secret"]), (200, &json!(secret(&task))), "{body}");
            let made = namespace.api::<Secret>().get(&secret(&task)).await?;
            assert_eq!((made.type_.as_deref(), made.metadata.annotations), (Some("Opaque"), None));
            Ok(())
        })
        .await
}

#[tokio::test]
async fn an_annotation_sets_no_address_no_image_and_no_privilege() -> Result<()> {
    scenario("store-annotations")
        .run(async |namespace| {
            let honest = held(namespace, "honest", None).await?;
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
                // The service account's own mount has a name that the API server draws.
                let mounts = containers.iter_mut().filter_map(|container| container.volume_mounts.as_mut());
                mounts.for_each(|mounts| mounts.retain(|mount| !mount.name.starts_with("kube-api-access-")));
                // The signature is of the pod's own name.
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

/// The store's log tells of each denial in this namespace, with its reason and without values.
async fn audited(namespace: &Namespace, reasons: &[&str]) -> Result<()> {
    let mut kubectl = command("kubectl");
    kubectl.args(["--namespace", install::NAMESPACE, "logs", "--selector=app.kubernetes.io/component=store"]);
    let log = output(kubectl.args(["--tail=-1", "--prefix"])).await?;
    for reason in reasons {
        let told = log.lines().any(|line| line.contains("denied") && line.contains(reason));
        assert!(told, "{reason:?} is in no line of:\n{log}");
    }
    assert!(log.lines().any(|line| line.contains(namespace.name())), "{log}");
    assert!(!log.contains(VALUE) && !log.contains(&STANDARD.encode(VALUE)), "{log}");
    Ok(())
}
