//! What the sources that ask a server have in common: open a client, ask until there is an answer, begin anew with each.

use std::path::Path;
use std::sync::Arc;

use futures::FutureExt;
use futures::future::LocalBoxFuture;

use super::attempts::fetch;
use super::{FetchSource, SourceError, client};
use crate::boot::sink::Sink;
use crate::http::{Body, FetchProgress, Request};
use bootlace_core::entry::Rename;
use bootlace_core::plan::boot_spec::RemoteSpec;
use bootlace_core::profile::remote;

/// What a kind of server is asked, and what becomes of its answer.
pub(super) trait RemoteApi {
    /// What the source's author can do about a variable's name.
    const RENAME: Rename;

    /// See [`FetchSource::title`].
    fn title(&self) -> String;

    /// How requests are made.
    fn client(&self) -> &remote::Client;

    /// What is asked. The source may give `limit` bytes, so that more need not be fetched.
    fn request(&self, limit: u64) -> Result<Request<'_>, SourceError>;

    /// Gives what the answer holds to `sink`, which is empty.
    async fn receive(&self, body: &mut Body, sink: &mut Sink<'_>) -> Result<(), SourceError>;
}

/// The address that boot asks.
pub(super) fn address(api: &impl RemoteApi) -> Result<String, SourceError> {
    Ok(api.request(u64::MAX)?.url.into())
}

/// A source that asks a server.
pub(super) struct RemoteSource<'a, A> {
    remote: &'a RemoteSpec<A>,
    /// The time of the whole boot.
    seconds: u32,
    progress: Arc<FetchProgress>,
}

impl<'a, A: RemoteApi> RemoteSource<'a, A> {
    pub(super) fn new(remote: &'a RemoteSpec<A>, seconds: u32) -> Self {
        Self { remote, seconds, progress: Arc::default() }
    }

    async fn give(&self, sink: &mut Sink<'_>) -> Result<(), SourceError> {
        let RemoteSpec { request: api, path } = self.remote;
        let client = client::open(api.client(), Path::new(path), self.seconds, &self.progress).await?;
        let request = api.request(sink.limit())?;
        let take = async |mut body| {
            // An earlier attempt may have given half of it.
            sink.clear();
            api.receive(&mut body, sink).await
        };
        fetch(&client, &request, take).await
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
        self.give(sink).boxed_local()
    }

    fn doing(&self) -> Option<String> {
        self.progress.describe()
    }
}
