//! The interface of a source.

use futures::future::LocalBoxFuture;

use super::SourceError;
use crate::boot::sink::Sink;
use bootlace_core::entry::Rename;
use bootlace_core::plan::boot_spec::SourceLimits;

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
