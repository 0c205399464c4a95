//! Common parts of sources that send one request: the client, retries, and discarding the content of a failed
//! attempt.

use std::path::Path;
use std::sync::Arc;

use futures::FutureExt;
use futures::future::LocalBoxFuture;

use super::attempts::fetch;
use super::{FetchSource, SourceError};
use crate::boot::sink::Sink;
use crate::http::{self, Body, FetchProgress, Request};
use bootlace_core::entry::Rename;
use bootlace_core::plan::boot_spec::RemoteSpec;
use bootlace_core::profile::remote;

/// The request of a kind of source, and the conversion of its response.
pub(super) trait RemoteApi {
    /// How the author of the source can change the name of a variable.
    const RENAME: Rename;

    /// See [`FetchSource::title`].
    fn title(&self) -> String;

    /// The client settings.
    fn client(&self) -> &remote::Client;

    /// The request. The source can write at most `limit` bytes, so more need not be fetched.
    fn request(&self, limit: u64) -> Result<Request<'_>, SourceError>;

    /// Writes the content of the response to `sink`, which is empty.
    async fn receive(&self, body: &mut Body, sink: &mut Sink<'_>) -> Result<(), SourceError>;
}

/// The address of the request.
pub(super) fn address(api: &impl RemoteApi) -> Result<String, SourceError> {
    Ok(api.request(u64::MAX)?.url.into())
}

/// A source that sends one request.
pub(super) struct RemoteSource<'a, A> {
    remote: &'a RemoteSpec<A>,
    /// The time limit of the boot.
    seconds: u32,
    progress: Arc<FetchProgress>,
}

impl<'a, A: RemoteApi> RemoteSource<'a, A> {
    pub(super) fn new(remote: &'a RemoteSpec<A>, seconds: u32) -> Self {
        Self { remote, seconds, progress: Arc::default() }
    }

    async fn write_to(&self, sink: &mut Sink<'_>) -> Result<(), SourceError> {
        let RemoteSpec { request: api, path } = self.remote;
        let client = http::open(api.client(), Path::new(path), self.seconds, &self.progress).await?;
        let request = api.request(sink.limit())?;
        let receive = async |mut body| {
            // An earlier attempt may have written a part.
            sink.clear();
            api.receive(&mut body, sink).await
        };
        fetch(&client, &request, receive).await
    }
}

impl<A: RemoteApi> FetchSource for RemoteSource<'_, A> {
    fn title(&self) -> String {
        self.remote.request.title()
    }

    fn rename(&self) -> Rename {
        A::RENAME
    }

    fn fetch<'a>(&'a self, sink: &'a mut Sink<'_>) -> LocalBoxFuture<'a, Result<(), SourceError>> {
        self.write_to(sink).boxed_local()
    }

    fn in_progress(&self) -> Option<String> {
        self.progress.describe()
    }
}
