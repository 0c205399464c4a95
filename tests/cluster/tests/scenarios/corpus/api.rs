//! Creates pods, and returns the response of the API server.

use anyhow::{Context, Result};
use bootlace_cluster::scenario::Namespace;
use kube::core::Status;
use serde_json::Value;

/// The pod as the API server would store it, or the error message.
pub(super) type Response = Result<Value, String>;

/// Creates a pod as a dry run, which passes through admission and validation.
pub(super) async fn dry_run(namespace: &Namespace, pod: &Value) -> Result<Response> {
    // Strict, so that a misspelled field is an error. Otherwise the API server drops it.
    let path = format!("/api/v1/namespaces/{}/pods?dryRun=All&fieldValidation=Strict", namespace.name());
    let request = http::Request::post(path).header("content-type", "application/json");
    let request = request.body(serde_json::to_vec(pod)?.into())?;
    let response = namespace.client().send(request).await.context("create a pod")?;
    let (head, body) = response.into_parts();
    let body = body.collect_bytes().await.context("read the response")?;
    if head.status.is_success() {
        let mut pod = serde_json::from_slice(&body).context("parse the created pod")?;
        normalize(&mut pod);
        return Ok(Ok(pod));
    }
    let status: Status = serde_json::from_slice(&body).unwrap_or_default();
    Ok(Err(format!("{}: {}", head.status, status.message)))
}

/// Removes the values that differ between two requests even without Bootlace.
fn normalize(pod: &mut Value) {
    let metadata = pod["metadata"].as_object_mut().expect("a pod has metadata");
    for field in ["namespace", "uid", "creationTimestamp", "managedFields"] {
        metadata.remove(field);
    }
    if metadata.contains_key("generateName") {
        metadata.remove("name");
    }
    // This annotation lists the defaults that were set, also for injected containers.
    if let Some(annotations) = metadata.get_mut("annotations").and_then(Value::as_object_mut) {
        annotations.remove("kubernetes.io/limit-ranger");
        if annotations.is_empty() {
            metadata.remove("annotations");
        }
    }
    // The condition of a pod with scheduling gates has a timestamp.
    if let Some(status) = pod["status"].as_object_mut() {
        status.remove("conditions");
    }
    // The volume of the service account token has a random name.
    let volumes = pod["spec"]["volumes"].as_array().into_iter().flatten();
    let mut names = volumes.filter_map(|volume| volume["name"].as_str());
    let Some(token) = names.find(|name| name.starts_with("kube-api-access-")).map(str::to_owned) else {
        return;
    };
    rename(&mut pod["spec"], &token, "kube-api-access");
}

fn rename(value: &mut Value, from: &str, to: &str) {
    match value {
        Value::String(text) if text == from => to.clone_into(text),
        Value::Array(items) => items.iter_mut().for_each(|item| rename(item, from, to)),
        Value::Object(fields) => fields.values_mut().for_each(|value| rename(value, from, to)),
        _ => {}
    }
}
