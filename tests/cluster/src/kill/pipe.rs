//! The fields of a `Pipe` that the test reads. It does not use the type of Bootlace, so that it also tests
//! the format.

use anyhow::{Context, Result};
use kube::ResourceExt;
use kube::api::{Api, ApiResource, DynamicObject, GroupVersionKind, ListParams};
use serde::Deserialize;

use crate::scenario::Namespace;

/// The Pipe of an output.
pub(super) struct Pipe {
    pub(super) name: String,
    pub(super) uid: String,
    pub(super) key: String,
    /// The name of the ConfigMap or Secret with the output.
    pub(super) object: String,
    /// The pod that wrote the output.
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

/// Lists the Pipes of the namespace.
pub(super) async fn list(namespace: &Namespace) -> Result<Vec<Pipe>> {
    let resource = ApiResource::from_gvk(&GroupVersionKind::gvk("bootlace.dev", "v1alpha1", "Pipe"));
    let api: Api<DynamicObject> = Api::namespaced_with(namespace.client(), namespace.name(), &resource);
    api.list(&ListParams::default()).await?.items.into_iter().map(parse).collect()
}

fn parse(object: DynamicObject) -> Result<Pipe> {
    let (name, uid) = (object.name_any(), object.uid().unwrap_or_default());
    let Data { spec, status } =
        serde_json::from_value(object.data).with_context(|| format!("parse Pipe {name}"))?;
    let Spec { key, object, producer } = spec;
    Ok(Pipe { name, uid, key, object, pod: producer.pod, is_stored: status.stored.is_some() })
}
