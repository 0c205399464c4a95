//! The init containers of a pod that uses outputs that are not stored yet. The first one waits until they are
//! stored. After it exits, the kubelet needs a moment to update the volumes of the pod, so the second one
//! waits for the volumes, and no task starts with an empty folder. It is omitted if the pod only uses outputs
//! as env, which the kubelet reads when it starts a container.

use std::borrow::Cow;

use k8s_openapi::api::core::v1 as core;
use serde_json::Value;

use super::{PipesError, StoreContainer};
use crate::input::{AwaitedOutput, WaitSpec};
use crate::names;
use crate::plan::container_parts::{json, read_only_mount};
use crate::plan::{PlanError, Version};

/// The containers, in order; empty if the pod does not wait.
pub(in crate::plan) fn containers(
    awaits: &[AwaitedOutput],
    parts: &StoreContainer<'_>,
) -> Result<Vec<Value>, PlanError> {
    let Some(first) = awaits.first() else { return Ok(Vec::new()) };
    let Some(store) = parts.store else {
        return Err(PipesError::WaitNoStore { key: first.key.clone() }.into());
    };
    if let Some(version) = Version::without_native_sidecars(parts.kubernetes) {
        return Err(PipesError::WaitTooOld { key: first.key.clone(), version }.into());
    }
    let config = WaitSpec {
        profile: parts.profile.clone(),
        store: Cow::Borrowed(store),
        awaits: Cow::Borrowed(awaits),
    };
    let wait = parts.container(names::CONTAINER_WAIT, "wait", (names::ENV_WAIT, &config))?;
    let volumes = volumes(awaits);
    if volumes.is_empty() {
        return Ok(vec![json(&wait)?]);
    }
    let mut volume_wait = core::Container { name: names::CONTAINER_VOLUME_WAIT.to_owned(), ..wait.clone() };
    volume_wait.command.get_or_insert_default().push("--look".to_owned());
    let mounts = volumes
        .into_iter()
        .map(|volume| read_only_mount(volume, &format!("{}/{volume}", names::MOUNT_AWAITED)));
    volume_wait.volume_mounts.get_or_insert_default().extend(mounts);
    Ok(vec![json(&wait)?, json(&volume_wait)?])
}

/// The volumes with awaited outputs, without duplicates.
fn volumes(awaits: &[AwaitedOutput]) -> Vec<&str> {
    let folders = awaits.iter().flat_map(|awaits| &awaits.folders);
    let mut volumes: Vec<_> = folders.map(|folder| folder.volume.as_str()).collect();
    volumes.sort_unstable();
    volumes.dedup();
    volumes
}
