//! Applies the same manifest several times with server-side apply, as Helm 4, Flux and Argo CD do at every
//! upgrade.

use anyhow::{Context, Result};
use bootlace_cluster::scenario::{Namespace, scenario};
use kube::Api;
use kube::api::{ApiResource, DynamicObject, GroupVersionKind, Patch, PatchParams};
use serde_json::{Value, json};

/// Specs with an empty object or list in each field that allows one. `None` is a profile without a spec.
fn specs() -> Vec<Option<Value>> {
    let source = |source: Value| {
        let mut named = json!({"name": "one"});
        named.as_object_mut().unwrap().extend(source.as_object().unwrap().clone());
        Some(json!({"sources": [named]}))
    };
    let http = |more: Value| {
        let mut http = json!({"url": "https://assets.example.com"});
        http.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        source(json!({"http": http}))
    };
    vec![
        None,
        Some(Value::Null),
        Some(json!({})),
        Some(json!({"sources": []})),
        Some(json!({"boot": {}, "assets": {}, "volume": {}, "env": {}, "hook": {}, "pipes": {}})),
        Some(json!({"boot": {"resources": {}}, "env": {"file": {}}, "pipes": {"quota": {}}})),
        Some(json!({"boot": {"resources": {"requests": {}, "limits": {}}}})),
        // Pods can name boot images, but none is allowed. Without the object, the annotation is refused.
        Some(json!({"boot": {"initImage": {}}})),
        Some(json!({"boot": {"initImage": {"resources": {}}}})),
        Some(json!({"pipes": {"resources": {}}})),
        source(json!({"inline": {}})),
        source(json!({"inline": {"env": {}, "files": {}}})),
        source(json!({"inline": {}, "limits": {}})),
        // The archive is extracted with the defaults. Without the object, the source would be refused.
        http(json!({"archive": {}})),
        http(json!({"archive": {}, "client": {}})),
        http(json!({"file": "a", "query": {}})),
        source(json!({"objectStore": {"gcs": {"bucket": "boot-assets"}, "object": "o", "archive": {}}})),
        source(json!({"objectStore": {"gcs": {"bucket": "boot-assets"}, "prefix": "p", "client": {}}})),
        source(json!({"oci": {"reference": "registry.example.com/assets:v3", "client": {}}})),
    ]
}

#[tokio::test]
async fn an_empty_object_stays_what_it_is() -> Result<()> {
    scenario("applied-again").run(async |namespace| applied_again(namespace).await).await
}

async fn applied_again(namespace: &Namespace) -> Result<()> {
    let kind = ApiResource::from_gvk(&GroupVersionKind::gvk("bootlace.dev", "v1alpha1", "BootProfile"));
    let profiles = Api::<DynamicObject>::all_with(namespace.client(), &kind);
    for (number, spec) in specs().into_iter().enumerate() {
        let name = format!("{}-{number}", namespace.name());
        let mut manifest = json!({
            "apiVersion": "bootlace.dev/v1alpha1", "kind": "BootProfile",
            "metadata": {
                "name": name,
                // Deleted with the namespace of the scenario.
                "ownerReferences": [owner(namespace).await?],
            },
        });
        if let Some(spec) = &spec {
            manifest["spec"] = spec.clone();
        }
        let manifest = Patch::Apply(manifest);
        let as_helm = PatchParams::apply("helm");
        let mut first = None;
        for time in ["first", "second", "third"] {
            let applied = profiles.patch(&name, &as_helm, &manifest).await;
            let applied = applied.with_context(|| format!("apply {spec:?} for the {time} time"))?;
            let now = applied.data["spec"].clone();
            assert!(now.is_object(), "{spec:?} became {now}");
            assert_eq!(
                *first.get_or_insert_with(|| now.clone()),
                now,
                "{spec:?}, applied for the {time} time"
            );
        }
        // A field of another owner is preserved.
        let other_owner = json!({
            "apiVersion": "bootlace.dev/v1alpha1", "kind": "BootProfile", "spec": {"boot": {"timeoutSeconds": 60}},
        });
        profiles.patch(&name, &PatchParams::apply("operator").force(), &Patch::Apply(other_owner)).await?;
        let applied = profiles.patch(&name, &as_helm, &manifest).await?;
        assert_eq!(applied.data["spec"]["boot"]["timeoutSeconds"], 60, "{spec:?}");
    }
    Ok(())
}

async fn owner(namespace: &Namespace) -> Result<Value> {
    use k8s_openapi::api::core::v1;
    let owner = Api::<v1::Namespace>::all(namespace.client()).get(namespace.name()).await?;
    Ok(json!({
        "apiVersion": "v1", "kind": "Namespace", "name": namespace.name(),
        "uid": owner.metadata.uid.context("the namespace has no UID")?,
    }))
}
