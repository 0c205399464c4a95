//! `oci`: the files of an artifact or an image in a registry.
//!
//! An artifact is a list of named blobs: files, and packed folders. An image is a list of layers: tars with
//! the files that they add to the layers below, and those that they remove. Both are unpacked while they are
//! downloaded.

mod artifact;
mod image;
mod selection;

use std::path::Path;
use std::sync::Arc;

use futures::FutureExt;
use futures::future::LocalBoxFuture;
use reqwest::StatusCode;

use self::selection::PathSelection;
use super::attempts::fetch_by;
use super::{FetchSource, SourceError};
use crate::boot::sink::Sink;
use crate::http::{self, Body, FetchProgress, HttpClient, HttpError, read_object};
use crate::registry::{
    Descriptor, Digest, Image, Keyring, Platform, Reference, RegistryCredentials, Resolution,
    ResolutionError, Session, credentials, first_address, manifest,
};
use bootlace_core::entry::Rename;
use bootlace_core::plan::boot_spec::{DIR_PULL_SECRET, RemoteSpec};
use bootlace_core::profile::oci::Oci;

/// A source in a registry.
pub(super) struct OciSource<'a> {
    remote: &'a RemoteSpec<Oci>,
    /// The time limit of the boot.
    seconds: u32,
    progress: Arc<FetchProgress>,
}

impl<'a> OciSource<'a> {
    pub(super) fn new(remote: &'a RemoteSpec<Oci>, seconds: u32) -> Self {
        Self { remote, seconds, progress: Arc::default() }
    }

    async fn write_to(&self, sink: &mut Sink<'_>) -> Result<(), SourceError> {
        let RemoteSpec { request: settings, path } = self.remote;
        let mount = Path::new(path);
        let client = http::open(&settings.client, mount, self.seconds, &self.progress).await?;
        if settings.client.has_headers() {
            return Err(invalid_settings(
                "client.headers, client.headersFromSecret and client.token are not supported with a registry: remove \
                 them, and set oci.pullSecret",
            ));
        }
        let reference = reference(settings)?;
        let platform = match &settings.platform {
            Some(platform) => {
                platform.parse().map_err(|error| invalid_settings(format!("oci.platform: {error}")))?
            }
            None => Platform::own(),
        };
        let credentials = self.credentials(&reference).await?;
        let session = Session::new(&client, &reference, settings.plain_http, credentials, remedy)?;
        let repository = Repository { client: &client, session: &session };

        let image = repository.image(&platform, sink).await?;
        check_size(&image, sink.limit())?;
        let selection = PathSelection { path: &settings.path, prefix: &settings.prefix };
        if image.layers.iter().any(|blob| blob.title().is_some()) {
            artifact::write_files(&repository, &image.layers, selection, sink).await?;
        } else {
            image::write_files(&repository, &image, selection, sink).await?;
        }
        if sink.files() == 0 {
            return Err(no_files(&settings.path));
        }
        Ok(())
    }

    /// The credentials in the pull secret for this registry.
    async fn credentials(&self, reference: &Reference) -> Result<Vec<RegistryCredentials>, SourceError> {
        let RemoteSpec { request: settings, path } = self.remote;
        let Some(secret) = &settings.pull_secret else { return Ok(Vec::new()) };
        let keys = read_object(&Path::new(path).join(DIR_PULL_SECRET)).await?;
        let Some(json) = keys.get(credentials::KEY) else {
            return Err(SourceError::Missing(format!(
                "Secret {secret} of oci.pullSecret does not exist in the pod's namespace, or has no key {:?}: create it \
                 with `kubectl create secret docker-registry`",
                credentials::KEY
            )));
        };
        let mut keyring = Keyring::default();
        let named =
            |problem: String| invalid_settings(format!("Secret {secret} of oci.pullSecret {problem}"));
        keyring.add(json).map_err(|error| named(error.to_string()))?;
        let found = keyring.lookup(reference);
        if found.is_empty() {
            let problem = format!(
                "has no entry for {}/{}: add one, or remove oci.pullSecret if the registry needs no credentials",
                reference.registry(),
                reference.repository()
            );
            return Err(named(problem));
        }
        Ok(found)
    }
}

fn reference(settings: &Oci) -> Result<Reference, SourceError> {
    settings.reference.parse().map_err(|error| invalid_settings(format!("oci.reference: {error}")))
}

/// The address of the first request.
pub(super) fn address(settings: &Oci) -> Result<String, SourceError> {
    Ok(first_address(&reference(settings)?, settings.plain_http)?.into())
}

impl FetchSource for OciSource<'_> {
    fn title(&self) -> String {
        format!("OCI {}", self.remote.request.reference)
    }

    fn rename(&self) -> Rename {
        Rename::Json
    }

    fn fetch<'a>(&'a self, sink: &'a mut Sink<'_>) -> LocalBoxFuture<'a, Result<(), SourceError>> {
        self.write_to(sink).boxed_local()
    }

    fn in_progress(&self) -> Option<String> {
        self.progress.describe()
    }
}

/// A repository, with retries and time limits.
struct Repository<'r> {
    client: &'r HttpClient<'r>,
    session: &'r Session<'r>,
}

impl Repository<'_> {
    /// Resolves the reference for a platform.
    async fn image(&self, platform: &Platform, sink: &mut Sink<'_>) -> Result<Image, SourceError> {
        let mut resolution = Resolution::new(platform);
        loop {
            let manifest = self.manifest(resolution.digest()).await?;
            let Some(image) = resolution.read(&manifest).map_err(resolution_error)? else { continue };
            if let Some(digest) = resolution.digest() {
                sink.note(format!("the image for {platform} is {digest}"));
            }
            return Ok(image);
        }
    }

    async fn manifest(&self, digest: Option<&Digest>) -> Result<Vec<u8>, SourceError> {
        let send = async || self.session.manifest(digest).await;
        let receive = async |mut body: Body| Ok(body.read(manifest::MAX_BYTES).await?);
        fetch_by(self.client, send, receive).await
    }

    /// Fetches a blob and passes it to `receive`, which writes to `sink`. Each attempt starts again: the sink
    /// discards the content of the attempt before.
    async fn blob<T>(
        &self,
        blob: &Descriptor,
        sink: &mut Sink<'_>,
        mut receive: impl AsyncFnMut(&mut Body, &mut Sink<'_>) -> Result<T, SourceError>,
    ) -> Result<T, SourceError> {
        let (position, limit) = (sink.position(), sink.limit());
        let send = async || self.session.blob(blob, limit).await;
        let receive_attempt = async |mut body: Body| {
            sink.rewind(&position);
            receive(&mut body, sink).await
        };
        fetch_by(self.client, send, receive_attempt).await
    }
}

fn resolution_error(error: ResolutionError) -> SourceError {
    match error {
        ResolutionError::Platform(error) => {
            SourceError::Missing(format!("{error}: push one, or set oci.platform"))
        }
        error => SourceError::Content(error.to_string()),
    }
}

/// Fails before anything is downloaded.
fn check_size(image: &Image, limit: u64) -> Result<(), SourceError> {
    let size = image.layers.iter().fold(0, |size: u64, blob| size.saturating_add(blob.size));
    if size <= limit {
        return Ok(());
    }
    Err(SourceError::TooLarge { size, limit })
}

fn no_files(path: &str) -> SourceError {
    SourceError::Content(if path.is_empty() {
        "it contains no files: push it again with files".to_owned()
    } else {
        format!("no file at or below {path:?}: correct oci.path")
    })
}

fn invalid_settings(reason: impl Into<String>) -> SourceError {
    HttpError::Setup(reason.into()).into()
}

fn remedy(status: StatusCode) -> &'static str {
    match status {
        StatusCode::UNAUTHORIZED => {
            "set oci.pullSecret to a Secret with credentials, or renew the credentials in it"
        }
        StatusCode::FORBIDDEN => "grant the credentials of oci.pullSecret the right to pull it",
        StatusCode::NOT_FOUND => "correct oci.reference, or push it",
        status => http::remedy(status),
    }
}
