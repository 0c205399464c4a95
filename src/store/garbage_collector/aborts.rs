//! Removes Aborts that are left: the pod is gone, and neither its sidecar nor another process has removed the
//! record. It stays for a day, so that people and programs can act on it.

use std::time::Duration;

use bootlace_core::abort::{Abort, AbortPhase};
use k8s_openapi::api::core::v1::Pod;
use k8s_openapi::jiff::Timestamp;
use kube::api::{DeleteParams, ListParams, Patch, PatchParams};
use kube::{Api, Client, ResourceExt as _};
use serde_json::json;
use tracing::info;

use crate::server::api_client::{exactly, next_page};
use crate::server::liveness::Heartbeat;
use crate::server::watch_errors::is_resource_missing;
use crate::store::pipe::objects;

/// Aborts are checked in one of this many sweeps, because each check reads the metadata of a pod.
pub(super) const EVERY: u32 = 15;
/// A younger Abort is not checked: most tasks end within this time.
const MIN_AGE: Duration = Duration::from_mins(10);
/// How long an Abort stays after its pod is gone.
const RETENTION: Duration = Duration::from_hours(24);
/// Aborts in a page. Each has up to a few kilobytes, and its metadata at most 256 KiB.
const PAGE: u32 = 20;

/// Removes the Aborts that are left at `now`, and returns their number.
pub(super) async fn sweep(
    client: &Client,
    heartbeat: &Heartbeat,
    now: Timestamp,
) -> Result<usize, kube::Error> {
    let all: Api<Abort> = Api::all(client.clone());
    let (mut params, mut removed) = (ListParams::default().limit(PAGE), 0);
    loop {
        let page = match all.list(&params).await {
            Err(error) if is_resource_missing(&error) => return Ok(removed),
            page => page?,
        };
        for abort in &page.items {
            heartbeat.now();
            if is_old(abort, now) && !has_pod(client, abort).await? {
                removed += usize::from(mark_or_remove(client, abort, now).await?);
            }
        }
        match next_page(page.metadata) {
            Some(token) => params = params.continue_token(&token),
            None => return Ok(removed),
        }
    }
}

fn is_old(abort: &Abort, now: Timestamp) -> bool {
    let created = abort.metadata.creation_timestamp.as_ref().map(|created| created.0);
    created.is_some_and(|created| created.checked_add(MIN_AGE).is_ok_and(|end| end <= now))
}

async fn has_pod(client: &Client, abort: &Abort) -> Result<bool, kube::Error> {
    let pods: Api<Pod> = Api::namespaced(client.clone(), &abort.namespace().unwrap_or_default());
    let pod = pods.get_metadata_opt(&abort.spec.pod).await?;
    Ok(pod.is_some_and(|pod| pod.uid().as_deref() == Some(&abort.spec.pod_uid)))
}

/// Removes an Abort that has been left for long enough, and marks one that has not been seen before. Returns
/// whether it was removed.
async fn mark_or_remove(client: &Client, abort: &Abort, now: Timestamp) -> Result<bool, kube::Error> {
    let (namespace, name) = (abort.namespace().unwrap_or_default(), abort.name_any());
    let aborts: Api<Abort> = Api::namespaced(client.clone(), &namespace);
    let since = abort.status.as_ref().and_then(|status| status.since.as_deref()?.parse::<Timestamp>().ok());
    let Some(since) = since else {
        let status = json!({"status": {"phase": AbortPhase::Left, "since": objects::time(now)}});
        return match aborts.patch_status(&name, &PatchParams::default(), &Patch::Merge(status)).await {
            Err(kube::Error::Api(status)) if status.code == 404 => Ok(false),
            marked => marked.map(|_| false),
        };
    };
    if since.checked_add(RETENTION).map_or(true, |end| end > now) {
        return Ok(false);
    }
    match aborts.delete(&name, &DeleteParams::default().preconditions(exactly(&abort.metadata))).await {
        Ok(_) => {
            info!(namespace, abort = name, "removed an Abort whose pod is gone");
            Ok(true)
        }
        Err(kube::Error::Api(status)) if matches!(status.code, 404 | 409) => Ok(false),
        Err(error) => Err(error),
    }
}
