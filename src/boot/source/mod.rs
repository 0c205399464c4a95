//! Sources of env and files, with a file for each kind.
//!
//! To add a kind, add a variant to [`SourceKind`] with its configuration, a file here that implements
//! [`FetchSource`], and a line to [`source_for`]. A source writes its content to a
//! [`Sink`](super::sink::Sink), which checks every name, path and size. The time limit, the merge, the volume
//! and the log are the same for all sources. `docs/sources.md` has an example.

mod attempts;
mod content;
mod context;
mod error;
mod fetch_source;
mod http;
mod init_image;
mod inline;
mod mounted;
mod object_store;
mod oci;
mod optimus;
mod remote;
mod vault;
mod volume;

use std::ffi::OsString;

use self::context::ContextVariables;
pub(crate) use self::error::{EntryError, EntryName, SourceError};
pub(crate) use self::fetch_source::{FetchSource, NamedSource};
use self::init_image::InitImageFolder;
use self::inline::InlineSource;
use self::mounted::MountedObject;
use self::object_store::ObjectStoreSource;
use self::oci::OciSource;
use self::remote::RemoteSource;
#[cfg(test)]
pub(crate) use self::vault::ShortLease;
use self::vault::VaultSecrets;
use self::volume::MountedVolume;
use bootlace_core::plan::BootSpec;
use bootlace_core::plan::boot_spec::{BootSource, SourceKind};

/// The sources of `spec`, in the order of the profile. `env` is the env of boot.
pub(crate) fn all<'a>(spec: &'a BootSpec<'_>, env: &'a [(OsString, OsString)]) -> Vec<NamedSource<'a>> {
    let named = |source: &'a BootSource| NamedSource {
        name: &source.name,
        optional: source.optional,
        limits: source.limits,
        source: source_for(&source.from, spec.timeout_seconds, env),
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
        SourceKind::Vault(source) => Some(vault::address(&source.remote.request)),
        SourceKind::Inline(_)
        | SourceKind::Mounted(_)
        | SourceKind::Context(_)
        | SourceKind::Volume(_)
        | SourceKind::InitImage(_) => None,
    }
}

/// `seconds` is the time limit of the boot.
fn source_for<'a>(
    from: &'a SourceKind,
    seconds: u32,
    env: &'a [(OsString, OsString)],
) -> Box<dyn FetchSource + 'a> {
    match from {
        SourceKind::Inline(inline) => Box::new(InlineSource::new(inline)),
        SourceKind::Mounted(object) => Box::new(MountedObject::new(object)),
        SourceKind::Http(remote) => Box::new(RemoteSource::new(remote, seconds)),
        SourceKind::Optimus(remote) => Box::new(RemoteSource::new(remote, seconds)),
        SourceKind::ObjectStore(remote) => Box::new(ObjectStoreSource::new(remote, seconds)),
        SourceKind::Oci(remote) => Box::new(OciSource::new(remote, seconds)),
        SourceKind::Vault(source) => Box::new(VaultSecrets::new(source, seconds)),
        SourceKind::Context(source) => Box::new(ContextVariables::new(source, env)),
        SourceKind::Volume(volume) => Box::new(MountedVolume::new(volume)),
        SourceKind::InitImage(source) => Box::new(InitImageFolder::new(source)),
    }
}
