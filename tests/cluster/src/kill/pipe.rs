//! A `Pipe`, as far as it matters here. Not Bootlace's own type: the test reads what a stranger would.

use anyhow::{Context, Result};
use kube::ResourceExt;
use kube::api::{Api, ApiResource, DynamicObject, GroupVersionKind, ListParams};
use serde::Deserialize;

use crate::scenario::Namespace;

/// The record of an output.
pub(super) struct Pipe {
    pub(super) name: String,
    pub(super) uid: String,
    pub(super) key: String,
    /// Name of the object that holds it.
    pub(super) object: String,
    /// The pod that wrote it.
    pub(super) pod: String,
    pub(super) is_stored: bool,
}

#[derive(Deserialize)]
struct Data {
    spec: Spec,
    #[serde(default)]
    status: Status,
}

#[derive(Deserialize)]
struct Spec {
    key: String,
    object: String,
    producer: Producer,
}

#[derive(Deserialize)]
struct Producer {
    pod: String,
}

#[derive(Deserialize, Default)]
struct Status {
    stored: Option<String>,
}

/// The namespace's Pipes.
pub(super) async fn list(namespace: &Namespace) -> Result<Vec<Pipe>> {
    let resource = ApiResource::from_gvk(&GroupVersionKind::gvk("bootlace.dev", "v1alpha1", "Pipe"));
    let api: Api<DynamicObject> = Api::namespaced_with(namespace.client(), namespace.name(), &resource);
    api.list(&ListParams::default()).await?.items.into_iter().map(read).collect()
}

fn read(object: DynamicObject) -> Result<Pipe> {
    let (name, uid) = (object.name_any(), object.uid().unwrap_or_default());
    let Data { spec, status } =
        serde_json::from_value(object.data).with_context(|| format!("Pipe {name} cannot be read"))?;
    let Spec { key, object, producer } = spec;
    Ok(Pipe { name, uid, key, object, pod: producer.pod, is_stored: status.stored.is_some() })
}
