//! The store as it is reached: over the network, with the pod's own token.

use std::path::Path;
use std::time::Duration;

use bootlace_launch::handover::OneLine;
use k8s_openapi::ByteString;
use reqwest::Method;

use super::output_store::{OutputObject, OutputStore};
use crate::store_client::protocol::{EventKind, OutputRequest, OutputStored, PATH_PIPES};
use crate::store_client::{EVENT_TIMEOUT, StoreClient};
use bootlace_core::output::{ObjectData, SidecarConfig, data};

/// The store, ready to be asked.
pub(super) struct RemoteStore<'a> {
    /// Or why nobody can be asked: then that is what every launcher is told.
    client: Result<StoreClient<'a>, String>,
    /// How long an output may take. Its launcher waits no longer.
    time: Duration,
}

impl<'a> RemoteStore<'a> {
    /// Asks the store of `told` with the token in the file `token`.
    pub(super) fn new(told: &'a SidecarConfig<'_>, token: &'a Path) -> Self {
        Self {
            client: StoreClient::new(&told.store, token).map_err(|error| error.to_string()),
            time: Duration::from_secs(told.deadline_seconds.into()),
        }
    }
}

impl OutputStore for RemoteStore<'_> {
    type Error = String;

    async fn put(&self, object: OutputObject) -> Result<(), String> {
        let OutputObject { container, key, kind, files } = object;
        let client = self.client.as_ref().map_err(String::clone)?;
        let files: ObjectData = files.into_iter().map(|file| (file.name, ByteString(file.bytes))).collect();
        // The store would say the same, after a megabyte.
        let size = data::check(&files).map_err(|error| error.to_string())?;
        let path = format!("{PATH_PIPES}{key}");
        let body = OutputRequest { container, kind: kind.into(), files }.encode(size);
        let answer = client.request(Method::PUT, &path, body.into(), self.time).await;
        let stored =
            answer.and_then(|answer| answer.parse::<OutputStored>()).map_err(|error| error.to_string())?;
        tracing::info!(key, pipe = stored.pipe, created = stored.created, "stored");
        Ok(())
    }

    async fn tell(&self, container: &str, why: &OneLine) {
        let Ok(client) = &self.client else { return };
        let note = format!("container {container}: {why}");
        if let Err(error) = client.report(EventKind::OutputsNotStored, note, EVENT_TIMEOUT).await {
            tracing::warn!(container, %error, "no Event tells of it");
        }
    }
}
