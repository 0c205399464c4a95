//! What must not be left behind: an object that nobody owns, or a record of what is not there.

use std::collections::BTreeSet;
use std::fmt::Debug;
use std::time::Duration;

use anyhow::{Result, ensure};
use k8s_openapi::NamespaceResourceScope;
use k8s_openapi::api::core::v1::{ConfigMap, Pod, Secret};
use kube::api::{ListParams, ObjectMeta};
use kube::{Resource, ResourceExt};
use serde::de::DeserializeOwned;

use super::pipe::{self, Pipe};
use crate::scenario::Namespace;
use crate::wait::until_async;

/// How long the store may take to remove what a killed one left half-made.
const LIMIT: Duration = Duration::from_mins(10);
/// The label on what Bootlace makes.
const OURS: &str = "app.kubernetes.io/managed-by=bootlace";

/// Waits until nothing is left that should not be.
pub(super) async fn wait_for_none(namespace: &Namespace) -> Result<()> {
    until_async(LIMIT, "something is left behind", async || {
        let left = left(namespace).await?;
        ensure!(left.is_empty(), "{}", left.join("; "));
        Ok(())
    })
    .await
}

async fn left(namespace: &Namespace) -> Result<Vec<String>> {
    let pipes = pipe::list(namespace).await?;
    let pods = namespace.api::<Pod>().list(&ListParams::default()).await?.items;
    let mut owners: BTreeSet<_> = pods.iter().filter_map(ResourceExt::uid).collect();
    owners.extend(pipes.iter().map(|pipe| pipe.uid.clone()));

    let mut objects = self::objects::<ConfigMap>(namespace).await?;
    objects.extend(self::objects::<Secret>(namespace).await?);
    let owned = |object: &ObjectMeta| {
        let references = object.owner_references.iter().flatten();
        references.into_iter().any(|owner| owners.contains(&owner.uid))
    };
    let name = |object: &ObjectMeta| object.name.clone().unwrap_or_default();
    let mut left: Vec<_> = objects
        .iter()
        .filter(|object| !owned(object))
        .map(|object| format!("{} has no owner", name(object)))
        .collect();
    let is_there = |pipe: &&Pipe| pipe.is_stored && objects.iter().any(|object| name(object) == pipe.object);
    let half = pipes.iter().filter(|pipe| !is_there(pipe));
    left.extend(half.map(|pipe| format!("Pipe {} has no object", pipe.name)));
    Ok(left)
}

/// What Bootlace made of the kind `K`.
async fn objects<K>(namespace: &Namespace) -> Result<Vec<ObjectMeta>>
where
    K: Resource<Scope = NamespaceResourceScope, DynamicType = ()> + Clone + DeserializeOwned + Debug,
{
    let objects = namespace.api::<K>().list_metadata(&ListParams::default().labels(OURS)).await?;
    Ok(objects.items.into_iter().map(|object| object.metadata).collect())
}
