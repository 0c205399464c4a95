//! `inline`: env and files in the profile itself.

use futures::FutureExt;
use futures::future::LocalBoxFuture;

use super::{FetchSource, SourceError};
use crate::boot::sink::Sink;
use bootlace_core::entry::Rename;
use bootlace_core::profile::Inline;

/// Inline content. It is part of the spec, so there is nothing to wait for.
pub(super) struct InlineSource<'a> {
    inline: &'a Inline,
}

impl<'a> InlineSource<'a> {
    pub(super) fn new(inline: &'a Inline) -> Self {
        Self { inline }
    }

    fn write_to(&self, sink: &mut Sink<'_>) -> Result<(), SourceError> {
        for (name, value) in &self.inline.env {
            sink.env(name, value.clone().into_bytes())?;
        }
        for (path, content) in &self.inline.files {
            sink.file(path, content.as_bytes())?;
        }
        Ok(())
    }
}

impl FetchSource for InlineSource<'_> {
    fn title(&self) -> String {
        "inline".to_owned()
    }

    fn rename(&self) -> Rename {
        Rename::Inline
    }

    fn fetch<'a>(&'a self, sink: &'a mut Sink<'_>) -> LocalBoxFuture<'a, Result<(), SourceError>> {
        async { self.write_to(sink) }.boxed_local()
    }
}
