//! The Events of boot, which `kubectl describe` and Airflow show for a pod.

use anyhow::{Result, ensure};
use bootlace_cluster::images::PROBE;
use bootlace_cluster::scenario::{LIMIT, Namespace, scenario, state};
use bootlace_cluster::wait::until_async;
use k8s_openapi::api::core::v1::{Event, Secret};
use kube::api::{ListParams, Patch, PatchParams};
use serde_json::json;

/// The Events that boot recorded for a pod, from the core API.
async fn events(namespace: &Namespace, pod: &str) -> Result<Vec<Event>> {
    let params = ListParams::default().fields(&format!("involvedObject.name={pod}"));
    let found = namespace.api::<Event>().list(&params).await?;
    let is_from_boot = |event: &Event| event.reporting_component.as_deref() == Some("bootlace.dev/boot");
    Ok(found.items.into_iter().filter(is_from_boot).collect())
}

async fn create(namespace: &Namespace, name: &str) -> Result<()> {
    let pod = json!({
        "apiVersion": "v1", "kind": "Pod",
        "metadata": {"name": name, "labels": {"bootlace.dev/task": namespace.name()}},
        "spec": {"restartPolicy": "Never", "containers": [{"name": "main", "image": PROBE, "command": ["/probe"]}]},
    });
    namespace.create(&pod.to_string()).await.map(drop)
}

#[tokio::test]
async fn a_failure_is_a_warning_and_a_success_is_normal() -> Result<()> {
    scenario("store-events")
        .run(async |namespace| {
            let login = "{apiVersion: v1, kind: Secret, metadata: {name: login}, stringData: {user: not-for-any-event}}";
            namespace.create(login).await?;
            let items = "items: [{ key: password, as: PASSWORD }]";
            let profile = format!("sources: [{{ name: login, secret: {{ name: login, into: Env, {items} }} }}]");
            namespace.profile(&profile).await?;
            create(namespace, "fails").await?;
            let failed = namespace.pod_failed("fails").await?;
            let termination_message = state::message(&failed, "bootlace-boot")?.to_owned();
            let found = until_async(LIMIT, "the failure has no Event", async || {
                let found = events(namespace, "fails").await?;
                ensure!(!found.is_empty(), "no Event found");
                Ok(found)
            })
            .await?;
            let event = &found[0];
            assert_eq!((event.type_.as_deref(), event.reason.as_deref()), (Some("Warning"), Some("BootFailed")));
            let message = event.message.as_deref().unwrap();
            assert_eq!(Some(message), termination_message.strip_prefix("bootlace: "));
            assert!(message.contains("key \"password\"") && message.ends_with("[BL2101]"), "{message}");

            let patch = json!({"stringData": {"password": "not-for-any-event"}});
            namespace.api::<Secret>().patch("login", &PatchParams::default(), &Patch::Merge(patch)).await?;
            create(namespace, "succeeds").await?;
            namespace.pod_succeeded("succeeds").await?;
            let found = until_async(LIMIT, "the success has no Event", async || {
                let found = events(namespace, "succeeds").await?;
                ensure!(found.iter().any(|event| event.reason.as_deref() == Some("Booted")), "no Event found");
                Ok(found)
            })
            .await?;
            assert_eq!((found.len(), found[0].type_.as_deref()), (1, Some("Normal")));
            let message = found[0].message.as_deref().unwrap();
            assert!(message.starts_with("booted: 1 variable (1 secret), 0 files"), "{message}");
            assert!(!format!("{found:?}").contains("not-for-any-event"));
            Ok(())
        })
        .await
}
