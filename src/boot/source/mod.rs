//! Sources of env and files, with a file for each kind.
//!
//! To add a kind, add a variant to [`SourceKind`] with its configuration, a file here that implements
//! [`FetchSource`], and a line to [`source_for`]. A source writes its content to a [`Sink`], which checks
//! every name, path and size. The time limit, the merge, the volume and the log are the same for all sources.
//! `docs/sources.md` has an example.

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

/// A source of env and files.
pub(crate) trait FetchSource {
    /// Kind and name for the log and for errors: `inline`, `Secret db-login`. It contains no secret.
    fn title(&self) -> String;

    /// Writes all content of the source to `sink`, files in chunks.
    ///
    /// All sources are fetched concurrently on one thread, and a future is dropped when the time limit
    /// expires or another source fails. So await operations that may be slow, and leave nothing that must be
    /// cleaned up.
    fn fetch<'a>(&'a self, sink: &'a mut Sink<'_>) -> LocalBoxFuture<'a, Result<(), SourceError>>;

    /// How the author of the source can change the name of a variable.
    fn rename(&self) -> Rename;

    /// What the fetch is waiting for, for the error message of a timeout.
    fn in_progress(&self) -> Option<String> {
        None
    }

    /// Called when all content is on the volume: a source that has a copy in memory can free it.
    fn release(&self) {}
}

/// A source with its name in the profile.
pub(crate) struct NamedSource<'a> {
    /// The name.
    pub(crate) name: &'a str,
    /// Whether the task may start if the source is unavailable.
    pub(crate) optional: bool,
    /// The limits of the source.
    pub(crate) limits: Option<SourceLimits>,
    /// The source.
    pub(crate) source: Box<dyn FetchSource + 'a>,
}

/// The sources of `spec`, in the order of the profile.
pub(crate) fn all<'a>(spec: &'a BootSpec<'_>) -> Vec<NamedSource<'a>> {
    let named = |source: &'a BootSource| NamedSource {
        name: &source.name,
        optional: source.optional,
        limits: source.limits,
        source: source_for(&source.from, spec.timeout_seconds),
    };
    spec.sources.iter().map(named).collect()
}

/// The address of the first request, computed by the code that sends it; `None` for sources without requests.
///
/// # Errors
/// If boot would refuse the address.
pub(crate) fn address(from: &SourceKind) -> Option<Result<String, SourceError>> {
    match from {
        SourceKind::Http(remote) => Some(remote::address(&*remote.request)),
        SourceKind::Optimus(remote) => Some(remote::address(&*remote.request)),
        SourceKind::ObjectStore(remote) => Some(object_store::address(&remote.request)),
        SourceKind::Oci(remote) => Some(oci::address(&remote.request)),
        SourceKind::Inline(_) | SourceKind::Mounted(_) | SourceKind::InitImage(_) => None,
    }
}

/// `seconds` is the time limit of the boot.
fn source_for(from: &SourceKind, seconds: u32) -> Box<dyn FetchSource + '_> {
    match from {
        SourceKind::Inline(inline) => Box::new(InlineSource::new(inline)),
        SourceKind::Mounted(object) => Box::new(MountedObject::new(object)),
        SourceKind::Http(remote) => Box::new(RemoteSource::new(remote, seconds)),
        SourceKind::Optimus(remote) => Box::new(RemoteSource::new(remote, seconds)),
        SourceKind::ObjectStore(remote) => Box::new(ObjectStoreSource::new(remote, seconds)),
        SourceKind::Oci(remote) => Box::new(OciSource::new(remote, seconds)),
        SourceKind::InitImage(source) => Box::new(InitImageFolder::new(source)),
    }
}
