//! The servers of the hooks and the store, over the network.

use std::path::{Path, PathBuf};
use std::time::Duration;

use reqwest::Method;
use tokio::time::Instant;

use super::services::HookServices;
use crate::hook_request::{self, HookError};
use crate::store_client::protocol::{AbortRequest, EventKind, PATH_ABORTS};
use crate::store_client::{ClientError, EVENT_TIMEOUT, StoreClient};
use bootlace_core::abort::RenderedHook;
use bootlace_core::code::{Code, Coded};

/// The timeout of a request about a record. A task can be ended meanwhile.
const RECORD_TIMEOUT: Duration = Duration::from_secs(5);

/// The services of a sidecar.
pub(crate) struct RemoteServices<'a> {
    client: Result<StoreClient<'a>, ClientError>,
    /// The folder with the mounted objects of the hooks.
    mounts: PathBuf,
}

impl<'a> RemoteServices<'a> {
    pub(crate) fn new(client: Result<StoreClient<'a>, ClientError>, mounts: &Path) -> Self {
        Self { client, mounts: mounts.to_owned() }
    }

    async fn about_record(&self, method: Method, container: &str, body: Vec<u8>) -> bool {
        let path = format!("{PATH_ABORTS}{container}");
        let result = match &self.client {
            Ok(client) => client.request(method, &path, body.into(), RECORD_TIMEOUT).await.map(drop),
            Err(_) => return false,
        };
        let is_success = result.is_ok();
        if let Err(error) = result {
            tracing::warn!(container, "{}", not_recorded(&error));
        }
        is_success
    }
}

impl HookServices for RemoteServices<'_> {
    async fn send(&self, hook: &RenderedHook, deadline: Instant) -> Result<(), HookError> {
        hook_request::send(hook, &self.mounts.join(hook.position.to_string()), deadline).await
    }

    async fn record(&self, container: &str, start: u32, text: Option<&str>) -> bool {
        let request = AbortRequest { start, text: text.map(str::to_owned) };
        // Serializing strings into memory cannot fail.
        let body = serde_json::to_vec(&request).unwrap_or_default();
        self.about_record(Method::PUT, container, body).await
    }

    async fn forget(&self, container: &str) {
        self.about_record(Method::DELETE, container, Vec::new()).await;
    }

    async fn report(&self, kind: EventKind, note: String) {
        let Ok(client) = &self.client else { return };
        if let Err(error) = client.report(kind, note, EVENT_TIMEOUT).await {
            tracing::warn!("failed to record an Event: {error} [{}]", error.code());
        }
    }
}

/// The log line about hooks that the end of the grace period interrupted.
pub(crate) fn not_sent_in_time(grace_period: Duration) -> String {
    format!(
        "timed out running the hooks {} s after the pod was stopped: increase terminationGracePeriodSeconds of the pod [{}]",
        grace_period.as_secs(),
        Code::HookNotSent
    )
}

/// The log line about a record that was not written or removed.
pub(crate) fn not_recorded(error: &ClientError) -> String {
    format!(
        "failed to record with the store what the abort of the task needs, or to remove the record: {error} [{}]",
        Code::AbortNotRecorded
    )
}
