//! Applying YAML to the cluster, whatever kinds it holds.

use anyhow::{Context, Result};
use kube::api::{Api, DynamicObject, Patch, PatchParams};
use kube::core::GroupVersionKind;
use kube::discovery::{Scope, pinned_kind};
use kube::{Client, ResourceExt};
use serde::Deserialize;

/// Who the API server notes as the owner of the fields.
const MANAGER: &str = "bootlace-cluster";

/// Applies every document in `yaml`, in order; objects that name no namespace go to `namespace`. Returns what the
/// API server made of them.
///
/// # Errors
/// When a document is no Kubernetes object, its kind is not known to the cluster, or it is refused.
pub async fn apply(client: &Client, yaml: &str, namespace: &str) -> Result<Vec<DynamicObject>> {
    let mut applied = Vec::new();
    for object in parse(yaml)? {
        let kind = object.types.clone().unwrap_or_default();
        let name = object.metadata.name.clone().context("metadata.name is missing")?;
        let what = format!("{} {name}", kind.kind);
        let gvk =
            GroupVersionKind::try_from(&kind).with_context(|| format!("{what}: apiVersion is not valid"))?;
        let (resource, capabilities) =
            pinned_kind(client, &gvk).await.with_context(|| format!("look up {what}"))?;
        let api: Api<DynamicObject> = match capabilities.scope {
            Scope::Cluster => Api::all_with(client.clone(), &resource),
            Scope::Namespaced => {
                let namespace = object.namespace().unwrap_or_else(|| namespace.to_owned());
                Api::namespaced_with(client.clone(), &namespace, &resource)
            }
        };
        let params = PatchParams::apply(MANAGER).force();
        let object = api.patch(&name, &params, &Patch::Apply(&object)).await;
        applied.push(object.with_context(|| format!("apply {what}"))?);
    }
    Ok(applied)
}

/// The objects in a YAML text of several documents; empty documents are left out.
fn parse(yaml: &str) -> Result<Vec<DynamicObject>> {
    let documents: Vec<serde_json::Value> = serde_saphyr::from_multiple(yaml).context("read the YAML")?;
    let objects = documents.into_iter().filter(|document| !document.is_null());
    objects.map(|document| DynamicObject::deserialize(document).context("read a Kubernetes object")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_document_is_an_object_and_empty_ones_are_left_out() {
        let text = "# note\n---\napiVersion: v1\nkind: Pod\nmetadata: {name: a}\n---\n---\napiVersion: v1\nkind: Secret\nmetadata: {name: b}\n";
        let names: Vec<_> = parse(text).unwrap().iter().map(ResourceExt::name_any).collect();
        assert_eq!(names, ["a", "b"]);
    }
}
