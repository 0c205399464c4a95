//! The init containers of a pod that takes what is not stored yet. One waits until it is. Its end has the kubelet put what
//! has come into the pod's volumes, which may take it a moment more: so another one sees to that, and no task starts in
//! front of an empty folder. What a pod takes as env alone needs no look: the kubelet reads it when a container starts.

use std::borrow::Cow;

use k8s_openapi::api::core::v1 as core;
use serde_json::Value;

use super::{PipesError, StoreContainer};
use crate::input::{AwaitedOutput, WaitSpec};
use crate::names;
use crate::plan::prepared::json;
use crate::plan::{PlanError, Version, boot};

/// The containers, in their order; none where the pod waits for nothing.
pub(in crate::plan) fn containers(
    awaits: &[AwaitedOutput],
    from: &StoreContainer<'_>,
) -> Result<Vec<Value>, PlanError> {
    let Some(first) = awaits.first() else { return Ok(Vec::new()) };
    let Some(store) = from.store else {
        return Err(PipesError::WaitNoStore { key: first.key.clone() }.into());
    };
    if let Some(version) = from.kubernetes.filter(|version| *version < Version::NATIVE_SIDECARS) {
        return Err(PipesError::WaitTooOld { key: first.key.clone(), version }.into());
    }
    let spec = WaitSpec {
        profile: from.profile.clone(),
        store: Cow::Borrowed(store),
        awaits: Cow::Borrowed(awaits),
    };
    let wait = from.container(names::CONTAINER_WAIT, "wait", (names::ENV_WAIT, &spec))?;
    let volumes = volumes(awaits);
    if volumes.is_empty() {
        return Ok(vec![json(&wait)?]);
    }
    let mut look = core::Container { name: names::CONTAINER_VOLUME_WAIT.to_owned(), ..wait.clone() };
    look.command.get_or_insert_default().push("--look".to_owned());
    let mounts = volumes
        .into_iter()
        .map(|volume| boot::read_only(volume, &format!("{}/{volume}", names::MOUNT_AWAITED)));
    look.volume_mounts.get_or_insert_default().extend(mounts);
    Ok(vec![json(&wait)?, json(&look)?])
}

/// The volumes that hold what is awaited, each once.
fn volumes(awaits: &[AwaitedOutput]) -> Vec<&str> {
    let folders = awaits.iter().flat_map(|awaits| &awaits.folders);
    let mut volumes: Vec<_> = folders.map(|folder| folder.volume.as_str()).collect();
    volumes.sort_unstable();
    volumes.dedup();
    volumes
}
