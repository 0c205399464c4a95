//! Where env and files come from. Each kind of source has a file of its own here.
//!
//! To add one: a variant of [`From`] for what boot must be told, a file here that implements [`FetchSource`], and
//! its line in [`source_for`]. What a source finds it gives to a [`Sink`], which checks every name, path and size;
//! the time limit, the merge, the writing and the log are the same for all. `docs/sources.md` walks it once.

mod attempts;
mod client;
mod content;
mod error;
mod http;
mod init_image;
mod inline;
mod mounted;
mod object_store;
mod oci;
mod optimus;
mod remote;

use futures::future::LocalBoxFuture;

pub(crate) use self::error::{EntryError, EntryName, SourceError};
use self::init_image::InitImageFolder;
use self::inline::InlineSource;
use self::mounted::{Keys, MountedObject, read_object};
use self::object_store::ObjectStoreSource;
use self::oci::OciSource;
use self::remote::RemoteSource;
use super::sink::Sink;
use bootlace_core::entry::Rename;
use bootlace_core::plan::BootSpec;
use bootlace_core::plan::boot_spec::{BootSource, SourceKind, SourceLimits};

/// A place that env and files come from.
pub(crate) trait FetchSource {
    /// Kind and name for the log and for errors: `inline`, `Secret db-login`. No secret.
    fn title(&self) -> String;

    /// Gives everything that the source has to `sink`, files chunk by chunk.
    ///
    /// All sources are fetched at the same time on one thread, and each future is dropped where it stands when
    /// the profile's time is over or another source has failed. So await what may take long, and leave
    /// nothing that must be undone.
    fn fetch<'a>(&'a self, sink: &'a mut Sink<'_>) -> LocalBoxFuture<'a, Result<(), SourceError>>;

    /// What the source's author can do about a variable's name.
    fn rename(&self) -> Rename;

    /// What the fetch waits for just now, for the sentence that says why it was cut off.
    fn doing(&self) -> Option<String> {
        None
    }

    /// Everything that was given lies on the volume: a source that holds a copy of it in memory may free that now.
    fn written(&self) {}
}

/// A source under the name that the profile gives it.
pub(crate) struct NamedSource<'a> {
    /// The name.
    pub(crate) name: &'a str,
    /// Whether the task may start where it cannot be had.
    pub(crate) optional: bool,
    /// How much it may give.
    pub(crate) limits: Option<SourceLimits>,
    /// The source.
    pub(crate) source: Box<dyn FetchSource + 'a>,
}

/// What `spec` tells boot to fetch, in the profile's order.
pub(crate) fn all<'a>(spec: &'a BootSpec<'_>) -> Vec<NamedSource<'a>> {
    let named = |source: &'a BootSource| NamedSource {
        name: &source.name,
        optional: source.optional,
        limits: source.limits,
        source: source_for(&source.from, spec.timeout_seconds),
    };
    spec.sources.iter().map(named).collect()
}

/// The address that boot asks, by the same code that asks it; none for what is not fetched over the network.
///
/// # Errors
/// Where boot would refuse to ask there.
pub(crate) fn address(from: &SourceKind) -> Option<Result<String, SourceError>> {
    match from {
        SourceKind::Http(remote) => Some(remote::address(&*remote.request)),
        SourceKind::Optimus(remote) => Some(remote::address(&*remote.request)),
        SourceKind::ObjectStore(remote) => Some(object_store::address(&remote.request)),
        SourceKind::Oci(remote) => Some(oci::address(&remote.request)),
        SourceKind::Inline(_) | SourceKind::Mounted(_) | SourceKind::InitImage(_) => None,
    }
}

/// `seconds` is the time of the whole boot.
fn source_for(from: &SourceKind, seconds: u32) -> Box<dyn FetchSource + '_> {
    match from {
        SourceKind::Inline(inline) => Box::new(InlineSource::new(inline)),
        SourceKind::Mounted(object) => Box::new(MountedObject::new(object)),
        SourceKind::Http(remote) => Box::new(RemoteSource::new(remote, seconds)),
        SourceKind::Optimus(remote) => Box::new(RemoteSource::new(remote, seconds)),
        SourceKind::ObjectStore(remote) => Box::new(ObjectStoreSource::new(remote, seconds)),
        SourceKind::Oci(remote) => Box::new(OciSource::new(remote, seconds)),
        SourceKind::InitImage(left) => Box::new(InitImageFolder::new(left)),
    }
}
