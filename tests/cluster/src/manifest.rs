//! Creating what a YAML text says, whatever kinds it holds.

use anyhow::{Context, Result, bail};
use http::header::WARNING;
use kube::api::{DynamicObject, PostParams, Request};
use kube::core::{GroupVersionKind, Status};
use kube::discovery::{Scope, pinned_kind};
use kube::{Client, Resource, ResourceExt};
use serde::Deserialize;

use crate::images;

/// What the API server answered to the creation of one object.
#[derive(Debug)]
pub struct Created {
    /// The object as it was stored, admission's changes included.
    pub object: DynamicObject,
    /// The warnings that a person at kubectl would have been shown.
    pub warnings: Vec<String>,
}

/// Creates every document in `yaml` (one in JSON will do), in order; objects that name no namespace go to `namespace`. With `dry_run`
/// the API server does everything but store them.
///
/// # Errors
/// When a document is no Kubernetes object, its kind is not known to the cluster, or it is refused; then the
/// message is the API server's.
pub async fn create(client: &Client, yaml: &str, namespace: &str, dry_run: bool) -> Result<Vec<Created>> {
    let mut created = Vec::new();
    for object in parse(&images::named(yaml))? {
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
    let what = format!("{} {}", kind.kind, object.name_any());
    let gvk =
        GroupVersionKind::try_from(&kind).with_context(|| format!("{what}: apiVersion is not valid"))?;
    let (resource, capabilities) =
        pinned_kind(client, &gvk).await.with_context(|| format!("look up {what}"))?;
    let namespace = match capabilities.scope {
        Scope::Cluster => None,
        Scope::Namespaced => Some(object.namespace().unwrap_or_else(|| namespace.to_owned())),
    };
    let path = DynamicObject::url_path(&resource, namespace.as_deref());
    let params = PostParams { dry_run, ..PostParams::default() };
    let request = Request::new(path).create(&params, serde_json::to_vec(object)?)?;
    // Sent by hand, because the typed calls do not give the headers back, which hold the warnings.
    let response = client.send(request.map(Into::into)).await.with_context(|| format!("create {what}"))?;
    let (head, body) = response.into_parts();
    let body = body.collect_bytes().await.with_context(|| format!("create {what}"))?;
    if !head.status.is_success() {
        let status: Status = serde_json::from_slice(&body).unwrap_or_default();
        bail!("create {what}: {}: {}", head.status, status.message);
    }
    let warnings =
        head.headers.get_all(WARNING).iter().filter_map(|value| warning(value.to_str().ok()?)).collect();
    let object = serde_json::from_slice(&body).with_context(|| format!("read {what} as it was created"))?;
    Ok(Created { object, warnings })
}

/// The text of a `Warning` header, `299 - "text"` (RFC 7234, section 5.5).
fn warning(header: &str) -> Option<String> {
    let quoted = header.split_once('"')?.1.rsplit_once('"')?.0;
    Some(quoted.replace("\\\"", "\"").replace("\\\\", "\\"))
}

/// The objects in a YAML text of several documents; empty documents are left out.
fn parse(yaml: &str) -> Result<Vec<DynamicObject>> {
    // JSON first: it takes characters that YAML does not, such as U+007F.
    let documents: Vec<serde_json::Value> = match serde_json::from_str(yaml) {
        Ok(document) => vec![document],
        Err(_) => serde_saphyr::from_multiple(yaml).context("read the YAML")?,
    };
    let objects = documents.into_iter().filter(|document| !document.is_null());
    objects.map(|document| DynamicObject::deserialize(document).context("read a Kubernetes object")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_document_is_an_object_and_empty_ones_are_left_out() {
        let text =
            "# note\n---\nkind: Pod\nmetadata: {name: a}\n---\n---\nkind: Secret\nmetadata: {name: b}\n";
        let names: Vec<_> = parse(text).unwrap().iter().map(ResourceExt::name_any).collect();
        assert_eq!(names, ["a", "b"]);
    }

    #[test]
    fn json_is_taken_where_it_is_no_yaml() {
        let objects = parse("{\"kind\": \"Pod\", \"metadata\": {\"name\": \"a\u{7f}\"}}").unwrap();
        assert_eq!(objects[0].name_any(), "a\u{7f}");
    }

    #[test]
    fn a_warning_is_what_stands_in_the_outer_quotes() {
        assert_eq!(warning(r#"299 - "use \"b\" instead""#).unwrap(), r#"use "b" instead"#);
        assert_eq!(warning("299 -"), None);
    }
}
