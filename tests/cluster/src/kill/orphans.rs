//! Objects that must not remain: ConfigMaps and Secrets without an existing owner, and Pipes without an
//! object.

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

/// The timeout for the store to remove the incomplete objects of a replica that was killed.
const LIMIT: Duration = Duration::from_mins(10);
/// The label of the objects that Bootlace creates.
const MANAGED: &str = "app.kubernetes.io/managed-by=bootlace";

/// Waits until no such object remains.
pub(super) async fn wait_for_none(namespace: &Namespace) -> Result<()> {
    until_async(LIMIT, "incomplete objects remain", async || {
        let orphans = orphans(namespace).await?;
        ensure!(orphans.is_empty(), "{}", orphans.join("; "));
        Ok(())
    })
    .await
}

async fn orphans(namespace: &Namespace) -> Result<Vec<String>> {
    let pipes = pipe::list(namespace).await?;
    let pods = namespace.api::<Pod>().list(&ListParams::default()).await?.items;
    let mut owners: BTreeSet<_> = pods.iter().filter_map(ResourceExt::uid).collect();
    owners.extend(pipes.iter().map(|pipe| pipe.uid.clone()));

    let mut objects = self::objects::<ConfigMap>(namespace).await?;
    objects.extend(self::objects::<Secret>(namespace).await?);
    let has_owner = |object: &ObjectMeta| {
        let references = object.owner_references.iter().flatten();
        references.into_iter().any(|owner| owners.contains(&owner.uid))
    };
    let name = |object: &ObjectMeta| object.name.clone().unwrap_or_default();
    let mut orphans: Vec<_> = objects
        .iter()
        .filter(|object| !has_owner(object))
        .map(|object| format!("{} has no owner", name(object)))
        .collect();
    let is_complete =
        |pipe: &&Pipe| pipe.is_stored && objects.iter().any(|object| name(object) == pipe.object);
    let incomplete = pipes.iter().filter(|pipe| !is_complete(pipe));
    orphans.extend(incomplete.map(|pipe| format!("Pipe {} has no object", pipe.name)));
    Ok(orphans)
}

/// The objects of the kind `K` that Bootlace created.
async fn objects<K>(namespace: &Namespace) -> Result<Vec<ObjectMeta>>
where
    K: Resource<Scope = NamespaceResourceScope, DynamicType = ()> + Clone + DeserializeOwned + Debug,
{
    let objects = namespace.api::<K>().list_metadata(&ListParams::default().labels(MANAGED)).await?;
    Ok(objects.items.into_iter().map(|object| object.metadata).collect())
}
