//! Creates the objects of a YAML manifest, of any kind.

use anyhow::{Context, Result, bail};
use http::header::WARNING;
use kube::api::{DynamicObject, PostParams, Request};
use kube::core::{GroupVersionKind, Status};
use kube::discovery::{Scope, pinned_kind};
use kube::{Client, Resource, ResourceExt};
use serde::Deserialize;

use crate::images;

/// The response of the API server to the creation of an object.
#[derive(Debug)]
pub struct Created {
    /// The object as it was stored, with the changes of admission.
    pub object: DynamicObject,
    /// The warnings, which kubectl would print.
    pub warnings: Vec<String>,
}

/// Creates all documents in `yaml`, which can also be one JSON document, in order. Objects without a
/// namespace are created in `namespace`. With `dry_run` the API server does not store them.
///
/// # Errors
/// If a document is not a Kubernetes object, its kind does not exist on the cluster, or the API server
/// refuses it. In the last case, the message is that of the API server.
pub async fn create(client: &Client, yaml: &str, namespace: &str, dry_run: bool) -> Result<Vec<Created>> {
    let mut created = Vec::new();
    for object in parse(&images::with_registry(yaml))? {
        created.push(create_one(client, &object, namespace, dry_run).await?);
    }
    Ok(created)
}

async fn create_one(
    client: &Client,
    object: &DynamicObject,
    namespace: &str,
    dry_run: bool,
) -> Result<Created> {
    let kind = object.types.clone().unwrap_or_default();
    let description = format!("{} {}", kind.kind, object.name_any());
    let gvk =
        GroupVersionKind::try_from(&kind).with_context(|| format!("{description}: apiVersion is invalid"))?;
    let (resource, capabilities) =
        pinned_kind(client, &gvk).await.with_context(|| format!("look up {description}"))?;
    let namespace = match capabilities.scope {
        Scope::Cluster => None,
        Scope::Namespaced => Some(object.namespace().unwrap_or_else(|| namespace.to_owned())),
    };
    let path = DynamicObject::url_path(&resource, namespace.as_deref());
    let params = PostParams { dry_run, ..PostParams::default() };
    let request = Request::new(path).create(&params, serde_json::to_vec(object)?)?;
    // The typed calls do not return the headers, which contain the warnings.
    let response =
        client.send(request.map(Into::into)).await.with_context(|| format!("create {description}"))?;
    let (head, body) = response.into_parts();
    let body = body.collect_bytes().await.with_context(|| format!("create {description}"))?;
    if !head.status.is_success() {
        let status: Status = serde_json::from_slice(&body).unwrap_or_default();
        bail!("create {description}: {}: {}", head.status, status.message);
    }
    let warnings =
        head.headers.get_all(WARNING).iter().filter_map(|value| warning(value.to_str().ok()?)).collect();
    let object = serde_json::from_slice(&body).with_context(|| format!("parse the created {description}"))?;
    Ok(Created { object, warnings })
}

/// The text of a `Warning` header, `299 - "text"` (RFC 7234, section 5.5).
fn warning(header: &str) -> Option<String> {
    let quoted = header.split_once('"')?.1.rsplit_once('"')?.0;
    Some(quoted.replace("\\\"", "\"").replace("\\\\", "\\"))
}

/// The objects in a YAML stream, without empty documents.
fn parse(yaml: &str) -> Result<Vec<DynamicObject>> {
    // JSON first, because it allows characters that YAML does not, such as U+007F.
    let documents: Vec<serde_json::Value> = match serde_json::from_str(yaml) {
        Ok(document) => vec![document],
        Err(_) => serde_saphyr::from_multiple(yaml).context("parse the YAML")?,
    };
    let objects = documents.into_iter().filter(|document| !document.is_null());
    objects
        .map(|document| DynamicObject::deserialize(document).context("parse a Kubernetes object"))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn empty_documents_are_ignored() {
        let text =
            "# note\n---\nkind: Pod\nmetadata: {name: a}\n---\n---\nkind: Secret\nmetadata: {name: b}\n";
        let names: Vec<_> = parse(text).unwrap().iter().map(ResourceExt::name_any).collect();
        assert_eq!(names, ["a", "b"]);
    }

    #[test]
    fn json_that_is_not_valid_yaml_is_accepted() {
        let objects = parse("{\"kind\": \"Pod\", \"metadata\": {\"name\": \"a\u{7f}\"}}").unwrap();
        assert_eq!(objects[0].name_any(), "a\u{7f}");
    }

    #[test]
    fn a_warning_is_the_text_in_the_outer_quotes() {
        assert_eq!(warning(r#"299 - "use \"b\" instead""#).unwrap(), r#"use "b" instead"#);
        assert_eq!(warning("299 -"), None);
    }
}
