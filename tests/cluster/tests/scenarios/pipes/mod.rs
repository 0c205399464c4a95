//! Pipes: outputs of tasks that later tasks of the run use.

mod airflow;
mod attacks;
pub(crate) mod jobs;
pub(crate) mod wait;

use anyhow::Result;
use bootlace_cluster::scenario::Namespace;
use kube::ResourceExt;
use kube::api::{Api, DynamicObject, ListParams};
use serde_json::Value;

/// The API for Pipes, without the types of Bootlace.
pub(crate) fn api(namespace: &Namespace) -> Api<DynamicObject> {
    namespace.custom_api("bootlace.dev", "v1alpha1", "Pipe")
}

/// The Pipes of the namespace.
pub(crate) async fn pipes(namespace: &Namespace) -> Result<Vec<DynamicObject>> {
    Ok(api(namespace).list(&ListParams::default()).await?.items)
}

/// The key, kind and task of each Pipe, sorted. Checks that each is stored.
pub(crate) async fn stored(namespace: &Namespace) -> Result<Vec<String>> {
    let text = |pipe: &DynamicObject, pointer: &str| {
        pipe.data.pointer(pointer).and_then(Value::as_str).unwrap_or("-").to_owned()
    };
    let line = |pipe: &DynamicObject| {
        assert!(pipe.data.pointer("/status/stored").is_some(), "{} is not stored", pipe.name_any());
        let [key, kind] = ["/spec/key", "/spec/kind"].map(|pointer| text(pipe, pointer));
        format!("{key} {kind} by {}", text(pipe, "/spec/producer/task"))
    };
    let mut lines: Vec<_> = pipes(namespace).await?.iter().map(line).collect();
    lines.sort();
    Ok(lines)
}
