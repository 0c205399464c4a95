//! What a response becomes: a file, the files of an archive, or the content of JSON objects.

use super::SourceError;
use crate::boot::sink::{EntryKind, Sink};
use crate::boot::{archive, json};
use crate::http::Body;
use bootlace_core::profile::remote::{Archive, JsonPart};

/// The settings of the profile, of which exactly one is set.
pub(super) struct ContentKind<'a> {
    pub(super) file: Option<&'a str>,
    pub(super) archive: Option<&'a Archive>,
    pub(super) json: &'a [JsonPart],
}

impl ContentKind<'_> {
    /// Writes the content of `body` to `sink`.
    pub(super) async fn write(&self, body: &mut Body, sink: &mut Sink<'_>) -> Result<(), SourceError> {
        if let Some(path) = self.file {
            sink.has_memory(body.announced().unwrap_or_default())?;
            let mut file = sink.create(path)?;
            while let Some(chunk) = body.chunk().await? {
                file.write(&chunk)?;
            }
            return sink.finish(file);
        }
        if let Some(archive) = self.archive {
            return archive::unpack(body, archive, sink).await;
        }
        let response = json::read(body, sink).await?;
        for part in self.json {
            let object = json::object(&response, &part.pointer)?;
            let kind = EntryKind::new(part.into, part.secret);
            json::write_entries(object, kind, &part.prefix, &part.exclude, sink)?;
        }
        Ok(())
    }
}
