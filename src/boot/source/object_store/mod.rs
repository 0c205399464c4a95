//! `objectStore`: an object, or all objects below a prefix, of S3, Google Cloud Storage or Azure Blob
//! Storage.
//!
//! | module | responsibility |
//! |---|---|
//! | `open` | the client of a store |
//! | `credentials` | the credentials for a store |
//! | `s3`, `gcs`, `azure` | the address of a store, and the keys of its Secret |
//! | `service` | sends the requests of the library like those of boot itself |
//! | `errors` | errors of stores, and what to do about them |
//! | `prefix` | many objects concurrently |
//!
//! The library signs requests, lists objects and resumes interrupted downloads. CAs, retries and error
//! messages are those of `http`, as for every source.

mod azure;
mod credentials;
mod errors;
mod gcs;
mod open;
mod prefix;
mod s3;
mod service;

use std::cell::{Cell, OnceCell};
use std::sync::Arc;

use ::object_store::path::Path;
use ::object_store::{GetOptions, GetResult};
use futures::future::LocalBoxFuture;
use futures::{FutureExt, StreamExt, TryStreamExt};

use self::open::OpenStore;
use self::service::ObjectRequest;
use super::attempts::in_time;
use super::content::ContentKind;
use super::{FetchSource, SourceError};
use crate::boot::sink::Sink;
use crate::http::{self, Body, Expected, FetchProgress, HttpError, LibraryTransport};
use bootlace_core::entry::Rename;
use bootlace_core::plan::boot_spec::RemoteSpec;
use bootlace_core::profile::object_store::ObjectStore;
use bootlace_core::profile::remote;

/// A source in an object store.
pub(super) struct ObjectStoreSource<'a> {
    remote: &'a RemoteSpec<ObjectStore>,
    /// The time limit of the boot.
    seconds: u32,
    progress: Arc<FetchProgress>,
    transport: OnceCell<Arc<LibraryTransport>>,
    /// Number of objects of a prefix that are fetched already.
    objects: Cell<usize>,
}

impl<'a> ObjectStoreSource<'a> {
    pub(super) fn new(remote: &'a RemoteSpec<ObjectStore>, seconds: u32) -> Self {
        let (progress, transport, objects) = Default::default();
        Self { remote, seconds, progress, transport, objects }
    }

    async fn write_to(&self, sink: &mut Sink<'_>) -> Result<(), SourceError> {
        let RemoteSpec { request: settings, path } = self.remote;
        let client_settings = client_settings(settings);
        let mount = std::path::Path::new(path);
        let client = http::open(&client_settings, mount, self.seconds, &self.progress).await?;
        let store = open::open(settings, &client, mount).await?;
        // Cannot fail: a source is fetched once.
        let _ = self.transport.set(Arc::clone(&store.transport));
        let fetch = async {
            match (&settings.object, &settings.prefix) {
                (Some(key), _) => self.object(&store, key, sink).await,
                (None, prefix) => {
                    let prefix = prefix.as_deref().unwrap_or_default();
                    prefix::fetch(&store, settings, prefix, sink, &self.objects).await
                }
            }
        };
        in_time(&client, fetch, || self.in_progress()).await
    }

    async fn object(&self, store: &OpenStore, key: &str, sink: &mut Sink<'_>) -> Result<(), SourceError> {
        let settings = &self.remote.request;
        let address = settings.address();
        let Some(path) = Path::parse(key).ok().filter(|path| path.as_ref() == key) else {
            return Err(SourceError::Content(format!(
                "the key {key:?} is not supported: must not contain an empty part, . or .., or a control character; \
                 correct object in the profile, or store it under another key"
            )));
        };
        self.progress.request_sent(&address);
        let found = get(store, &path).await?;
        if found.meta.size > sink.limit() {
            return Err(HttpError::TooLarge { address, limit: sink.limit() }.into());
        }
        let (kind, origin, size) = (store.kind, address.clone(), found.meta.size);
        let stream = found
            .into_stream()
            .map_err(move |error| errors::convert_body_error(kind, &origin, &error))
            .boxed();
        let sha256 = settings.sha256.as_deref().map(|sha256| Expected { sha256, by: "the profile" });
        let body = Body::new(stream, address, Arc::clone(&self.progress), sink.limit(), sha256);
        let mut body = body.announced_as(Some(size));
        let content = ContentKind {
            file: settings.file.as_deref(),
            archive: settings.archive.as_ref(),
            json: &settings.json,
        };
        content.write(&mut body, sink).await
    }
}

impl FetchSource for ObjectStoreSource<'_> {
    fn title(&self) -> String {
        self.remote.request.address()
    }

    fn rename(&self) -> Rename {
        Rename::Json
    }

    fn fetch<'a>(&'a self, sink: &'a mut Sink<'_>) -> LocalBoxFuture<'a, Result<(), SourceError>> {
        self.write_to(sink).boxed_local()
    }

    fn in_progress(&self) -> Option<String> {
        if let Some(error) = self.transport.get().and_then(|transport| transport.last_error()) {
            return Some(format!("the last attempt failed: {error}"));
        }
        match self.objects.get() {
            0 => self.progress.describe(),
            objects => Some(format!("fetched {objects} objects, and more remain")),
        }
    }
}

/// The address as text: the name in the tools of the store, and the server. If the workload identity sets the
/// region, only the pod knows it.
pub(super) fn address(settings: &ObjectStore) -> Result<String, SourceError> {
    let address = open::address(settings, None)?;
    open::url(&address)?;
    let by_workload = settings.s3.as_ref().is_some_and(|s3| s3.region.is_none() && s3.endpoint.is_none());
    let region = if by_workload { ", or in the region of the pod's workload identity" } else { "" };
    Ok(format!("{} at {address}{region}", settings.address()))
}

/// The client settings of an object store as those of `http`.
fn client_settings(settings: &ObjectStore) -> remote::Client {
    let settings = &settings.client;
    remote::Client {
        ca: settings.ca.clone(),
        proxy: settings.proxy.clone(),
        connect_timeout_seconds: settings.connect_timeout_seconds,
        timeout_seconds: settings.timeout_seconds,
        attempts: settings.attempts,
        ..remote::Client::default()
    }
}

/// Requests the object at `path`, and streams it.
async fn get(store: &OpenStore, path: &Path) -> Result<GetResult, SourceError> {
    let mut options = GetOptions::default();
    options.extensions.insert(ObjectRequest);
    store.objects.get_opts(path, options).await.map_err(|error| errors::convert(store.kind, &error))
}
