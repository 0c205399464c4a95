//! The store over the network, with the token of the pod.

use std::path::Path;
use std::time::Duration;

use bootlace_launch::handover::OneLine;
use k8s_openapi::ByteString;
use reqwest::Method;

use super::OutputError;
use super::output_store::{OutputObject, OutputStore};
use crate::store_client::protocol::{EventKind, OutputRequest, OutputStored, PATH_PIPES};
use crate::store_client::{EVENT_TIMEOUT, StoreClient};
use bootlace_core::code::{Code, Coded};
use bootlace_core::output::{DataError, ObjectData, SidecarConfig, data};

/// The store of the injected configuration.
pub(super) struct RemoteStore<'a> {
    /// If the client cannot be set up, each launcher gets this error.
    client: Result<StoreClient<'a>, OutputError>,
    /// The deadline of an output, which is how long its launcher waits.
    timeout: Duration,
}

impl<'a> RemoteStore<'a> {
    /// The store of `config`, with the token in the file `token`.
    pub(super) fn new(config: &'a SidecarConfig<'_>, token: &'a Path) -> Self {
        Self {
            client: StoreClient::new(&config.store, token).map_err(|error| OutputError::new(&error)),
            timeout: Duration::from_secs(config.deadline_seconds.into()),
        }
    }
}

impl OutputStore for RemoteStore<'_> {
    async fn put(&self, object: OutputObject) -> Result<(), OutputError> {
        let OutputObject { container, key, kind, files } = object;
        let client = self.client.as_ref().map_err(OutputError::clone)?;
        let files: ObjectData = files.into_iter().map(|file| (file.name, ByteString(file.bytes))).collect();
        // The store checks the same, but only after it has received the files.
        let size = data::check(&files).map_err(|error| OutputError::new(&InvalidData(error)))?;
        let path = format!("{PATH_PIPES}{key}");
        let body = OutputRequest { container, kind: kind.into(), files }.encode(size);
        let response = client.request(Method::PUT, &path, body.into(), self.timeout).await;
        let stored = response
            .and_then(|response| response.parse::<OutputStored>())
            .map_err(|error| OutputError::new(&error))?;
        tracing::info!(key, pipe = stored.pipe, created = stored.created, "stored the output");
        Ok(())
    }

    async fn report_failure(&self, container: &str, message: &OneLine) {
        let Ok(client) = &self.client else { return };
        let note = format!("container {container}: {message}");
        if let Err(error) = client.report(EventKind::OutputsNotStored, note, EVENT_TIMEOUT).await {
            tracing::warn!(container, "failed to record an Event: {error} [{}]", error.code());
        }
    }
}

/// The files of an output cannot be stored in an object.
#[derive(Debug, thiserror::Error)]
#[error(transparent)]
pub(crate) struct InvalidData(pub(crate) DataError);

impl Coded for InvalidData {
    fn code(&self) -> Code {
        match self.0 {
            DataError::Empty => Code::OutputMissing,
            DataError::Name(_) => Code::OutputFileNameInvalid,
            DataError::TooMany(_) => Code::OutputTooManyFiles,
            DataError::TooLarge(_) => Code::OutputTooLarge,
        }
    }
}
